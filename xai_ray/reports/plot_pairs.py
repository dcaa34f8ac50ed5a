"""Pictures of pairs: on the photograph, over the words, as a matrix, as a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from xai_ray.estimators.estimate import Estimate
from xai_ray.reports.canvas import (
    FAINT,
    INK,
    NEGATIVE,
    POSITIVE,
    bare,
    diverging,
    new_axes,
    sign_colours,
    symmetric,
    text_width,
    written,
)
from xai_ray.reports.choose import output_position, pairwise
from xai_ray.reports.plot_values import colour_bar
from xai_ray.reports.rows import rows
from xai_ray.reports.wording import decimals, number, short_names
from xai_ray.types import Floats, Ints

if TYPE_CHECKING:
    from xai_ray.reports.result import Result

MATRIX_PLAYERS = 14
"""Players of a matrix or network: those with the strongest pairs."""


def pairs(
    result: Result, ax: Axes | None = None, output: int | str = 0, index: str | None = None, top: int = 10
) -> Axes:
    """The `top` strongest pairs as lines between regions or arcs over words, wider when stronger; else a matrix.

    Red pairs do more together than apart, blue ones less. Draws the first estimate with values of pairs, or that of
    `index`; raises NotEnoughSamples when there is none.
    """
    estimate, k = pairwise(result, index), output_position(result, output)
    view = result.view
    if view is None or view.kind not in ("image", "text"):
        return matrix(result, ax, output, index)
    ends, values, errors = _strongest(estimate, k, top)
    if view.kind == "image" and view.image is not None and view.regions is not None:
        ax = new_axes(5.6, 4.8) if ax is None else ax
        _on_image(ax, view.image, view.regions, len(result.players), ends, values)
    else:
        ax = _over_words(ax, list(view.labels), ends, values)
    ax.set_title(written(f"{estimate.question.index}: {result.outputs[k]}", 60), fontsize=10, color=INK, loc="left")
    _legend(ax, values, errors)
    return ax


def matrix(result: Result, ax: Axes | None = None, output: int | str = 0, index: str | None = None) -> Axes:
    """Values of pairs as a symmetric matrix of at most 14 players, those with the strongest pairs.

    Grey cells were not asked or are missing.
    """
    estimate, k = pairwise(result, index), output_position(result, output)
    whole, kept = _square(estimate, k, len(result.players))
    cells, labels = whole[np.ix_(kept, kept)], [written(short_names(result)[i], 24) for i in kept]
    side = 1.8 + 0.24 * len(kept)
    ax = new_axes(side + 1.2, side) if ax is None else ax
    np.fill_diagonal(cells, np.nan)
    norm = symmetric(cells)
    ax.imshow(np.ma.masked_invalid(cells), cmap=diverging(), norm=norm)
    ax.set_facecolor("#eeeeee")
    ax.set_xticks(range(len(kept)), labels, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(kept)), labels)
    ax.tick_params(length=0)
    bare(ax, ("top", "right", "bottom", "left"))
    ax.set_title(written(f"{estimate.question.index}: {result.outputs[k]}", 60), fontsize=10, color=INK, loc="left")
    colour_bar(ax, norm, "less together            more together")
    return ax


def network(
    result: Result, ax: Axes | None = None, output: int | str = 0, index: str | None = None, top: int = 30
) -> Axes:
    """The `top` strongest pairs as chords of a circle of at most 14 players; dots grow with the player's own value."""
    estimate, k = pairwise(result, index), output_position(result, output)
    whole, kept = _square(estimate, k, len(result.players))
    kept = np.sort(kept)
    m, labels = len(kept), short_names(result)
    angle = np.pi / 2 - 2 * np.pi * np.arange(m) / m
    spots = np.column_stack([np.cos(angle), np.sin(angle)])
    ax = new_axes(6.0, 6.0) if ax is None else ax
    upper = np.array(np.triu_indices(m, 1)).T
    strength = whole[kept[upper[:, 0]], kept[upper[:, 1]]]
    upper, strength = upper[~np.isnan(strength)], strength[~np.isnan(strength)]
    order = np.argsort(-np.abs(strength), kind="stable")[:top]
    _lines(ax, spots[upper[order]], strength[order])
    own = np.nan_to_num(np.diag(whole)[kept])
    size = 40 + 260 * np.abs(own) / max(float(np.abs(own).max(initial=0.0)), 1e-300)
    ax.scatter(
        spots[:, 0], spots[:, 1], s=size, c=sign_colours(own) if own.any() else FAINT, zorder=3, edgecolors="white"
    )
    for (x, y), turn, player in zip(spots, angle, kept, strict=True):
        degrees = np.degrees(turn) % 360
        left = 90 < degrees < 270
        ax.text(
            1.12 * x,
            1.12 * y,
            written(labels[player], 24),
            fontsize=9,
            color=INK,
            va="center",
            rotation_mode="anchor",
            ha="right" if left else "left",
            rotation=degrees + 180 if left else degrees,
        )
    room = 1.2 + 0.042 * max((min(len(labels[i]), 24) for i in kept), default=0)
    ax.set(xlim=(-room, room), ylim=(-room, room), aspect="equal")
    ax.axis("off")
    ax.set_title(written(f"{estimate.question.index}: {result.outputs[k]}", 60), fontsize=10, color=INK, loc="left")
    return ax


