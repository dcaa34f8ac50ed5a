"""Many small records as one blob: an Arrow IPC stream of one batch, one row for each unit.

    rows     int64             rows of the unit's values
    facts    utf8              its facts, canonical JSON
    values   list<float64>     its values, row by row

The schema's metadata: format, job, fold ("start:stop:size", see redis_scripts.py), outputs, and sha256 of these (canonical JSON)
followed by the buffers of rows, facts and values. A record read from a fold is bit for bit the record that was committed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord
from xai_ray.stores.canonical import canonical
from xai_ray.stores.protocol import Record, Segment
from xai_ray.types import Values

FORMAT = 1

GROUP = 256
"""Units of a segment that are folded together, once all of them are there."""
LARGEST_RECORD = 64 << 10
"""Bytes above which a record stays by itself: nothing would be saved."""
LARGEST_FOLD = 4 << 20
"""Bytes of records in one fold."""


@dataclass(frozen=True, slots=True)
class Group:
    """Up to `GROUP` consecutive units of a segment."""

    counter: str
    """Field of the job's status that counts its records."""
    part: Segment
    """Their draws."""

    @property
    def size(self) -> int:
        """How many they are."""
        return -(-(self.part.stop - self.part.start) // self.part.unit)

    def units(self) -> list[Unit]:
        """In canonical order."""
        return list(self.part.units())


def group_of(segments: list[Segment], unit: Unit) -> Group | None:
    """The group of a unit, or None if it is no unit of these segments."""
    for number, segment in enumerate(segments):
        if segment.start <= unit.start < segment.stop:
            index, rest = divmod(unit.start - segment.start, segment.unit)
            if rest or unit.stop != min(unit.start + segment.unit, segment.stop):
                return None
            return _group(number, segment, index // GROUP)
    return None


def groups(segments: list[Segment]) -> Iterator[Group]:
    """All groups in canonical order."""
    for number, segment in enumerate(segments):
        for index in range(-(-(segment.stop - segment.start) // (segment.unit * GROUP))):
            yield _group(number, segment, index)


def foldable(group: Group, sizes: list[int]) -> list[list[Unit]]:
    """Runs of consecutive units that fit into a fold each; none while a record is missing.

    `sizes` are those of `redis_scripts.SIZES`.
    """
    runs: list[list[Unit]] = [[]]
    if 0 in sizes:
        return []
    total = 0
    for unit, size in zip(group.units(), sizes, strict=True):
        fits = 0 < size <= LARGEST_RECORD
        if not fits or total + size > LARGEST_FOLD:
            runs.append([])
            total = 0
        if fits:
            runs[-1].append(unit)
            total += size
    return [run for run in runs if len(run) > 1]


def fold_name(units: list[Unit]) -> str:
    """`start:stop:size` of consecutive units; only the last one may be shorter."""
    return f"{units[0].start}:{units[-1].stop}:{units[0].stop - units[0].start}"


def units_of(fold: str) -> list[Unit]:
    """The units of a fold in order."""
    return list(Segment(*map(int, fold.split(":"))).units())


def encode_fold(job: str, records: list[Record]) -> bytes:
    """The blob of consecutive records with one number of outputs."""
    rows = np.array([len(record.values) for record in records], dtype="<i8")
    facts = [canonical(record.facts, "facts").decode() for record in records]
    values = np.ascontiguousarray(np.concatenate([record.values for record in records]), dtype="<f8")
    metadata = {
        "fold": fold_name([record.unit for record in records]),
        "format": str(FORMAT),
        "job": job,
        "outputs": str(values.shape[1]),
    }
    # From buffers, as in records.py: pa.array would import pandas where it is installed.
    texts = pa.py_buffer("".join(facts).encode("ascii"))
    numbers = pa.Array.from_buffers(pa.float64(), values.size, [None, pa.py_buffer(values)])
    columns: dict[str, Any] = {
        "rows": pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)]),
        "facts": pa.Array.from_buffers(pa.utf8(), len(facts), [None, _offsets([len(f) for f in facts]), texts]),
        "values": pa.Array.from_buffers(
            pa.list_(pa.float64()), len(rows), [None, _offsets(rows * values.shape[1])], children=[numbers]
        ),
    }
    metadata["sha256"] = _checksum(metadata, rows.tobytes(), "\n".join(facts), values.tobytes())
    schema = pa.schema([(name, column.type) for name, column in columns.items()], metadata=metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(list(columns.values()), schema=schema))
    return sink.getvalue().to_pybytes()


@dataclass(frozen=True, slots=True)
class Folded:
    """The records of a fold by unit, in order."""

    _parts: dict[Unit, tuple[Values, str]]

    def record(self, unit: Unit) -> Record:
        """Values and facts are the caller's own."""
        values, facts = self._parts[unit]
        return Record(unit, values.astype(np.float64), json.loads(facts))


def decode_fold(data: bytes, job: str, fold: str, where: str) -> Folded:
    """What `encode_fold` wrote. Raises CorruptRecord, naming `where`, on any damage."""
    try:
        return _read(data, job, fold)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError, MemoryError) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
    first, last, _ = fold.split(":")
    raise CorruptRecord(
        f"{where}, the records of draws [{first}, {last}), is damaged ({len(data)} bytes): {what}; it is not used; "
        f"`xai-ray resume {job} --recompute` computes them again"
    )


def _group(number: int, segment: Segment, index: int) -> Group:
    start = segment.start + index * GROUP * segment.unit
    stop = min(start + GROUP * segment.unit, segment.stop)
    return Group(f"group:{number}:{index}", Segment(start, stop, segment.unit))


def _read(data: bytes, job: str, fold: str) -> Folded:
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        metadata = {key.decode(): text.decode() for key, text in (reader.schema.metadata or {}).items()}
        (batch,) = list(reader)
    sha = metadata.pop("sha256")
    if (metadata["format"], metadata["job"], metadata["fold"]) != (str(FORMAT), job, fold):
        raise ValueError(f"it is fold {metadata['fold']} of job {metadata['job']!r} in format {metadata['format']}")
    batch.validate(full=True)
    units, outputs = units_of(fold), int(metadata["outputs"])
    column, facts = batch.column("values"), batch.column("facts").to_pylist()
    rows = np.frombuffer(batch.column("rows").buffers()[1], "<i8", len(units))
    numbers = column.flatten()
    values = np.frombuffer(numbers.buffers()[1], "<f8", int(rows.sum()) * outputs, 8 * numbers.offset)
    if batch.num_rows != len(units) or len(numbers) != len(values):
        raise ValueError(f"it holds {batch.num_rows} units, {len(units)} were written")
    if _checksum(metadata, rows.tobytes(), "\n".join(facts), values.tobytes()) != sha:
        raise ValueError("the checksum does not fit")
    parts = np.split(values.reshape(-1, outputs), np.cumsum(rows)[:-1])
    return Folded(dict(zip(units, zip(parts, facts, strict=True), strict=True)))


def _offsets(lengths: Any) -> Any:
    return pa.py_buffer(np.concatenate([[0], np.cumsum(lengths)]).astype("<i4"))


def _checksum(metadata: dict[str, str], rows: bytes, facts: str, values: bytes) -> str:
    digest = hashlib.sha256(canonical(metadata, "metadata"))
    for part in (rows, facts.encode("ascii"), values):
        digest.update(part)
    return digest.hexdigest()
