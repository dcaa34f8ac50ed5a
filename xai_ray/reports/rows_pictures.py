"""Pictures of a dataset job: importance over all rows with error bars, every row as a point, strength of interactions per order."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from xai_ray.overall import GlobalValues
from xai_ray.reports.plot_global import beeswarm, importance, strengths
from xai_ray.reports.rows import single_players
from xai_ray.reports.rows_overall import Overall, sampled_rows
from xai_ray.reports.wording import decimals, number, title
from xai_ray.types import Floats

if TYPE_CHECKING:
    from collections.abc import Callable

    from xai_ray.reports.rows_result import RowsResult

MOST = 1_000
"""Rows of a beeswarm; of more, evenly spaced ones are drawn."""
_INTERVALS = " Bars are 95 % intervals for the mean over rows like these."


@dataclass(frozen=True)
class RowsPicture:
    """A figure that is still to be drawn."""

    heading: str
    draw: Callable[[], Axes]
    caption: str
    raster: bool = False
    """Whether it has too many marks for a vector graphic."""


def rows_pictures(result: RowsResult, found: tuple[Overall, ...]) -> list[RowsPicture]:
    """Of the first output. Memory: a block, and the rows of a beeswarm."""
    out: list[RowsPicture] = []
    for at, one in enumerate(found):
        names = [" x ".join(result.players[i] for i in s) for s in one.sets]
        if one.strength is not None:
            caption = "Mean |I| over all rows and pairs, noise taken out, when m of the other players are present."
            if (one.strength.absolute[:, 0] <= 0).any():
                caption += " Where it is 0 the noise of the estimates hides it: take more evaluations a row."
            draw = partial(strengths, one.strength, len(result.players))
            out.append(RowsPicture("Interaction strength per order", draw, caption + _INTERVALS))
        if one.question.contexts is not None:
            continue
        caption = "Mean |value| over all rows, noise taken out." + _INTERVALS
        draw = partial(importance, _first_output(one), names)
        out.append(RowsPicture(f"Importance: {title(one.question)}", draw, caption))
        if single_players(one.sets, len(result.players)):
            table, features = _sample(result, at)
            some = "" if result.n_rows <= MOST else f" {len(table):,} of {result.n_rows:,} rows, evenly spaced."
            colours = " Colour is the value of the column." if features is not None else ""
            draw = partial(beeswarm, table, features, names)
            out.append(RowsPicture("Every row", draw, f"One point a row.{colours}{some}", raster=True))
    return out


def rows_headline(result: RowsResult, found: tuple[Overall, ...]) -> str:
    """What matters most over all rows, with standard errors over rows."""
    one = next((o for o in found if o.question.contexts is None), found[0])
    absolute, errors = (array[..., 0].ravel() for array in (one.found.absolute, one.found.absolute_std_errors))
    order = np.argsort(-absolute, kind="stable")[:2]
    digits = decimals(absolute[order], errors[order])
    contexts = one.found.absolute.shape[1]

    def said(at: int) -> str:
        called = " x ".join(result.players[i] for i in one.sets[at // contexts])
        amount = number(float(absolute[at]), digits, sign=False)
        return f"{called}, {amount}\u00a0±\u00a0{number(float(errors[at]), digits, sign=False)}"

    second = f", followed by {said(int(order[1]))}" if len(order) > 1 else ""
    what = f"mean |{one.question.index}|"
    return f"Over {result.n_rows:,} rows the largest {what} is that of {said(int(order[0]))}{second}."


def _first_output(one: Overall) -> GlobalValues:
    cuts = {f.name: getattr(one.found, f.name)[:, 0, 0] for f in fields(one.found) if f.name != "rows"}
    return replace(one.found, **cuts)


def _sample(result: RowsResult, at: int) -> tuple[Floats, Floats | None]:
    picked = list(sampled_rows(result, at, MOST))
    table = np.stack([values[:, 0, 0] for _, values in picked])
    data = None if result.data is None else np.asarray(result.data[[row for row, _ in picked]])
    fits = data is not None and data.shape == table.shape and np.issubdtype(data.dtype, np.number)
    return table, np.asarray(data, dtype=np.float64) if fits else None
