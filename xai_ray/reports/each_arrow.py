"""Results of inputs that have players of their own, as one Arrow table: a line for each input, question and output.

row                 number of the input, from 0
id                  its name, where inputs have one
index, output       question and explained output
base_value          v(empty)
full_value          v(grand)
evaluations         evaluations of v that the input took
players             names of its players
sets                the sets that have values, lists of positions in `players`
contexts            context sizes, or null
values, std_errors  one a set; over contexts, set by set
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from xai_ray.errors import InputError
from xai_ray.reports.rows import context_sizes
from xai_ray.reports.rows_arrow import placed

if TYPE_CHECKING:
    from xai_ray.reports.result import Result

AT_ONCE = 256
"""Inputs of a batch of the table."""

_NUMBERS = pa.list_(pa.float64())
_FIELDS = [
    pa.field("row", pa.int64(), nullable=False),
    pa.field("id", pa.string()),
    pa.field("index", pa.string(), nullable=False),
    pa.field("output", pa.string(), nullable=False),
    pa.field("base_value", pa.float64(), nullable=False),
    pa.field("full_value", pa.float64(), nullable=False),
    pa.field("evaluations", pa.int64(), nullable=False),
    pa.field("players", pa.list_(pa.string()), nullable=False),
    pa.field("sets", pa.list_(pa.list_(pa.int32())), nullable=False),
    pa.field("contexts", pa.list_(pa.int32())),
    pa.field("values", _NUMBERS, nullable=False),
    pa.field("std_errors", _NUMBERS, nullable=False),
]
SCHEMA = pa.schema(_FIELDS, metadata={"format": "1"})


def each_table(results: Iterable[Result], ids: Sequence[str] | None = None) -> pa.Table:
    """The whole table; the columns are those of SCHEMA. `ids` names the inputs. Raises InputError where there are fewer of them."""
    return pa.Table.from_batches(each_batches(results, ids), SCHEMA)


def write_each(results: Iterable[Result], path: str | Path, ids: Sequence[str] | None = None, start: int = 0) -> Path:
    """Write the table as an Arrow IPC file while the results come; the file is there when it is whole. Memory: one batch.
    The first of these inputs is number `start`.
    """

    return placed(Path(path), lambda sink: write_each_arrow(results, sink, ids, start), "choose another folder")


def write_each_arrow(
    results: Iterable[Result], sink: BinaryIO, ids: Sequence[str] | None = None, start: int = 0
) -> None:
    """Write the table as an Arrow IPC file into a stream."""
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        for batch in each_batches(results, ids, start):
            writer.write_batch(batch)


def each_batches(
    results: Iterable[Result], ids: Sequence[str] | None = None, start: int = 0
) -> Iterator[pa.RecordBatch]:
    """The table, some inputs at a time; the first of these is number `start`."""
    numbered = enumerate(results, start)
    while lines := [line for row, found in islice(numbered, AT_ONCE) for line in _lines(row, found, ids)]:
        yield pa.RecordBatch.from_pylist(lines, SCHEMA)


def _lines(row: int, found: Result, ids: Sequence[str] | None) -> list[dict[str, Any]]:
    if ids is not None and row >= len(ids):
        raise InputError(f"{len(ids)} ids for more inputs than that; give one for each")
    return [
        {
            "row": row,
            "id": None if ids is None else str(ids[row]),
            "index": one.question.index,
            "output": output,
            "base_value": float(found.ends[0, k]),
            "full_value": float(found.ends[1, k]),
            "evaluations": found.evaluations,
            "players": list(found.players),
            "sets": [list(s) for s in one.coalitions],
            "contexts": list(context_sizes(one)) if one.values.ndim == 3 else None,
            "values": one.values[..., k].ravel().tolist(),
            "std_errors": one.std_errors[..., k].ravel().tolist(),
        }
        for one in found.estimates
        for k, output in enumerate(found.outputs)
    ]
