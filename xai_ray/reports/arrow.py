"""A result as one long Arrow table: a row a set, context and output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xai_ray.errors import InputError
from xai_ray.estimators.estimate import Estimate
from xai_ray.reports.rows import rows

if TYPE_CHECKING:
    import pandas as pd

    from xai_ray.reports.result import Result

FORMAT = 1
"""Version of the layout, in the schema's metadata under `format`."""

SCHEMA = pa.schema(
    [
        pa.field("estimate", pa.int32(), nullable=False),
        pa.field("index", pa.string(), nullable=False),
        pa.field("order", pa.int32(), nullable=False),
        pa.field("coalition", pa.list_(pa.int32()), nullable=False),
        pa.field("players", pa.list_(pa.string()), nullable=False),
        pa.field("context", pa.int32()),
        pa.field("output", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("std_error", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
    ]
)
"""`estimate` numbers the estimates of the result; `low` and `high` bound the 95 % interval; a missing value is null."""


def to_arrow(result: Result) -> pa.Table:
    """The whole result; metadata: `format`, `job`, `digest`, `evaluations`, `estimators` (a JSON list)."""
    schema = SCHEMA.with_metadata(
        {
            "format": str(FORMAT),
            "job": result.job,
            "digest": result.digest,
            "evaluations": str(result.evaluations),
            "estimators": json.dumps([e.estimator for e in result.estimates]),
        }
    )
    parts = [_part(result, number, estimate) for number, estimate in enumerate(result.estimates)]
    return pa.concat_tables(parts).replace_schema_metadata(schema.metadata)


def to_pandas(result: Result) -> pd.DataFrame:
    """See `Result.to_pandas`."""
    try:
        import pandas as pd
    except ImportError:
        raise InputError("to_pandas needs pandas: pip install pandas; to_arrow needs nothing more") from None
    frame = to_arrow(result).to_pandas()
    if frame["coalition"].map(len).eq(1).all():
        frame.insert(3, "player", frame.pop("players").str[0])
        frame = frame.drop(columns="coalition")
    return pd.DataFrame(frame)


def arrow_bytes(result: Result) -> bytes:
    """`to_arrow` as an Arrow IPC file."""
    table = to_arrow(result)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _part(result: Result, position: int, estimate: Estimate) -> pa.Table:
    flat, k = rows(estimate), len(result.outputs)
    r = len(flat.sets) * k
    take = pa.array(np.repeat(flat.sets, k))
    sizes = np.array([len(s) for s in estimate.coalitions], dtype=np.int64)
    members = pa.array(np.array([i for s in estimate.coalitions for i in s], dtype=np.int32))
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    named = pa.array(result.players, pa.string()).take(members)
    contexts = None if flat.contexts is None else np.repeat(flat.contexts, k)
    order = estimate.question.order or int(sizes.max(initial=1))
    columns = [
        pa.array(np.full(r, position, dtype=np.int32)),
        pa.repeat(pa.scalar(estimate.question.index, pa.string()), r),
        pa.array(np.full(r, order, dtype=np.int32)),
        pa.ListArray.from_arrays(offsets, members).take(take),
        pa.ListArray.from_arrays(offsets, named).take(take),
        pa.nulls(r, pa.int32()) if contexts is None else pa.array(contexts.astype(np.int32)),
        pa.array(result.outputs, pa.string()).take(pa.array(np.tile(np.arange(k), len(flat.sets)))),
        *(pa.array(a.ravel(), from_pandas=True) for a in (flat.values, flat.std_errors, flat.low, flat.high)),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)
