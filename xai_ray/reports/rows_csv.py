"""The rows of a dataset job as CSV: a line for each row, question, output and set."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO

import numpy as np

from xai_ray.reports.rows_arrow import class_name

if TYPE_CHECKING:
    from xai_ray.reports.rows_result import RowsResult

COLUMNS = ("row", "index", "output", "players", "context", "value", "std_error", "evaluations")


def write_rows_csv(result: RowsResult, stream: TextIO) -> None:
    """Block by block. Rows that have names are called by them; floats round-trip exactly, a missing number is an empty field."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    asked = [
        (a, [" x ".join(result.players[i] for i in one) for one in result.sets(at)]) for at, a in enumerate(result.asks)
    ]
    for block in result.blocks():
        for at, (row, spent) in enumerate(zip(block.rows.tolist(), block.evaluations, strict=True)):
            called = row if result.row_ids is None else result.row_ids[row]
            outputs = result.outputs
            if block.targets is not None:
                outputs = tuple(class_name(result, t) for t in block.targets[at].tolist())
            for (ask, names), answers in zip(asked, block.answers, strict=True):
                contexts = ask.question.contexts or ("",)
                values, errors = answers.values[at], answers.std_errors[at]
                for c, m, k in np.ndindex(values.shape):
                    numbers = [number_field(float(part[c, m, k])) for part in (values, errors)]
                    head = [called, ask.question.index, outputs[k], names[c], contexts[m]]
                    writer.writerow([*head, *numbers, int(spent)])


def number_field(value: float) -> str:
    """A float that reads back exactly; empty where it is missing."""
    return repr(value) if np.isfinite(value) else ""
