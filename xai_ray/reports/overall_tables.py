"""What holds over all rows of a dataset job, for people and for programs: terminal tables, JSON, and one long Arrow table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from xai_ray.reports.document import nested
from xai_ray.reports.rows import single_players
from xai_ray.reports.rows_overall import Overall, overall_of
from xai_ray.reports.tables import OUTPUTS, TOP
from xai_ray.reports.wording import decimals, number, parameters, title
from xai_ray.types import Floats

if TYPE_CHECKING:
    from xai_ray.reports.rows_result import RowsResult

NUMBERS = {
    "absolute": "absolute",
    "absolute_std_error": "absolute_std_errors",
    "absolute_bias": "absolute_bias",
    "plug_in": "plug_in",
    "mean": "mean",
    "mean_std_error": "mean_std_errors",
    "square": "square",
    "square_std_error": "square_std_errors",
}
"""Columns of the long table, and the fields of `GlobalValues` that they hold."""


def overall_document(result: RowsResult) -> dict[str, Any]:
    """JSON: `{"job", "digest", "players", "outputs", "rows", "evaluations", "global": [..]}`, an entry a question with the arrays of
    `GlobalValues` over sets (and contexts, and outputs where there are several); what is not known is None.
    """
    return {
        "job": result.job,
        "digest": result.digest,
        "players": list(result.players),
        "outputs": list(result.outputs),
        "rows": result.n_rows,
        "evaluations": result.evaluations,
        "global": [_entry(result, one) for one in overall_of(result)],
    }


def overall_arrow(result: RowsResult) -> pa.Table:
    """A row a question, set, context and output: `index`, `coalition`, `players`, `context`, `output`, and NUMBERS."""
    parts = [_part(result, one) for one in overall_of(result)]
    plain = {"job": result.job, "digest": result.digest, "rows": str(result.n_rows)}
    return pa.concat_tables(parts).replace_schema_metadata(plain)


def overall_csv(result: RowsResult) -> pa.Table:
    """The same without the list of player numbers, which CSV cannot hold."""
    return overall_arrow(result).drop_columns(["coalition"])


def overall_tables(result: RowsResult, top: int = TOP) -> Group:
    """The `top` largest of mean |value| of each question and output, and the strengths of interactions per context."""
    shown: list[Table | Text] = []
    for one in overall_of(result):
        for output in range(min(OUTPUTS, len(result.outputs))):
            shown += _table(result, one, output, top)
            if one.strength is not None:
                shown += _strengths(result, one, output)
    bias = "mean |value| has the noise of the estimates taken out; plug-in has it left in"
    shown.append(Text(f"  over {result.n_rows:,} rows; standard errors are those of rows that were drawn; {bias}\n"))
    return Group(*shown)


def _entry(result: RowsResult, one: Overall) -> dict[str, Any]:
    question = one.question
    out: dict[str, Any] = {"index": question.index, "order": question.order or max(map(len, one.sets), default=1)}
    if set_to := parameters(question):
        out["parameters"] = set_to
    if question.contexts is not None:
        out["contexts"] = list(question.contexts)
    if not single_players(one.sets, len(result.players)):
        out["coalitions"] = [list(s) for s in one.sets]
    out |= {_plural(name): nested(_cut(one, getattr(one.found, field))) for name, field in NUMBERS.items()}
    out["estimator"] = one.estimator
    if (strength := one.strength) is not None:
        fields = ("absolute", "absolute_std_errors", "normalised", "normalised_std_errors")
        out["strength"] = {field: nested(getattr(strength, field)) for field in fields}
    return out


def _plural(name: str) -> str:
    return f"{name}s" if name.endswith("std_error") else name


def _cut(one: Overall, array: Floats) -> Floats:
    return array if one.question.contexts is not None else array[:, 0]


def _part(result: RowsResult, one: Overall) -> pa.Table:
    c, m, k = one.found.mean.shape
    contexts = pa.array(np.tile(np.repeat(one.question.contexts or (0,), k), c).astype(np.int32))
    if one.question.contexts is None:
        contexts = pa.nulls(c * m * k, pa.int32())
    sets = [s for s in one.sets for _ in range(m * k)]
    columns: dict[str, Any] = {
        "index": [one.question.index] * len(sets),
        "coalition": pa.array([list(s) for s in sets], pa.list_(pa.int32())),
        "players": [" x ".join(result.players[i] for i in s) for s in sets],
        "context": contexts,
        "output": list(result.outputs) * (c * m),
    }
    numbers = {name: pa.array(getattr(one.found, field).ravel(), from_pandas=True) for name, field in NUMBERS.items()}
    return pa.table(columns | numbers)


def _table(result: RowsResult, one: Overall, output: int, top: int) -> list[Table | Text]:
    found = one.found
    absolute, errors = found.absolute[..., output], found.absolute_std_errors[..., output]
    chosen = np.argsort(-absolute.ravel(), kind="stable")[:top]
    digits = decimals(absolute.ravel()[chosen], errors.ravel()[chosen])
    heading = f"{title(one.question)} over all rows: {result.outputs[output]}"
    table = Table(title=escape(heading), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")
    table.add_column("player" if one.sets and len(one.sets[0]) == 1 else "players", overflow="fold")
    for head in [*(["m"] if one.question.contexts is not None else []), "mean |value|", "plug-in", "mean value"]:
        table.add_column(head, justify="right", no_wrap=True)
    for at in chosen:
        s, m = np.unravel_index(int(at), absolute.shape)
        cells = [escape(" x ".join(result.players[i] for i in one.sets[int(s)]))]
        cells += [str(one.question.contexts[int(m)])] if one.question.contexts is not None else []
        cells.append(_with_error(float(absolute[s, m]), float(errors[s, m]), digits, False))
        cells.append(number(float(found.plug_in[s, m, output]), digits, sign=False))
        mean, error = float(found.mean[s, m, output]), float(found.mean_std_errors[s, m, output])
        table.add_row(*cells, _with_error(mean, error, digits, True))
    count = f"{len(chosen):,} of {absolute.size:,} shown; " if absolute.size > len(chosen) else ""
    return [table, Text(f"  {count}± is one standard error; {one.estimator}\n")]


def _strengths(result: RowsResult, one: Overall, output: int) -> list[Table | Text]:
    strength = one.strength
    assert strength is not None
    absolute, errors = strength.absolute[:, output], strength.absolute_std_errors[:, output]
    share, spread = strength.normalised[:, output], strength.normalised_std_errors[:, output]
    digits = decimals(absolute, errors)
    heading = f"strength of interactions, mean over rows and pairs: {result.outputs[output]}"
    table = Table(title=escape(heading), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for head in ("m", "mean |I|", "J (divided by its mean)"):
        table.add_column(head, justify="right", no_wrap=True)
    for at, context in enumerate(strength.contexts):
        own = _with_error(max(float(absolute[at]), 0.0), float(errors[at]), digits, False)
        table.add_row(str(context), own, _with_error(float(share[at]), float(spread[at]), 3, False))
    hidden = "  0: hidden by the noise of the estimates; take more evaluations a row\n"
    return [table, Text(hidden if (absolute <= 0).any() else "")]


def _with_error(value: float, error: float, digits: int | None, sign: bool) -> str:
    return f"{number(value, digits, sign=sign)} ± {number(error, digits, sign=False)}"
