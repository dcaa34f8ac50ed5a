"""The table of a dataset job: a line for each row, question and output, its values as a list in the order of the sets.

    row                 number of the row in the dataset
    id                  its name, where rows have one
    index, output       question and explained output
    base_value          v(empty)
    full_value          v(grand); of an efficient index the values add up to the difference
    evaluations         evaluations of v that the row took
    degrees_of_freedom  of the standard errors
    values, std_errors  one a set; over contexts, set by set

The metadata of the schema hold `format`, `job`, `digest`, `players`, `sets` (a list of lists of player numbers, one list a question) and
`contexts`, as JSON.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from xai_ray.errors import InputError
from xai_ray.estimators.row_pool import RowBlock

if TYPE_CHECKING:
    from xai_ray.reports.rows_result import RowsResult

FORMAT = 1


def schema_of(result: RowsResult) -> pa.Schema:
    """The schema with its metadata."""
    fields = [pa.field("row", pa.int64(), nullable=False)]
    if result.row_ids is not None:
        numbers = all(isinstance(name, int) for name in result.row_ids)
        fields.append(pa.field("id", pa.int64() if numbers else pa.string(), nullable=False))
    fields += [
        pa.field("index", pa.string(), nullable=False),
        pa.field("output", pa.string(), nullable=False),
        pa.field("base_value", pa.float64(), nullable=False),
        pa.field("full_value", pa.float64(), nullable=False),
        pa.field("evaluations", pa.int64(), nullable=False),
        pa.field("degrees_of_freedom", pa.float64(), nullable=False),
        pa.field("values", pa.list_(pa.float64()), nullable=False),
        pa.field("std_errors", pa.list_(pa.float64()), nullable=False),
    ]
    said: dict[str, Any] = {
        "players": list(result.players),
        "sets": [[list(one) for one in result.sets(at)] for at in range(len(result.asks))],
        "contexts": [None if a.question.contexts is None else list(a.question.contexts) for a in result.asks],
        "estimators": [a.estimator for a in result.asks],
    }
    plain = {"format": str(FORMAT), "job": result.job, "digest": result.digest}
    return pa.schema(fields, metadata=plain | {key: json.dumps(value) for key, value in said.items()})


def batch_of(result: RowsResult, schema: pa.Schema, block: RowBlock) -> pa.RecordBatch:
    """The lines of a block."""
    b, k, q = len(block.draws), len(result.outputs), len(block.answers)
    rows = np.repeat(block.rows, q * k)
    columns: list[pa.Array] = [pa.array(rows)]
    if result.row_ids is not None:
        columns.append(pa.array([result.row_ids[r] for r in rows.tolist()], schema.field("id").type))
    spent = np.repeat(block.evaluations, q * k)
    freedom = np.repeat(np.stack([a.freedom for a in block.answers], axis=1).ravel(), k)
    ends = np.broadcast_to(block.ends[:, :, None], (b, 2, q, k))
    columns += [
        pa.array(np.tile(np.repeat([a.question.index for a in result.asks], k), b), pa.string()),
        pa.array(_outputs(result, block, q), pa.string()),
        pa.array(ends[:, 0].ravel()),
        pa.array(ends[:, 1].ravel()),
        pa.array(spent.astype(np.int64)),
        pa.array(freedom),
        _lists([a.values for a in block.answers]),
        _lists([a.std_errors for a in block.answers]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def write_rows(result: RowsResult, path: Path) -> Path:
    """Write the table as an Arrow IPC file, block by block; the file is there when it is whole."""
    return placed(path, lambda sink: write_arrow(result, sink), "choose another folder")


def placed(path: Path, write: Callable[[BinaryIO], None], remedy: str) -> Path:
    """A file that is there when it is whole. Raises InputError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as sink:
            write(sink)
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return path


def write_arrow(result: RowsResult, sink: BinaryIO) -> None:
    """The table as an Arrow IPC file, block by block."""
    schema = schema_of(result)
    with pa.ipc.new_file(sink, schema) as writer:
        for block in result.blocks():
            writer.write_batch(batch_of(result, schema, block))


def _outputs(result: RowsResult, block: RowBlock, q: int) -> list[str]:
    if block.targets is None:
        return list(result.outputs) * (len(block.draws) * q)
    return [name for row in block.targets.tolist() for name in [class_name(result, t) for t in row] * q]


def class_name(result: RowsResult, target: int) -> str:
    """Of an explained class."""
    return result.classes[target] if target < len(result.classes) else f"class {target}"


def _lists(parts: list[np.ndarray[Any, np.dtype[np.float64]]]) -> pa.ListArray:
    """Arrays (b, c, m, k), one a question, as a list for each row, question and output."""
    b, _, _, k = parts[0].shape
    flat = [part.transpose(0, 3, 1, 2).reshape(b, k, -1) for part in parts]
    sizes = np.tile(np.repeat([part.shape[2] for part in flat], k), b)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    numbers = np.concatenate([part.reshape(b, -1) for part in flat], axis=1).ravel()
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(numbers, from_pandas=True))
