"""Tables for the terminal, and CSV."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from xai_ray.estimators.bands import quantiles
from xai_ray.estimators.estimate import Estimate
from xai_ray.indices.table import INDICES
from xai_ray.reports.rows import Rows, rows
from xai_ray.reports.wording import answer_name, check_words, decimals, names, number, short_names, stop_words, title

if TYPE_CHECKING:
    from xai_ray.reports.result import Result

TOP = 12
"""Rows shown of each estimate."""

OUTPUTS = 3
"""Outputs shown of each estimate."""

CSV_COLUMNS = ("estimate", "index", "order", "coalition", "players", "context", "output")
CSV_NUMBERS = ("value", "std_error", "low", "high")


def result_tables(result: Result, top: int = TOP) -> Group:
    """One table an estimate and output: the `top` largest |values| with standard errors and 95 % intervals."""
    shown = [
        part
        for estimate in result.estimates
        for output in range(min(OUTPUTS, len(result.outputs)))
        for part in _estimate_table(result, estimate, output, top)
    ]
    ended = stop_words(result.provenance.get("stop") or {})
    ended += check_words(result.provenance.get("self_check") or {})
    if result.rows is not None:
        ended.insert(0, f"means over {result.rows.n_rows} rows; --format arrow and csv have the rows themselves")
    if ended:
        shown.append(Text("\n".join(f"  {line}" for line in ended) + "\n"))
    if len(result.outputs) > OUTPUTS:
        shown.append(Text(f"{len(result.outputs) - OUTPUTS} more outputs: use --format json, csv or arrow"))
    return Group(*shown)


def write_csv(result: Result, stream: TextIO) -> None:
    """Every row of every estimate; a missing number is an empty field, floats round-trip exactly."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *CSV_NUMBERS])
    for position, estimate in enumerate(result.estimates):
        _write_rows(writer, result, position, rows(estimate))


def total_line(result: Result, estimate: Estimate, output: int) -> str | None:
    """Sum of an efficient index beside v(N) - v(empty); None for any other index, or with a value missing."""
    info = INDICES.get(estimate.question.index)
    if (
        info is None
        or not info.efficient
        or (estimate.question.pairs or estimate.question.players) is not None
        or estimate.values.ndim == 3
    ):
        return None
    values = estimate.values[[len(s) > 0 for s in estimate.coalitions], output]
    if np.isnan(values).any():
        return None
    change = float(result.ends[1, output] - result.ends[0, output])
    digits = decimals(estimate.values[:, output], estimate.std_errors[:, output])
    return f"sum {number(float(values.sum()), digits)}; v(N) - v(∅) = {number(change, digits)}"


def missing_line(flat: Rows, output: int) -> str | None:
    """How many entries have no value."""
    gone = int(flat.missing[output])
    what = "sets" if flat.contexts is None else "cells (set and context)"
    return (
        f"{gone:,} of {len(flat.sets):,} {what} missing: no evaluation reached them; extend the budget"
        if gone
        else None
    )


def bands_line(estimate: Estimate, output: int) -> str | None:
    """How wide intervals are that hold at once; None where there is nothing uncertain or nothing to compare."""
    if np.count_nonzero(estimate.std_errors[..., output] > 0) < 2:
        return None
    wide = float(quantiles(estimate.std_errors, estimate.degrees_of_freedom)[output])
    return f"all at once (95 %): ± {wide:.2f} standard errors"


def _estimate_table(result: Result, estimate: Estimate, output: int, top: int) -> list[Table | Text]:
    flat = rows(estimate)
    chosen = flat.shown(output, top)
    alone = all(len(s) == 1 for s in estimate.coalitions)
    labels, width = (names(result), 40) if alone else (short_names(result), 24)
    digits = decimals(flat.values[chosen, output], flat.std_errors[chosen, output])
    heading = f"{title(estimate.question)}: {result.outputs[output]}"
    table = Table(title=escape(heading), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")
    heads = ["player" if alone else "players", "m", "value", "std. error", "95 % interval"]
    if flat.contexts is None:
        heads.remove("m")
    lines = [_cells(flat, labels, int(row), output, digits, width) for row in chosen]
    table.add_column(heads[0], overflow="fold")
    for place, head in enumerate(heads[1:], start=1):
        # On a narrow terminal names wrap, numbers never.
        wide = max([len(head), *(len(line[place]) for line in lines)])
        table.add_column(head, justify="right", no_wrap=True, min_width=wide)
    for line in lines:
        table.add_row(*line)
    notes = [f"{len(chosen):,} of {len(flat.sets):,} shown" if len(flat.sets) > len(chosen) else None]
    notes += [missing_line(flat, output), total_line(result, estimate, output)]
    notes += [bands_line(estimate, output), f"{estimate.estimator}, {estimate.evaluations:,} evaluations"]
    return [table, Text("  " + "; ".join(note for note in notes if note) + "\n")]


def _cells(flat: Rows, labels: list[str], row: int, output: int, digits: int | None, width: int) -> list[str]:
    low, high = (number(float(a[row, output]), digits) for a in (flat.low, flat.high))
    cells = [escape(answer_name(labels, flat.estimate.question, flat.coalition(row), width))]
    if flat.contexts is not None:
        cells.append(str(flat.context(row)))
    exact = flat.std_errors[row, output] == 0
    return [
        *cells,
        number(float(flat.values[row, output]), digits),
        "exact" if exact else number(float(flat.std_errors[row, output]), digits, sign=False),
        "" if exact else f"{low} .. {high}",
    ]


def _write_rows(writer: Any, result: Result, position: int, flat: Rows) -> None:
    index = flat.estimate.question.index
    order = flat.estimate.question.order or max((len(s) for s in flat.estimate.coalitions), default=1)
    columns = (flat.values, flat.std_errors, flat.low, flat.high)
    for row in range(len(flat.sets)):
        members, context = flat.coalition(row), flat.context(row)
        head = [position, index, order, " ".join(map(str, members)), " × ".join(result.players[i] for i in members)]
        for k, output in enumerate(result.outputs):
            cells = ["" if np.isnan(a[row, k]) else repr(float(a[row, k])) for a in columns]
            writer.writerow([*head, "" if context is None else context, output, *cells])
