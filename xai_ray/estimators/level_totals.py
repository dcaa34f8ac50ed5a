"""What a read-out weighs by level, on average over its sets.

A level is a size t of coalitions with the number w of players of the set that they hold. Seen through a uniformly random relabelling of the
players, a linear read-out of fixed coalitions has an expectation that depends on these totals alone: each total times the mean of v
over all coalitions of its level. A table of a weight by level is a read-out, too.
"""

from __future__ import annotations

from math import comb

import numpy as np

from xai_ray.indices import Readout
from xai_ray.types import Coalitions, Floats, Ints

_BLOCK = 1 << 20
"""Pairs of coalitions at a time."""


def levels(coalitions: Coalitions, sets: Ints) -> Ints:
    """Level w (n + 1) + t of coalitions (r, n) for sets (c, s), shape (c, r)."""
    n = coalitions.shape[1]
    inside = coalitions[:, sets].sum(axis=2, dtype=np.int64).T
    return inside * (n + 1) + coalitions.sum(axis=1, dtype=np.int64)


def count(readout: Readout) -> int:
    """Levels, possible or not."""
    return (readout.size + 1) * (readout.n_players + 1)


def wanted(readout: Readout) -> Floats:
    """Those of the index itself, shape (m, levels), m its columns."""
    times = np.array([comb(readout.size, w) for w in range(readout.size + 1)])[None, :, None]
    return (times * readout.cells).reshape(len(readout.weights), -1)


def totals(weights: Floats, level: Ints, readout: Readout) -> Floats:
    """Those of weights (c, m, r) on coalitions whose levels are (c, r), shape (m, levels)."""
    flat, size = level.ravel(), count(readout)
    return np.stack([np.bincount(flat, weights[:, j].ravel(), size) for j in range(weights.shape[1])]) / len(level)


def gram(product: Floats, coalitions: Coalitions, size: int) -> Floats:
    """Mean over all sets of `size` players of the products z_a' Q z_b of the indicators of levels, shape (levels, levels), for a
    symmetric Q (r, r): the number of sets that two coalitions see at given levels depends on how many players they share.
    """
    members = coalitions.astype(np.float64)
    r, n = members.shape
    drawn = members.sum(axis=1).astype(np.int64)
    by_size = np.zeros((r, n + 1))
    by_size[np.arange(r), drawn] = 1.0
    out = np.zeros((size + 1, n + 1, size + 1, n + 1))
    step = max(1, _BLOCK // r)
    for start in range(0, r, step):
        here = slice(start, start + step)
        both = members[here] @ members.T
        one, other = drawn[here, None] - both, drawn[None, :] - both
        parts = (both, one, other, n - both - one - other)
        for w in range(size + 1):
            for v in range(size + 1):
                seen = by_size[here].T @ (product[here] * _sets(parts, w, v, size)) @ by_size
                out[w, :, v, :] += seen / comb(n, size)
    return out.reshape((size + 1) * (n + 1), -1)


def _sets(parts: tuple[Floats, Floats, Floats, Floats], w: int, v: int, size: int) -> Floats:
    """How many sets of `size` have w players in the one and v in the other of two coalitions. `parts`: how many players both hold, the
    one alone, the other alone, and neither.
    """
    found = np.zeros_like(parts[0])
    for shared in range(max(0, w + v - size), min(w, v) + 1):
        taken = (shared, w - shared, v - shared, size - w - v + shared)
        ways = np.ones_like(found)
        for part, chosen in zip(parts, taken, strict=True):
            for j in range(chosen):
                ways *= (part - j) / (j + 1)
        found += ways
    return found
