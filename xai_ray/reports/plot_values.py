"""Pictures of one value a player: on the photograph, on the words, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from xai_ray.reports.canvas import FAINT, INK, bare, diverging, new_axes, sign_colours, symmetric, text_width, written
from xai_ray.reports.choose import asked_players, output_position
from xai_ray.reports.rows import rows
from xai_ray.reports.wording import decimals, names, number, row_name
from xai_ray.types import Floats

if TYPE_CHECKING:
    from xai_ray.games.view import View
    from xai_ray.reports.result import Result

STRONGEST_OVERLAY = 0.72
"""Opacity where |value| is largest; it falls to zero with the value, so that the photograph shows through."""


def heatmap(result: Result, ax: Axes | None = None, output: int | str = 0, index: str | None = None) -> Axes:
    """Values of the players where a reader sees them: over the photograph, behind the words; bars for other views, and where only some
    players were asked.

    Red raises the output, blue lowers it, hatching marks players whose value is missing. Draws the first estimate
    with one value a player, or that of `index`; raises NotEnoughSamples when there is none.
    """
    estimate, k = asked_players(result, index), output_position(result, output)
    if estimate.question.players is not None:
        return bar(result, ax, output, index)
    values, view = estimate.values[:, k], result.view
    if view is not None and view.kind == "image" and view.image is not None and view.regions is not None:
        ax = new_axes(5.6, 4.8) if ax is None else ax
        _overlay(ax, view.image, view.regions, values)
    elif view is not None and view.kind == "text":
        ax = _words(ax, view, values, decimals(values, estimate.std_errors[:, k]))
    else:
        return bar(result, ax, output, index)
    ax.set_title(written(f"{estimate.question.index}: {result.outputs[k]}", 60), fontsize=10, color=INK, loc="left")
    return ax


def bar(result: Result, ax: Axes | None = None, output: int | str = 0, index: str | None = None, top: int = 15) -> Axes:
    """The `top` largest |values| of the first estimate with one value a player (or of `index`), with 95 % intervals."""
    estimate, k = asked_players(result, index), output_position(result, output)
    flat, labels = rows(estimate), names(result)
    chosen = flat.strongest(k, top)
    ax = new_axes(5.6, 0.9 + 0.28 * max(len(chosen), 1)) if ax is None else ax
    values, places = flat.values[chosen, k], np.arange(len(chosen))
    half = flat.high[chosen, k] - values
    ax.barh(places, values, color=sign_colours(values), height=0.72, alpha=0.85)
    if (half > 0).any():
        ax.errorbar(values, places, xerr=half, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    ticks = [written(row_name(labels, flat.coalition(int(r)), flat.context(int(r)), 36), 40) for r in chosen]
    ax.set_yticks(places, ticks)
    ax.invert_yaxis()
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.grid(axis="x", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax, ("top", "right", "left"))
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(written(f"{estimate.question.index} of {result.outputs[k]}", 70), fontsize=9)
    return ax


def colour_bar(ax: Axes, norm: Normalize, label: str) -> None:
    """The diverging scale beside axes."""
    bar_ = ax.figure.colorbar(ScalarMappable(norm, diverging()), ax=ax, fraction=0.046, pad=0.03)
    bar_.ax.tick_params(labelsize=8, colors=INK)
    bar_.set_label(label, fontsize=9, color=INK)
    bar_.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def _overlay(ax: Axes, image: np.ndarray, regions: np.ndarray, values: Floats) -> None:
    norm = symmetric(values)
    grey = image @ np.array([0.299, 0.587, 0.114])
    # A pale grey photograph keeps the overlay's colours true to the scale beside it.
    ax.imshow(90 + grey * (165 / 255), cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
    at = np.where(regions >= 0, np.append(values, np.nan)[regions], np.nan)
    layer = diverging()(norm(np.nan_to_num(at)))
    layer[..., 3] = np.nan_to_num(np.sqrt(np.abs(at) / norm.vmax)) * STRONGEST_OVERLAY  # type: ignore[operator]
    ax.imshow(layer, interpolation="nearest")
    edges = np.zeros(regions.shape, dtype=bool)
    edges[1:] |= regions[1:] != regions[:-1]
    edges[:, 1:] |= regions[:, 1:] != regions[:, :-1]
    ax.imshow(np.where(edges[..., None], (1.0, 1.0, 1.0, 0.45), (0.0, 0.0, 0.0, 0.0)), interpolation="nearest")
    gone = (regions >= 0) & np.isnan(at)
    if gone.any():
        ax.contourf(gone.astype(float), levels=[0.5, 1.5], colors="none", hatches=["////"])
    ax.set_xticks([])
    ax.set_yticks([])
    bare(ax, ("top", "right", "bottom", "left"))
    colour_bar(ax, norm, "lowers            raises")


def _words(ax: Axes | None, view: View, values: Floats, digits: int | None) -> Axes:
    size, line, gap = 12.0, 42.0, 9.0
    width = 560.0 if ax is None else float(ax.get_window_extent().width) / ax.figure.dpi * 72  # type: ignore[union-attr]
    shown = [(written(word, 24), number(float(v), digits)) for word, v in zip(view.labels, values, strict=True)]
    places, x, y = [], 0.0, 0.0
    for word, below in shown:
        wide = max(text_width(word, size), text_width(below, 7.5)) + 8
        if x and x + wide > width:
            x, y = 0.0, y + line
        places.append((x + wide / 2, y))
        x += wide + gap
    ax = new_axes(width / 72 + 0.2, (y + line) / 72 + 0.35) if ax is None else ax
    norm = symmetric(values)
    for (cx, cy), (word, below), value in zip(places, shown, values, strict=True):
        face = "#ffffff" if np.isnan(value) else diverging()(norm(value))
        dark = not np.isnan(value) and abs(value) > 0.6 * float(norm.vmax or 1)
        box = {"boxstyle": "round,pad=0.25", "facecolor": face, "edgecolor": "#cccccc", "linewidth": 0.6}
        ax.text(cx, cy, word, size=size, ha="center", va="center", color="white" if dark else INK, bbox=box)
        ax.text(cx, cy + 17, below, size=7.5, ha="center", va="center", color=FAINT if np.isnan(value) else INK)
    ax.set_xlim(-6, width + 6)
    ax.set_ylim(y + 26, -16)
    ax.axis("off")
    return ax
