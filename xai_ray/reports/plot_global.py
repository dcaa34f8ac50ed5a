"""Pictures of a whole dataset: mean |phi| with error bars, and every row's values as a swarm of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from xai_ray.errors import InputError
from xai_ray.overall import DatasetStrength, GlobalValues, PermutationImportance
from xai_ray.reports.canvas import FAINT, INK, LINES, POSITIVE, bare, new_axes, written
from xai_ray.types import Floats

_HALF = 0.4
"""Half the height of a swarm, in rows of the picture."""
_BINS = 120


def importance(
    found: GlobalValues | PermutationImportance,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
    output: int = 0,
    top: int = 15,
) -> Axes:
    """The `top` largest of mean |phi| (de-biased) or of permutation importance as bars with 95 % intervals.

    Of mean |phi| a hollow mark shows the plug-in mean of |estimate|, which noise makes too large. Raises InputError for names that do
    not fit.
    """
    if isinstance(found, PermutationImportance):
        values, errors, beside = found.values, found.std_errors, None
        names, label = (
            names or found.player_names,
            f"growth of the {', '.join(found.loss_names[output : output + 1])} when dealt anew",
        )
    else:
        values, errors, beside, label = found.absolute, found.absolute_std_errors, found.plug_in, "mean |value|"
        label += f" over {found.rows:,} rows"
    values, errors = _column(values, output), _column(errors, output)
    labels = _names(names, len(values))
    chosen = np.argsort(-values, kind="stable")[:top]
    ax = new_axes(5.6, 0.9 + 0.28 * max(len(chosen), 1)) if ax is None else ax
    places = np.arange(len(chosen))
    ax.barh(places, values[chosen], color=LINES[0], height=0.72, alpha=0.85)
    half = np.nan_to_num(1.96 * errors[chosen])
    if half.any():
        ax.errorbar(values[chosen], places, xerr=half, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    if beside is not None:
        plug_in = _column(beside, output)[chosen]
        if not np.allclose(plug_in, values[chosen]):
            ax.plot(
                plug_in, places, "D", color=POSITIVE, markerfacecolor="white", markersize=4.5, label="noise left in"
            )
            ax.legend(frameon=False, fontsize=8.5, loc="lower right", labelcolor=INK)
    _rows(ax, [labels[at] for at in chosen])
    ax.set_xlabel(written(label, 70), fontsize=9)
    return ax


def strengths(found: DatasetStrength, n_players: int, ax: Axes | None = None, output: int = 0) -> Axes:
    """Mean |I^(m)| over rows and pairs (de-biased) by context size m, with 95 % intervals."""
    order = np.argsort(found.contexts)
    x = np.asarray(found.contexts, dtype=np.float64)[order]
    values, errors = _column(found.absolute, output)[order], _column(found.absolute_std_errors, output)[order]
    ax = new_axes(5.4, 3.1) if ax is None else ax
    # Taking out noise may leave a little less than nothing.
    ax.errorbar(
        x,
        np.maximum(values, 0.0),
        yerr=np.nan_to_num(1.96 * errors),
        color=LINES[0],
        marker="o",
        markersize=4,
        capsize=2.5,
    )
    ax.set_ylim(bottom=0)
    ax.set_xlim(-0.02 * n_players, n_players - 2 + 0.02 * n_players)
    ax.set_xlabel(f"other players present, m of {n_players - 2}", fontsize=9)
    ax.set_ylabel("mean |I|", fontsize=9)
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax, ("top", "right"))
    ax.tick_params(colors=FAINT)
    return ax


def beeswarm(
    values: npt.ArrayLike,
    features: npt.ArrayLike | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
    top: int = 12,
) -> Axes:
    """Values (R, n) of R rows, one swarm a player, the players with the largest mean |value| first.

    `features` (R, n) colours each point by where the row's value of that column lies between the column's 5th and 95th percentile; NaN
    is grey. Raises InputError for tables that do not fit.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise InputError(f"a beeswarm takes finite values of shape (rows, players) of one output, got {table.shape}")
    given = None if features is None else np.asarray(features, dtype=np.float64)
    if given is not None and given.shape != table.shape:
        raise InputError(f"features have shape {given.shape}, the values {table.shape}")
    labels = _names(names, table.shape[1])
    chosen = np.argsort(-np.abs(table).mean(axis=0), kind="stable")[:top]
    ax = new_axes(6.4, 1.0 + 0.42 * len(chosen)) if ax is None else ax
    reach = float(np.abs(table[:, chosen]).max()) or 1.0
    size = float(np.clip(4000 / len(table), 3, 16))
    for place, player in enumerate(chosen):
        x = table[:, player]
        y = place + _swarm(x / reach)
        if given is None:
            ax.scatter(x, y, s=size, color=LINES[0], linewidths=0, alpha=0.7)
        else:
            ax.scatter(x, y, s=size, c=_shade(given[:, player]), linewidths=0, alpha=0.85)
    ax.set_ylim(-0.7, len(chosen) - 0.3)
    ax.axvline(0, color=INK, linewidth=0.8)
    _rows(ax, [labels[at] for at in chosen])
    ax.set_xlabel(f"value of each of {len(table):,} rows", fontsize=9)
    if given is not None:
        bar = ax.figure.colorbar(ScalarMappable(Normalize(0, 1), colormaps["viridis"]), ax=ax, fraction=0.03, pad=0.02)
        bar.set_ticks([0, 1], labels=["low", "high"])
        bar.ax.tick_params(labelsize=8, colors=INK)
        bar.set_label("value of the column", fontsize=9, color=INK)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return ax


def _swarm(x: Floats) -> Floats:
    """Heights that keep points of one bin apart, alternating up and down; x within -1..1."""
    bins = np.clip(((x + 1) * _BINS / 2).astype(np.int64), 0, _BINS - 1)
    order = np.argsort(bins, kind="stable")
    counts = np.bincount(bins, minlength=_BINS)
    rank = np.empty(len(x), dtype=np.int64)
    rank[order] = np.arange(len(x)) - np.repeat(np.cumsum(counts) - counts, counts)
    step = np.where(rank % 2 == 0, 1, -1) * ((rank + 1) // 2)
    return np.asarray(step * min(2 * _HALF / max(int(counts.max()), 1), 0.08), dtype=np.float64)


def _shade(column: Floats) -> npt.NDArray[np.float64]:
    """Colours (R, 4)."""
    known = np.isfinite(column)
    low, high = np.percentile(column[known], [5, 95]) if known.any() else (0.0, 1.0)
    share = np.clip((np.nan_to_num(column) - low) / ((high - low) or 1.0), 0, 1)
    colours = np.asarray(colormaps["viridis"](share))
    colours[~known] = (0.6, 0.6, 0.6, 1.0)
    return colours


def _rows(ax: Axes, labels: Sequence[str]) -> None:
    ax.set_yticks(np.arange(len(labels)), [written(label, 36) for label in labels])
    ax.invert_yaxis()
    ax.grid(axis="x", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax, ("top", "right", "left"))
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", colors=FAINT)


def _column(table: Floats, output: int) -> Floats:
    if table.ndim == 1:
        return table
    if table.ndim != 2 or not 0 <= output < table.shape[1]:
        raise InputError(
            f"output {output} of values of shape {table.shape}: give one a player, and an output that is there"
        )
    return table[:, output]


def _names(names: Sequence[str] | None, count: int) -> list[str]:
    if names is not None and len(names) != count:
        raise InputError(f"{len(names)} names for {count} players")
    return [str(name) for name in names] if names is not None else [f"player {at}" for at in range(count)]
