"""A job whose inputs have players of their own, read back from its store one input at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xai_ray.coalitions import EachInput, Unit
from xai_ray.engine.each_units import Kept
from xai_ray.engine.units import Units
from xai_ray.errors import MissingRecord
from xai_ray.estimators import EachPool, Explained
from xai_ray.stores import Manifest, Record, Store
from xai_ray.types import Floats


def each_pool(store: Store, manifest: Manifest, design: EachInput, draws: int) -> EachPool:
    """The inputs of the stage that draw `draws` ends in, up to it. Raises MissingRecord where one is not there."""
    job, first = manifest.job, design.first(draws)
    segments = store.segments(job)
    if not segments or segments[-1].stop < draws:
        raise MissingRecord(f"{store.url} has no plan for the first {draws} draws of job {job}; xai-ray resume {job}")
    missing = sum(
        unit.start >= first and unit not in committed
        for committed in [store.committed(job)]
        for unit in Units(segments, draws)
    )
    if missing:
        raise MissingRecord(
            f"job {job} is not finished: {missing} of {draws - first} inputs have no record; xai-ray resume {job}"
        )

    def inputs(start: int) -> Iterator[Explained]:
        units = [Unit(at, at + 1) for at in range(first + start, draws)]
        return (explained_of(record, design) for record in store.records(job, units))

    return EachPool(design, draws, len(manifest.document["outputs"]), inputs)


def explained_of(record: Record, design: EachInput) -> Explained:
    """A record as the input it holds."""
    return Explained.unpacked(record.unit.start % design.inputs, record.values, record.facts)


def committed_inputs(store: Store, manifest: Manifest, design: EachInput) -> int:
    """Draws up to the end of the longest prefix of the newest stage that has one; 0 if none has."""
    committed, segments = store.committed(manifest.job), store.segments(manifest.job)
    stop = segments[-1].stop if segments else 0
    while stop > 0:
        first = at = design.first(stop)
        while at < stop and Unit(at, at + 1) in committed:
            at += 1
        if at > first:
            return at
        stop = first
    return 0


def kept_values(store: Store, manifest: Manifest, design: EachInput, before: int) -> Kept | None:
    """What the inputs have from the draws before `before`: of each the longest, one record in memory beside what is kept."""
    units = sorted(unit for unit in store.committed(manifest.job) if unit.start < before)
    parts, places, end = list[Floats](), dict[int, tuple[dict[str, object], int, int]](), 0
    sizes = dict[int, int]()
    for record in store.records(manifest.job, units):
        one = explained_of(record, design)
        if one.evaluations <= sizes.get(one.at, 0):
            continue
        sizes[one.at] = one.evaluations
        parts.append(one.pool.values)
        places[one.at] = (one.pool.design.describe(), end, end + one.evaluations)
        end += one.evaluations
    if not parts:
        return None
    values = np.concatenate(parts)
    values.flags.writeable = False
    return Kept(values, places)
