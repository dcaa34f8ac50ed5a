"""Axes to draw on, without touching pyplot's global state, and the colours of all pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from xai_ray.reports.wording import shorten
from xai_ray.types import Floats

POSITIVE = "#b2182b"
NEGATIVE = "#2166ac"
INK = "#333333"
FAINT = "#8a8a8a"
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe and Ito's palette: told apart by readers with any colour vision."""


def diverging() -> Colormap:
    """Blue below zero, white at zero, red above."""
    return colormaps["RdBu_r"]


def new_axes(width: float, height: float) -> Axes:
    """Axes of a figure of their own, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def symmetric(values: Floats) -> Normalize:
    """Colours symmetric about zero, over the finite values."""
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if finite.size else 0.0
    return Normalize(-(largest or 1.0), largest or 1.0)


def written(label: str, width: int = 28) -> str:
    """A label as matplotlib shows it literally: short, and with no dollar read as mathematics."""
    return shorten(label, width).replace("$", r"\$")


def sign_colours(values: Floats) -> list[str]:
    """Red for positive, blue for negative."""
    return [POSITIVE if value >= 0 else NEGATIVE for value in values]


def bare(axes: Axes, sides: Sequence[str] = ("top", "right")) -> None:
    """Take the named edges of the frame away."""
    for side in sides:
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)


def text_width(text: str, size: float) -> float:
    """Width of a line of text in points."""
    return float(TextPath((0, 0), text or " ", size=size).get_extents().width) if text.strip() else size / 3


def spread(positions: Floats, gap: float) -> Floats:
    """Positions moved apart to at least `gap`, in the same order and as near as a single pass allows."""
    order = np.argsort(positions, kind="stable")
    moved = positions[order].astype(np.float64)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    moved -= float(np.mean(moved) - np.mean(positions)) if len(moved) else 0.0
    out = np.empty_like(moved)
    out[order] = moved
    return out
