"""Pictures of curves: interaction strength per order, convergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.reports.canvas import FAINT, INK, LINES, bare, new_axes, spread, written
from xai_ray.reports.choose import output_position, profile
from xai_ray.reports.rows import context_sizes, rows
from xai_ray.reports.wording import row_name, short_names
from xai_ray.types import Floats

if TYPE_CHECKING:
    from xai_ray.reports.result import Result


@dataclass(frozen=True)
class Strength:
    """Interaction strength per context size; each array has shape (m,)."""

    share: Floats
    """Context size over n - 2."""
    plug_in: Floats
    """Mean over pairs of |I^(m)|: biased upwards by noise."""
    noise: Floats
    """What noise alone would show: mean over pairs of E|N(0, s.e.)| = 0.8 s.e."""
    debiased: Floats
    """Root mean square strength with the noise taken out: root of the mean over pairs of I^2 - s.e.^2, at least 0."""


def strength(estimate: Estimate, n_players: int, output: int = 0) -> Strength:
    """Strength per order from values of shape (c, m, k); missing cells are left out, NaN where all are missing."""
    values, errors = estimate.values[..., output], estimate.std_errors[..., output]
    here = ~np.isnan(values) & ~np.isnan(errors)
    count = here.sum(axis=0)

    def mean(array: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.where(here, array, 0.0).sum(axis=0) / count

    second = mean(values**2 - errors**2)
    share = np.asarray(context_sizes(estimate), dtype=np.float64) / max(n_players - 2, 1)
    noise = np.sqrt(2 / np.pi) * mean(errors)
    return Strength(share, mean(np.abs(values)), noise, np.sqrt(np.maximum(second, 0.0)))


def orders(result: Result, ax: Axes | None = None, output: int | str = 0, index: str | None = None) -> Axes:
    """Interaction strength per context size m/(n-2) with its noise floor, of the first estimate by context size."""
    estimate, k = profile(result, index), output_position(result, output)
    found = strength(estimate, len(result.players), k)
    order = np.argsort(found.share)
    x = found.share[order]
    ax = new_axes(5.4, 3.1) if ax is None else ax
    if (found.noise > 0).any():
        ax.fill_between(x, found.noise[order], color=FAINT, alpha=0.25, linewidth=0, label="noise floor of the mean")
        ax.plot(x, found.debiased[order], "s--", color=LINES[1], markersize=4, label="root mean square, noise removed")
    else:
        ax.plot(x, found.debiased[order], "s--", color=LINES[1], markersize=4, label="root mean square")
    ax.plot(x, found.plug_in[order], "o-", color=LINES[0], markersize=4, label="mean |I|")
    ax.set(ylim=(0, None), xlim=(-0.03, 1.03))
    ax.set_xlabel("context size m / (n - 2): share of the other players present", fontsize=9)
    ax.set_ylabel("interaction strength", fontsize=9)
    ax.grid(axis="y", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax)
    ax.legend(frameon=False, fontsize=8.5, loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=3, columnspacing=1.2)
    return ax


def convergence(result: Result, ax: Axes | None = None, output: int | str = 0, top: int = 5) -> Axes:
    """The `top` largest values of the first question with 95 % bands against the evaluations spent."""
    if len(result.convergence) < 2:
        raise NotEnoughSamples(
            f"job {result.job}: no convergence to draw: this needs estimates at two or more budgets and the result has "
            f"{len(result.convergence)}; run the spec with a sampled budget of two rounds or more"
        )
    k, steps = output_position(result, output), [rows(estimate) for estimate in result.convergence]
    chosen, labels = steps[-1].strongest(k, top), short_names(result)
    x = np.array([estimate.evaluations for estimate in result.convergence], dtype=np.float64)
    ax = new_axes(5.4, 3.1) if ax is None else ax
    for colour, row in zip(LINES, chosen, strict=False):
        ax.plot(x, [step.values[row, k] for step in steps], "o-", color=colour, markersize=3, linewidth=1.6)
        low, high = ([getattr(step, end)[row, k] for step in steps] for end in ("low", "high"))
        ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    ax.set_xscale("log")
    _count_axis(ax, x)
    middle = np.array([step.values[chosen, k] for step in steps])
    _limits(ax, middle)
    if ax.get_ylim()[0] < 0 < ax.get_ylim()[1]:
        ax.axhline(0, color=INK, linewidth=0.7)
    last = steps[-1]
    words = [written(row_name(labels, last.coalition(int(r)), last.context(int(r)), 22), 34) for r in chosen]
    _end_labels(ax, middle[-1], words)
    ax.set_xlabel("evaluations", fontsize=9)
    ax.set_ylabel(written(f"{last.estimate.question.index} of {result.outputs[k]}", 40), fontsize=9)
    bare(ax)
    return ax


def _count_axis(ax: Axes, x: Floats) -> None:
    ax.set_xlim(float(x.min()) * 0.94, float(x.max()) * 1.03)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _limits(ax: Axes, middle: Floats) -> None:
    # Early bands may be wide enough to flatten everything; the lines themselves decide the view.
    finite = middle[np.isfinite(middle)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    room = 0.35 * ((high - low) or abs(high) or 1.0)
    ax.set_ylim(low - room, high + room)


def _end_labels(ax: Axes, heights: Floats, words: list[str]) -> None:
    bottom, top = ax.get_ylim()
    gap = 0.062 * (top - bottom)
    for y, word, colour in zip(spread(heights, gap), words, LINES, strict=False):
        ax.annotate(
            word,
            (1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            fontsize=8.5,
            va="center",
            annotation_clip=False,
        )