def _strongest(estimate: Estimate, output: int, top: int) -> tuple[Ints, Floats, Floats]:
    """The `top` strongest pairs: players (t, 2), values (t,), standard errors (t,)."""
    flat = rows(estimate)
    chosen = [r for r in flat.strongest(output) if len(estimate.coalitions[r]) == 2][:top]
    ends = np.array([estimate.coalitions[r] for r in chosen], dtype=np.int64).reshape(-1, 2)
    return ends, flat.values[chosen, output], flat.std_errors[chosen, output]


def _square(estimate: Estimate, output: int, n: int) -> tuple[Floats, Ints]:
    """All values as (n, n), NaN where unknown, and the players with the strongest pairs, strongest first."""
    small = [r for r, s in enumerate(estimate.coalitions) if 1 <= len(s) <= 2]
    ends = np.array([(estimate.coalitions[r][0], estimate.coalitions[r][-1]) for r in small], dtype=np.int64)
    whole = np.full((n, n), np.nan)
    whole[ends[:, 0], ends[:, 1]] = whole[ends[:, 1], ends[:, 0]] = estimate.values[small, output]
    strength = np.abs(np.nan_to_num(whole))
    np.fill_diagonal(strength, 0.0)
    return whole, np.argsort(-strength.max(axis=1), kind="stable")[:MATRIX_PLAYERS]


def _widths(values: Floats) -> Floats:
    return 1.0 + 5.0 * np.abs(values) / max(float(np.abs(values).max(initial=0.0)), 1e-300)


def _lines(ax: Axes, segments: Floats, values: Floats) -> None:
    # The weakest first, so that strong pairs lie on top.
    back = slice(None, None, -1)
    ax.add_collection(
        LineCollection(
            list(segments[back]),
            linewidths=_widths(values)[back],
            colors=sign_colours(values[back]),
            alpha=0.85,
            capstyle="round",
            zorder=2,
        )
    )


def _on_image(ax: Axes, image: np.ndarray, regions: np.ndarray, n: int, ends: Ints, values: Floats) -> None:
    grey = image @ np.array([0.299, 0.587, 0.114])
    ax.imshow(90 + grey * (165 / 255), cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
    inside = regions >= 0
    count = np.bincount(regions[inside], minlength=n)
    rows_, columns = np.nonzero(inside)
    with np.errstate(invalid="ignore"):
        centre = np.column_stack([np.bincount(regions[inside], w, n) / count for w in (columns, rows_)])
    _lines(ax, centre[ends], values)
    used = np.unique(ends)
    ax.scatter(centre[used, 0], centre[used, 1], s=16, c="white", edgecolors=INK, linewidths=0.8, zorder=3)
    ax.set(xlim=(-0.5, regions.shape[1] - 0.5), ylim=(regions.shape[0] - 0.5, -0.5), xticks=[], yticks=[])
    bare(ax, ("top", "right", "bottom", "left"))


def _over_words(ax: Axes | None, words: list[str], ends: Ints, values: Floats) -> Axes:
    shown = [written(word, 18) for word in words]
    long = len(words) > 14
    widths = np.array([14.0 if long else text_width(word, 10) for word in shown]) + 9
    centre = np.cumsum(widths) - widths / 2
    span = float(widths.sum())
    tall = float(max((abs(centre[a] - centre[b]) for a, b in ends), default=40.0)) * 0.36
    drop = max((text_width(word, 10) for word in shown), default=10.0) if long else 12.0
    if ax is None:
        ax = new_axes(max(span / 72 + 0.3, 3.5), (tall + drop + 30) / 72 + 1.0)
    arcs = [PathPatch(_arc(float(min(centre[a], centre[b])), float(max(centre[a], centre[b])))) for a, b in ends[::-1]]
    ax.add_collection(
        PatchCollection(
            arcs, facecolors="none", edgecolors=sign_colours(values[::-1]), linewidths=_widths(values[::-1]), alpha=0.85
        )
    )
    for x, word in zip(centre, shown, strict=True):
        ax.text(x, -7, word, fontsize=10, color=INK, ha="center", va="top", rotation=90 if long else 0)
    ax.set(xlim=(-4, span + 4), ylim=(-drop - 12, tall + 8))
    ax.axis("off")
    return ax


def _arc(a: float, b: float) -> Path:
    height = (b - a) * 0.48
    return Path([(a, 0), (a, height), (b, height), (b, 0)], [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])


def _legend(ax: Axes, values: Floats, errors: Floats) -> None:
    if not len(values):
        return
    digits = decimals(values, errors)
    largest = {sign: values[np.sign(values) == sign] for sign in (1, -1)}
    words = {1: "more together", -1: "less together"}
    lines = [
        Line2D([], [], color=POSITIVE if sign > 0 else NEGATIVE, linewidth=float(_widths(values)[values == v[0]][0]))
        for sign, v in largest.items()
        if len(v)
    ]
    labels = [f"{words[sign]}, {number(float(v[0]), digits)}" for sign, v in largest.items() if len(v)]
    ax.legend(lines, labels, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, frameon=False, fontsize=9)
