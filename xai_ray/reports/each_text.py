"""A job of inputs with players of their own for people and for files: a line an input, CSV, the JSON summary."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from xai_ray.reports.rows import context_sizes
from xai_ray.reports.rows_csv import number_field

if TYPE_CHECKING:
    from xai_ray.reports.each_result import EachResult
    from xai_ray.reports.result import Result

_SHOWN = 3
"""Sets that a line names."""
_COLUMNS = ("row", "index", "output", "players", "context", "value", "std_error", "evaluations")


def each_lines(found: EachResult) -> Iterator[str]:
    """A line an input: its name, how much it took, and its strongest sets."""
    return (_line(found.name(row), one) for row, one in enumerate(found.results()))


def write_each_csv(found: EachResult, stream: TextIO) -> None:
    """A line for each input, question, set and output; floats round-trip exactly, a missing number is an empty field."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row, one in enumerate(found.results()):
        for estimate in one.estimates:
            contexts = context_sizes(estimate) if estimate.values.ndim == 3 else ("",)
            shape = (len(estimate.coalitions), len(contexts), len(one.outputs))
            values, errors = estimate.values.reshape(shape), estimate.std_errors.reshape(shape)
            for c, m, k in np.ndindex(shape):
                names = " x ".join(one.players[i] for i in estimate.coalitions[c])
                numbers = [number_field(float(part[c, m, k])) for part in (values, errors)]
                head = [found.name(row), estimate.question.index, one.outputs[k], names, contexts[m]]
                writer.writerow([*head, *numbers, one.evaluations])


def each_document(result: Result, found: EachResult) -> dict[str, Any]:
    """The JSON object of the job: how many texts and evaluations; the texts themselves are in the other formats, or by `--row`."""
    stop = result.provenance.get("stop")
    return {
        "job": result.job,
        "digest": result.digest,
        "texts": found.n_inputs,
        "outputs": list(result.outputs),
        "evaluations": found.evaluations,
        **({"stop": stop} if stop else {}),
    }


def _line(name: str, found: Result) -> str:
    estimate = found.estimates[0]
    values = np.nan_to_num(estimate.values[..., 0].reshape(len(estimate.coalitions), -1))
    best = np.argsort(-np.abs(values).max(axis=1), kind="stable")[:_SHOWN]
    told = [
        f"{' x '.join(found.players[i] for i in estimate.coalitions[s])} {values[s][np.abs(values[s]).argmax()]:+.3g}"
        for s in best
    ]
    return f"{name}  {len(found.players)} players  {found.evaluations} evaluations  {', '.join(told)}"
