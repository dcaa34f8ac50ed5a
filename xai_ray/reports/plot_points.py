"""Pictures of what values of training points are good for: removing points, adding points, finding bad ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from xai_ray.errors import InputError
from xai_ray.reports.canvas import FAINT, INK, LINES, bare, new_axes, written
from xai_ray.types import Floats
from xai_ray.valuation.detection import Detection
from xai_ray.valuation.point_curves import Action, PointCurves

SHOWN = 3
"""Methods in a picture of curves, of two lines each."""


def point_curve(
    curves: PointCurves,
    names: Sequence[str] = ("values",),
    action: Action = "remove",
    ax: Axes | None = None,
    output: int = 0,
    noun: str = "points",
) -> Axes:
    """A score as points are removed or added, highest and lowest values first, beside the mean and the range of random orders.

    `names` are those of the valuations of the curves; the first three are drawn. Raises InputError for another number of names.
    """
    highest, lowest, random = (curves.of(action, order)[..., output] for order in ("highest", "lowest", "random"))
    if len(names) != len(highest):
        raise InputError(f"{len(names)} names for the curves of {len(highest)} valuations")
    ax = new_axes(6.2, 4.2) if ax is None else ax
    x = curves.counts / curves.players
    ax.fill_between(x, random.min(axis=0), random.max(axis=0), color=FAINT, alpha=0.25, linewidth=0)
    many = len(random)
    said = f"random: mean, range of {many}" if many > 1 else "one random order"
    ax.plot(x, random.mean(axis=0), color=FAINT, linewidth=1.6, label=said)
    one = len(names) == 1
    for place, name in enumerate(names[:SHOWN]):
        called = "" if one else f"{written(name, 22)}: "
        high, low = (LINES[1], LINES[0]) if one else (LINES[place], LINES[place])
        ax.plot(x, highest[place], "o-", color=high, markersize=3.5, label=f"{called}highest first")
        ax.plot(
            x, lowest[place], "s--", color=low, markersize=3.5, markerfacecolor="white", label=f"{called}lowest first"
        )
    _cut(ax, np.concatenate([highest[:SHOWN].ravel(), lowest[:SHOWN].ravel(), random.ravel()]), highest[0, [0, -1]])
    _percent(ax, f"{noun} {'removed' if action == 'remove' else 'added'}", curves.players)
    ax.set_ylabel(written(curves.scores[output], 40), fontsize=9)
    ax.grid(axis="y", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax)
    _legend_above(ax, 3 if one else 2)
    return ax


def inspected(found: Mapping[str, Detection], ax: Axes | None = None, noun: str = "points") -> Axes:
    """Share of the known bad points found as points are inspected, lowest values first: name of a method -> its detection."""
    ax, n, bad = _axes_of(found, ax, 6.2, 4.2)
    ax.plot([0, bad / n, 1], [0, 1, 1], "--", color=FAINT, linewidth=1.2, label="perfect")
    ax.plot([0, 1], [0, 1], ":", color=FAINT, linewidth=1.2, label="by chance")
    _lines(ax, [(name, np.arange(n + 1) / n, one.found / one.bad, "") for name, one in found.items()])
    _percent(ax, f"{noun} inspected, lowest values first", n)
    ax.set_ylim(-0.02, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_ylabel(f"known bad {noun} found, of {bad:,}", fontsize=9)
    return _finished(ax)


def roc(found: Mapping[str, Detection], ax: Axes | None = None, noun: str = "points") -> Axes:
    """How far the lowest values are the known bad points: name of a method -> its detection. AUROC and its 95 % interval in the legend."""
    ax, _, _ = _axes_of(found, ax, 5.2, 4.6)
    ax.plot([0, 1], [0, 1], ":", color=FAINT, linewidth=1.2, label="by chance: 0.5")
    told = [(name, one, f": AUROC {one.auroc:.3f} ({_ends(one)})") for name, one in found.items()]
    _lines(ax, [(name, one.false_positive_rate, one.true_positive_rate, more) for name, one, more in told])
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    for axis, words in (
        (ax.xaxis, f"share of the other {noun} inspected"),
        (ax.yaxis, f"share of the known bad {noun} found"),
    ):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.set_label_text(words, fontsize=9)
    return _finished(ax)


def _axes_of(found: Mapping[str, Detection], ax: Axes | None, width: float, height: float) -> tuple[Axes, int, int]:
    """Axes, points, and known bad ones. Raises InputError where there is nothing to draw."""
    if not found:
        raise InputError("no detection to draw; see xai_ray.valuation.detection")
    first = next(iter(found.values()))
    return new_axes(width, height) if ax is None else ax, len(first.found) - 1, first.bad


def _lines(ax: Axes, drawn: Sequence[tuple[str, Floats, Floats, str]]) -> None:
    """A line a method: its name, x, y, and what the legend adds to the name."""
    for place, (name, x, y, more) in enumerate(drawn):
        style, color = "-" if place < len(LINES) else "--", LINES[place % len(LINES)]
        ax.plot(x, y, style, color=color, linewidth=1.8, label=written(name, 24) + more)


def _ends(found: Detection) -> str:
    low, high = found.auroc_interval
    return f"{low:.2f}–{high:.2f}"


def _finished(ax: Axes) -> Axes:
    ax.grid(color="#e4e4e4", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax)
    ax.legend(frameon=False, fontsize=8.5, loc="lower right", labelcolor=INK)
    return ax


def _cut(ax: Axes, scores: Floats, ends: Floats) -> None:
    """Scores without a lower bound (r2 of a few points) must not flatten the rest: the picture ends below both ends by twice their span."""
    lowest = float(ends.min()) - 2.0 * (float(np.ptp(ends)) or float(np.abs(ends).max()) or 1.0)
    if float(scores.min()) < lowest:
        highest = float(scores.max())
        ax.set_ylim(lowest, highest + 0.05 * (highest - lowest))
        ax.text(0.01, 0.015, "lower scores are cut off", transform=ax.transAxes, fontsize=8, color=FAINT)


def _percent(ax: Axes, what: str, players: int) -> None:
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(f"{what}, of {players:,}", fontsize=9)


def _legend_above(ax: Axes, columns: int) -> None:
    ax.legend(
        frameon=False,
        fontsize=8.5,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        labelcolor=INK,
        columnspacing=1.4,
    )
