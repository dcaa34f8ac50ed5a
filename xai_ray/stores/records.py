"""A record as bytes: an Arrow IPC stream of one batch, the same bytes for every store.

One column `values`, fixed_size_list<float64>[k], one row for each row of the unit's draw. The schema's metadata:

    format    version of this layout, now 1
    job, start, stop    whose record it is: draws [start, stop) of the job
    rows, outputs       r and k
    facts     JSON object: seconds, worker, versions; no part of the answer
    sha256    of all the above (canonical JSON) followed by the values (little-endian float64, row by row)

Any Arrow implementation reads it; nothing in it is executable.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord
from xai_ray.stores.canonical import canonical
from xai_ray.stores.protocol import Record
from xai_ray.types import Values

FORMAT = 1
"""Version of the layout that `encode` writes; `decode` reads every version up to it."""

_COLUMN = "values"
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # end of an Arrow stream; readers accept streams that lack it
_KEYS = ("facts", "format", "job", "outputs", "rows", "start", "stop")


def encode(job: str, record: Record) -> bytes:
    """The bytes of a record. SpecError for facts that are no JSON, ValueError for values other than (r, k) float64."""
    values = _checked(record)
    metadata = {
        "facts": canonical(record.facts, f"the facts of {_name(record.unit)} of job {job!r}").decode(),
        "format": str(FORMAT),
        "job": job,
        "outputs": str(values.shape[1]),
        "rows": str(values.shape[0]),
        "start": str(record.unit.start),
        "stop": str(record.unit.stop),
    }
    # From buffers: pa.array would import pandas where it is installed, a third of a second in every worker.
    numbers = pa.Array.from_buffers(pa.float64(), values.size, [None, pa.py_buffer(values)])
    column = pa.FixedSizeListArray.from_arrays(numbers, values.shape[1])
    schema = pa.schema([(_COLUMN, column.type)], metadata={**metadata, "sha256": _checksum(metadata, values)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([column], schema=schema))
    return sink.getvalue().to_pybytes()


def decode(data: bytes, job: str, unit: Unit, where: str) -> Record:
    """The record of `unit` of `job`, its values a fresh writable array of the committed bits.

    Raises CorruptRecord, naming `where`, on truncation, a wrong checksum, another job or unit or format version.
    """
    try:
        return _read(data, job, unit)
    except _DamageError as damage:
        what = str(damage)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        what = f"no whole Arrow record ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    raise CorruptRecord(
        f"{where}, the record of {_name(unit)}, is damaged ({len(data)} bytes): {what}; "
        f"it is not used; `xai-ray resume {job} --recompute` computes it again"
    )


class _DamageError(Exception):
    """What is wrong with a record, in words; stays in this module."""


def _read(data: bytes, job: str, unit: Unit) -> Record:
    if not data.endswith(_END):
        raise _DamageError("its end is missing")
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        metadata = {key.decode(): text.decode() for key, text in (reader.schema.metadata or {}).items()}
        _check_owner(metadata, job, unit)
        values = _only_column(reader, int(metadata["rows"]), int(metadata["outputs"]))
    if _checksum({key: metadata[key] for key in _KEYS}, values) != metadata["sha256"]:
        raise _DamageError("the checksum does not fit")
    facts: dict[str, Any] = json.loads(metadata["facts"])
    return Record(unit, values, facts)


def _check_owner(metadata: dict[str, str], job: str, unit: Unit) -> None:
    if metadata.get("format") != str(FORMAT):
        raise _DamageError(f"its format version is {metadata.get('format')!r}, this release reads {FORMAT}")
    missing = [key for key in (*_KEYS, "sha256") if key not in metadata]
    if missing:
        raise _DamageError(f"its metadata lack {', '.join(missing)}")
    if metadata["job"] != job:
        raise _DamageError(f"it belongs to job {metadata['job']!r}")
    if (metadata["start"], metadata["stop"]) != (str(unit.start), str(unit.stop)):
        raise _DamageError(f"it holds draws [{metadata['start']}, {metadata['stop']})")


def _only_column(reader: Any, rows: int, outputs: int) -> Values:
    if not reader.schema.equals(_schema(outputs)):
        raise _DamageError(f"its schema is not that of a record with {outputs} outputs")
    batches = list(reader)
    if len(batches) != 1:
        raise _DamageError(f"it holds {len(batches)} batches, 1 was written")
    column = batches[0].column(0)
    column.validate(full=True)
    numbers = column.values  # without offset: a stream holds whole columns
    if len(column) != rows or len(numbers) != rows * outputs or column.null_count or numbers.null_count:
        raise _DamageError(f"it holds {len(column)} rows, {rows} were written")
    values = np.frombuffer(numbers.buffers()[1], "<f8", rows * outputs, 8 * numbers.offset)
    return values.reshape(rows, outputs).astype(np.float64)


@lru_cache(64)
def _schema(outputs: int) -> pa.Schema:
    return pa.schema([(_COLUMN, pa.list_(pa.float64(), outputs))])


def _checksum(metadata: dict[str, str], values: Values) -> str:
    digest = hashlib.sha256(canonical(metadata, "metadata"))
    digest.update(np.ascontiguousarray(values, dtype="<f8").data)
    return digest.hexdigest()


def _checked(record: Record) -> Values:
    values = record.values
    if values.dtype != np.float64 or values.ndim != 2 or values.shape[1] < 1:
        raise ValueError(
            f"a record needs float64 values of shape (r, k), {_name(record.unit)} has {values.dtype} {values.shape}"
        )
    return np.ascontiguousarray(values, dtype="<f8")


def _name(unit: Unit) -> str:
    return f"unit [{unit.start}, {unit.stop})"
