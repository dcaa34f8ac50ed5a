"""Sums over coalitions that depend on how many players of a set a coalition holds, for many sets at once, as matrix products.

A weight c(w) on w = |T meets S| is a sum of binomials, c(w) = sum_j D_j C(w, j), and C(|T meets S|, j) counts the j-subsets of S
inside T. So with the moments M_j(J) = sum over T of y_T [J inside T], which are products of the matrix Z of coalitions,

    sum over T of c(|T meets S|) y_T = sum_j sum over J inside S, |J| = j, of M_j(J),    M_2 = Z' diag(y) Z,

and M_3 is one such product for each smallest player, over the players above it. Memory: n^2 floats a column for pairs, n^2 / 2 a column
at a time for triples, 8,192 rows at a time; few sets are summed directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np

from xai_ray.indices import Readout
from xai_ray.types import Coalitions, Floats, Ints

LARGEST_SET = 3
_CHUNK = 8_192
_DIRECT_ENTRIES = 1 << 22
"""Entries of the table rows x sets that a direct sum makes at a time (32 MiB)."""
_PRODUCT_GAIN = 16
"""A matrix product does about this many multiplications in the time of one in an elementwise pass."""


def pattern_shares(n: int, size: int) -> Floats:
    """Share of the coalitions of each size t that hold a given w of `size` players and not the others, shape (size + 1, n + 1)."""
    t = np.arange(n + 1, dtype=np.float64)
    out = np.ones((size + 1, n + 1))
    for w in range(size + 1):
        for step in range(size):
            out[w] *= (t - step if step < w else n - t - (step - w)) / (n - step)
    return np.maximum(out, 0.0)


def row_weights(readout: Readout) -> Floats:
    """Shape (R, s + 1, n + 1): weight of a coalition by players of the set in it and by size, where the sum over its size is a mean."""
    cells = readout.cells
    shares = np.broadcast_to(pattern_shares(readout.n_players, readout.size), cells.shape)
    return np.divide(cells, shares, out=np.zeros_like(cells), where=cells != 0)


def differences(weights: Floats) -> Floats:
    """D_j from c(w) along the first axis: D_j = sum_i (-1)^(j-i) C(j, i) c(i)."""
    count = len(weights)
    signs = np.array([[(-1.0) ** (j - i) * comb(j, i) for i in range(count)] for j in range(count)])
    return np.tensordot(signs, weights, axes=1)


def subset_sums(members: Coalitions, columns: Sequence[Floats], sets: Ints) -> list[Floats]:
    """E_j(S) = sum over J inside S, |J| = j, and over coalitions T that hold J, of column j; a list of arrays (c, q).

    members: shape (r, n). columns: for each j = 0..s an array (r, q). sets: shape (c, s), players of each ascending.
    Raises ValueError for sets of more than three players.
    """
    if len(columns) > LARGEST_SET + 1:
        raise ValueError(f"cells hold sets of at most {LARGEST_SET} players, got {len(columns) - 1}")
    out = [np.zeros((len(sets), column.shape[1])) for column in columns]
    for start in range(0, len(members), _CHUNK):
        rows = slice(start, start + _CHUNK)
        Z = members[rows].astype(np.float64)
        for j, column in enumerate(columns):
            out[j] += _moments(Z, column[rows], sets, j).sum(axis=0)
    return out


def pattern_sums(members: Coalitions, columns: Floats, sets: Ints) -> Floats:
    """Sums of columns (r, q) over the coalitions that hold exactly w players of a set, shape (s + 1, c, q)."""
    size = sets.shape[1]
    held = subset_sums(members, [columns] * (size + 1), sets)
    signs = np.array([[(-1.0) ** (j - w) * comb(j, w) for j in range(size + 1)] for w in range(size + 1)])
    return np.tensordot(signs, np.stack(held), axes=1)


def cell_sums(members: Coalitions, columns: Floats, sets: Ints) -> Floats:
    """Sums of columns (r, q) over the coalitions that hold just a part of a set, shape (2^s, c, q); bit b says whether player b is in."""
    size = sets.shape[1]
    out = np.zeros((1 << size, len(sets), columns.shape[1]))
    for start in range(0, len(members), _CHUNK):
        Z = members[start : start + _CHUNK].astype(np.float64)
        for j in range(size + 1):
            masks = [sum(1 << b for b in at) for at in combinations(range(size), j)]
            out[masks] += _moments(Z, columns[start : start + _CHUNK], sets, j)
    # From "holds at least this part" to "holds this part and no more".
    for b in range(size):
        parts = out.reshape(1 << (size - 1 - b), 2, 1 << b, *out.shape[1:])
        parts[:, 0] -= parts[:, 1]
    return out


def _moments(Z: Floats, column: Floats, sets: Ints, j: int) -> Floats:
    """Moments M_j of the j-subsets of each set, in lexicographic order, shape (C(s, j), c, q)."""
    subsets = [sets[:, list(at)] for at in combinations(range(sets.shape[1]), j)]
    players = np.concatenate(subsets)
    if j == 0:
        found = np.broadcast_to(column.sum(axis=0), (len(sets), column.shape[1]))
    elif j == 1:
        found = (Z.T @ column)[players[:, 0]]
    else:
        found = _joint(Z, column, players)
    return found.reshape(len(subsets), len(sets), column.shape[1])


def _joint(Z: Floats, column: Floats, players: Ints) -> Floats:
    """Sums of a column over the coalitions that hold all of two or three players, shape (c, q)."""
    n = Z.shape[1]
    blocks = n**2 if players.shape[1] == 2 else n**3 // 6
    if len(players) * _PRODUCT_GAIN < blocks:
        return _direct(Z, column, players)
    if players.shape[1] == 2:
        table = np.stack([(Z * y[:, None]).T @ Z for y in column.T], axis=-1)
        return table[players[:, 0], players[:, 1]]
    return _triples(Z, column, players)


def _direct(Z: Floats, column: Floats, players: Ints) -> Floats:
    out = np.zeros((len(players), column.shape[1]))
    step = max(1, _DIRECT_ENTRIES // max(1, len(players)))
    for start in range(0, len(Z), step):
        part = Z[start : start + step]
        joint = part[:, players[:, 0]]
        for at in range(1, players.shape[1]):
            joint = joint * part[:, players[:, at]]
        out += joint.T @ column[start : start + step]
    return out


def _triples(Z: Floats, column: Floats, players: Ints) -> Floats:
    out = np.zeros((len(players), column.shape[1]))
    order = np.argsort(players[:, 0], kind="stable")
    ends = np.r_[0, np.cumsum(np.bincount(players[:, 0], minlength=Z.shape[1]))]
    for first in range(Z.shape[1] - 2):
        at = order[ends[first] : ends[first + 1]]
        if not len(at):
            continue
        here = Z[:, first] > 0
        above = Z[here, first + 1 :]
        second, third = players[at, 1] - first - 1, players[at, 2] - first - 1
        for k, y in enumerate(column[here].T):
            out[at, k] = ((above * y[:, None]).T @ above)[second, third]
    return out
