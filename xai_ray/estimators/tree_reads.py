"""Indices of a sum of leaves in closed form, leaf by leaf: the number of players is not limited by enumeration.

For a leaf (c, A, R, sizes low..high) and a set S of s players that meets A in p and R in q players, the mean of the leaf over the
coalitions of size t that hold a given w of S depends on (|A|, |R|, p, q) alone: a hypergeometric probability, zero unless those w
contain S n A and avoid S n R. So the read-out of a leaf is a function g of the players U that S shares with the leaf, and its
differences h(U) = sum over W in U of (-1)^|U - W| g(W) are scattered once, to U: the answer for S is the sum of h over the subsets of S.
For derivatives of a leaf without size limits h vanishes below |U| = s: only sets inside A u R are touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from xai_ray.estimators.leaves import Leaves
from xai_ray.indices import Readout
from xai_ray.indices.weights import log_binomial
from xai_ray.types import Floats, Ints

_ENTRIES = 1 << 24
"""Entries of the table of one block of columns."""


@dataclass(frozen=True, slots=True)
class Touched:
    """Shares h(U) of sets U of one size, for R columns."""

    sets: Ints
    """Shape (c, j), ascending players, in lexicographic order."""
    shares: Floats
    """Shape (c, R)."""

    def at(self, sets: Ints, n: int) -> Floats:
        """Shares of some sets (c', j), zero where a set is not touched; shape (c', R)."""
        if not len(self.sets):
            return np.zeros((len(sets), self.shares.shape[1]))
        known, asked = _keys(self.sets, n), _keys(sets, n)
        place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        return np.where((known[place] == asked)[:, None], self.shares[place], 0.0)


def read(leaves: Leaves, readout: Readout, sets: Ints) -> Floats:
    """The index of the sum of leaves for sets of shape (c, s), shape (c, R)."""
    sets = np.sort(sets, axis=1)
    out = np.zeros((len(sets), readout.weights.shape[0]))
    for touched in touch(leaves, readout):
        for places in combinations(range(readout.size), int(touched.sets.shape[1])):
            out += touched.at(sets[:, list(places)], leaves.n_players)
    return out


def touch(leaves: Leaves, readout: Readout) -> list[Touched]:
    """Shares by size of the subset, ascending; sizes at which every share is zero are left out."""
    n, size = leaves.n_players, readout.size
    limited = bool(((leaves.low > leaves.inside) | (leaves.high < n - leaves.outside)).any())
    first = size if not limited and not readout.block else 0
    width = leaves.players.shape[1]
    found: list[Touched] = []
    columns = readout.weights.shape[0]
    step = max(1, _ENTRIES // ((width + 1) ** 2 * (size + 1) ** 2 * (n + 2)))
    for j in range(first, min(size, width) + 1):
        blocks = [_scatter(leaves, _Table.of(readout, width, slice(c, c + step)), j) for c in range(0, columns, step)]
        found.append(Touched(blocks[0].sets, np.concatenate([block.shares for block in blocks], axis=1)))
    return found


@dataclass(frozen=True, slots=True)
class _Table:
    """Differences h by (|A|, |R|, p, q), summed over the coalition sizes below t = 0..n+1: shape (d+1, d+1, s+1, s+1, n+2, R)."""

    below: Floats

    @classmethod
    def of(cls, readout: Readout, width: int, columns: slice) -> _Table:
        n, size = readout.n_players, readout.size
        cells = readout.cells[columns]
        inside = _hypergeometric(n - size, width)
        pattern = np.zeros((width + 1, width + 1, size + 1, size + 1, n + 1, cells.shape[0]))
        for p in range(size + 1):
            for q in range(size + 1 - p):
                free = size - p - q
                for extra in range(free + 1):
                    w = p + extra
                    # Leaves with fewer than p players in A (or q in R) cannot meet S this way: their entries stay zero.
                    there = inside[: width + 1 - p, : width + 1 - q]
                    pattern[p:, q:, p, q, w : w + n - size + 1] += comb(free, extra) * np.einsum(
                        "arm,cm->armc", there, cells[:, w, w : w + n - size + 1]
                    )
        below = np.zeros((*pattern.shape[:4], n + 2, cells.shape[0]))
        np.cumsum(_differences(pattern), axis=4, out=below[..., 1:, :])
        return cls(below)


def _differences(pattern: Floats) -> Floats:
    """h from g: alternating differences along p and q."""
    out = np.zeros_like(pattern)
    size = pattern.shape[2] - 1
    for p in range(size + 1):
        for q in range(size + 1 - p):
            for x in range(p + 1):
                for y in range(q + 1):
                    sign = (-1) ** (p - x + q - y) * comb(p, x) * comb(q, y)
                    out[:, :, p, q] += sign * pattern[:, :, x, y]
    return out


def _hypergeometric(players: int, width: int) -> Floats:
    """P(a given players in, r given out | m of `players` in) = C(players-a-r, m-a) / C(players, m), shape (width+1, width+1, players+1)."""
    a, r, m = np.ogrid[: width + 1, : width + 1, : players + 1]
    possible = (m >= a) & (players - m >= r)
    rest = np.where(possible, players - a - r, 0)
    chosen = np.where(possible, m - a, 0)
    return np.where(possible, np.exp(log_binomial(rest, chosen) - log_binomial(players, m)), 0.0)


def _scatter(leaves: Leaves, table: _Table, j: int) -> Touched:
    """Every leaf gives h(U) to each of its subsets U of j players."""
    width, n = leaves.players.shape[1], leaves.n_players
    columns = table.below.shape[-1]
    sets: list[Ints] = []
    shares: list[Floats] = []
    a, r = leaves.inside, leaves.outside
    for chosen in combinations(range(width), j):
        places = np.array(chosen, dtype=np.int64)
        # Unused places come last, so the last place tells whether all are used.
        used = np.flatnonzero(leaves.players[:, places[-1]] >= 0) if j else np.arange(len(leaves.value))
        if not len(used):
            continue
        p = leaves.needed[used[:, None], places].sum(axis=1)
        at = (a[used], r[used], p, j - p)
        share = table.below[(*at, leaves.high[used] + 1)] - table.below[(*at, leaves.low[used])]
        sets.append(leaves.players[used[:, None], places])
        shares.append(leaves.value[used, None] * share)
    if not sets:
        return Touched(np.zeros((0, j), dtype=np.int64), np.zeros((0, columns)))
    keys, first, where = np.unique(_keys(np.concatenate(sets), n), return_index=True, return_inverse=True)
    flat = np.concatenate(shares)
    total = np.zeros((len(keys), columns))
    for c in range(columns):
        total[:, c] = np.bincount(where, weights=flat[:, c], minlength=len(keys))
    return Touched(np.concatenate(sets)[first], total)


def _keys(sets: Ints, n: int) -> Ints:
    """One number for each set, ascending in lexicographic order; exact while n^j < 2^63."""
    keys = np.zeros(len(sets), dtype=np.int64)
    for column in sets.T:
        keys = keys * n + column
    return keys
