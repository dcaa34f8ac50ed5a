"""What a job's store holds, as pools of values and estimates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import overload

import numpy as np

from xai_ray.coalitions import Design, EachInput, Pieces, RowBlocks, from_description
from xai_ray.engine.each_reading import committed_inputs, each_pool
from xai_ray.engine.pieces import PieceReader
from xai_ray.engine.rounds import answer
from xai_ray.engine.row_reading import RowReader
from xai_ray.engine.units import Units
from xai_ray.errors import MissingRecord
from xai_ray.estimators import AnyPool, Ask, Estimate, Pool, boundaries
from xai_ray.estimators.agreement import about_half
from xai_ray.stores import Manifest, Store
from xai_ray.types import Values

_AT_ONCE = 8_192


def design_of(manifest: Manifest) -> Design:
    """The design that a job was opened with."""
    return from_description(manifest.document["identity"]["design"])


def read_pool(store: Store, manifest: Manifest, draws: int) -> AnyPool:
    """The values of the first draws of a job, from its store. Raises MissingRecord when some are not there."""
    design = design_of(manifest)
    if isinstance(design, Pieces):
        return PieceReader(store, manifest, design).pool(draws)
    if isinstance(design, RowBlocks):
        return RowReader(store, manifest, design).pool(draws)
    if isinstance(design, EachInput):
        return each_pool(store, manifest, design, draws)
    units, committed = Units(store.segments(manifest.job), draws), store.committed(manifest.job)
    missing = sum(unit not in committed for unit in units)
    if missing or not units or units[-1].stop < draws:
        raise MissingRecord(
            f"job {manifest.job} is not finished: {missing} of {len(units)} units have no record; xai-ray resume {manifest.job}"
        )
    return Pool(design, draws, values_of(store, manifest.job, draws)[: design.evaluations(draws)])


def pools_of(store: Store, manifest: Manifest) -> Callable[[int], AnyPool] | None:
    """Reads the pool of the first draws of a job that goes on; None where a coordinator had better keep the values that pass
    through it: where they are few, and the store is not what workers commit to.
    """
    design, job = design_of(manifest), manifest.job
    if isinstance(design, Pieces):
        return PieceReader(store, manifest, design).pool
    if isinstance(design, RowBlocks):
        return RowReader(store, manifest, design).pool
    if isinstance(design, EachInput):
        return lambda draws: each_pool(store, manifest, design, draws)
    if store.remote:
        return lambda draws: Pool(design, draws, values_of(store, job, draws)[: design.evaluations(draws)])
    return None


def values_of(store: Store, job: str, draws: int) -> Values:
    """The values of the units that hold the first draws, in canonical order. Raises MissingRecord where one is missing."""
    units = Units(store.segments(job), draws)
    if not units or units[-1].stop < draws:
        raise MissingRecord(f"{store.url} has no plan for the first {draws} draws of job {job}; xai-ray resume {job}")
    # Some at a time: a record takes much more memory than the few values of a small unit.
    some = (units[first : first + _AT_ONCE] for first in range(0, len(units), _AT_ONCE))
    return np.concatenate([np.concatenate([record.values for record in store.records(job, part)]) for part in some])


def committed_prefix(store: Store, manifest: Manifest) -> int:
    """Draws of the longest prefix whose units all have a record: what can be estimated right now."""
    design = design_of(manifest)
    if isinstance(design, EachInput):
        return committed_inputs(store, manifest, design)
    committed = store.committed(manifest.job)
    stop = 0
    for unit in Units(store.segments(manifest.job)):
        if unit not in committed:
            return stop
        stop = unit.stop
    return stop


def convergence(pool: AnyPool, ask: Ask, known: Mapping[int, Estimate]) -> Sequence[Estimate]:
    """The first question's estimates at the boundaries, see `Curve`. Of pieces, which would be read from the store again, all at once."""
    curve = Curve(pool, ask, known)
    return curve if isinstance(pool, Pool) else curve[:]


def half_of(curve: Sequence[Estimate], estimate: Estimate) -> Sequence[Estimate]:
    """What of a curve `rank_agreement` looks at."""
    return curve.half(estimate.evaluations) if isinstance(curve, Curve) else curve


class Curve(Sequence[Estimate]):
    """The first question's estimates at the boundaries, ascending; prefixes too short for an estimate are left out. Each is answered when
    it is first asked for, since together they cost several times the answer at the end. `known` holds those that were answered
    on the way, by number of draws.
    """

    def __init__(self, pool: AnyPool, ask: Ask, known: Mapping[int, Estimate]) -> None:
        self._pool, self._ask = pool, ask
        self._found: dict[int, Estimate | None] = dict(known)

    def half(self, evaluations: int) -> tuple[Estimate, ...]:
        """That from the number of evaluations nearest to half of these, if there is one from about half; nothing else is answered."""
        at = {draws: self._pool.design.evaluations(draws) for draws in self._boundaries()}
        near = [draws for draws in at if about_half(at[draws], evaluations)]
        near.sort(key=lambda draws: abs(at[draws] / evaluations - 0.5))
        return next(((estimate,) for draws in near if (estimate := self._at(draws)) is not None), ())

    def _boundaries(self) -> list[int]:
        return [] if self._pool.complete else list(boundaries(self._pool.design, self._pool.draws))

    def _at(self, draws: int) -> Estimate | None:
        if draws not in self._found:
            self._found[draws] = answer(self._pool.prefix(draws), self._ask)
        return self._found[draws]

    def _all(self) -> tuple[Estimate, ...]:
        return tuple(estimate for draws in self._boundaries() if (estimate := self._at(draws)) is not None)

    @overload
    def __getitem__(self, at: int) -> Estimate: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Estimate, ...]: ...
    def __getitem__(self, at: int | slice) -> Estimate | tuple[Estimate, ...]:
        return self._all()[at]

    def __len__(self) -> int:
        return len(self._all())
