"""Coalitions of different lengths in forward passes of a few fixed shapes.

The shape of a row's forward pass depends on the row's own length alone, never on its neighbours, so neither do its bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from xai_ray.types import Coalitions, Floats, Ints

_WIDTHS = 6
"""More of them save padding of rows and waste rows of batches; four to ten cost about the same at 256 coalitions of 87 tokens."""


def widths(longest: int, count: int = _WIDTHS) -> Ints:
    """At most `count` lengths, evenly spaced, the last one `longest`; a row is filled up to the next one."""
    return np.unique(np.ceil(np.linspace(0, longest, count + 1)[1:])).astype(np.int64)


def batches(lengths: Ints, allowed: Ints, batch: int) -> Iterator[tuple[Ints, int, int]]:
    """Rows (batch,) of one width, that width, and how many of them are rows; the others repeat the first."""
    place = np.searchsorted(allowed, lengths)
    for at in np.unique(place):
        rows = np.flatnonzero(place == at)
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            yield np.concatenate([part, np.repeat(part[:1], batch - len(part))]), int(allowed[at]), len(part)


def by_length(lengths: Ints, allowed: Ints, batch: int, run: Callable[[Ints, int], Floats]) -> Floats:
    """Outputs (r, m) of all rows; `run` gives the outputs (batch, m) of some rows at one width."""
    out: Floats | None = None
    for rows, width, own in batches(lengths, allowed, batch):
        found = run(rows, width)
        if out is None:
            out = np.empty((len(lengths), found.shape[1]))
        out[rows[:own]] = found[:own]
    return np.empty((0, 1)) if out is None else out


def aligned_right(there: Coalitions, width: int) -> tuple[Ints, Coalitions]:
    """The columns that are there at the right end of `width` places, in order: column numbers and what is there, (rows, width)."""
    order = np.argsort(there, axis=1, kind="stable")[:, -width:]
    return order, np.take_along_axis(there, order, axis=1)


def distinct(coalitions: Coalitions) -> tuple[Coalitions, Ints]:
    """Each coalition once, and where each row is among them."""
    packed = np.packbits(coalitions, axis=1)
    _, first, inverse = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return coalitions[first], inverse.reshape(-1).astype(np.int64)
