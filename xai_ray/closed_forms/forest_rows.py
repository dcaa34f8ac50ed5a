"""Values of many rows of a forest.

A leaf sees of a row only which of its players' conditions the row fails: a few bits. Rows and background rows are counted by
these bits, so the work of a leaf is (rows + background) comparisons and a small table over pairs of bit patterns, not one step a pair of
rows. Exact as `Lundberg et al. (Nature Machine Intelligence 2, 2020)`, algorithm 3, whose cost is rows x background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import betaln

from xai_ray.closed_forms.codes import Codes, Members, Patterns, failed, ones, patterns
from xai_ray.closed_forms.forest import HELD, Array, Forest
from xai_ray.indices.readouts import KeepRate
from xai_ray.types import Floats, Ints

_ROWS = 1 << 18
"""Shares (leaf, set of its players, row) that are added up at once."""


def forest_values(
    forest: Forest, rows: Array, fillings: Array, labels: Ints, n: int, law: KeepRate, size: int
) -> Floats:
    """Values of all sets of `size` of the n players for rows (R, d) beside fillings (K, d), shape (R, sets, m).

    `labels` (d,) is the player of each column, -1 where it always stays.
    """
    members = Members.of(forest, labels)
    many = [np.ascontiguousarray(forest.cast(part).T) for part in (rows, fillings)]
    place = {one: at for at, one in enumerate(combinations(range(n), size))}
    out = np.zeros((forest.value.shape[1], len(place), len(rows)))
    for leaves in forest.blocks(len(rows) + len(fillings)):
        players = members.players[leaves]
        bits = np.where(players >= 0, np.arange(1, players.shape[1] + 1), 0).max(axis=1, initial=0)
        q = int(bits.max(initial=0))
        if q < size:
            continue
        (mine, never), (theirs, _) = (failed(forest, columns, leaves, members, q) for columns in many)
        of_rows, of_fillings = patterns(mine, bits), patterns(theirs, bits)
        chosen = np.array(list(combinations(range(q), size)), dtype=np.int64)
        shares = _shares(of_rows, of_fillings, chosen, _weights(law, q))
        sets = _sets(players[:, :q], chosen, place)
        _add(out, shares, of_rows.at, never, sets, forest.value[leaves])
    return out.transpose(2, 1, 0)


def _sets(players: Ints, chosen: Ints, place: dict[tuple[int, ...], int]) -> Ints:
    """Which set of players each choice of bits is for a leaf, shape (c, l), -1 where the leaf has not so many."""
    found = np.sort(players[:, chosen].reshape(-1, chosen.shape[1]), axis=1)
    unique, where = np.unique(found, axis=0, return_inverse=True)
    known = np.array([place.get(tuple(one), -1) for one in unique.tolist()], dtype=np.int64)
    return known[where.reshape(len(players), len(chosen))].T


def _weights(law: KeepRate, q: int) -> Floats:
    """E p^a (1 - p)^r of the keep-rate p, shape (q + 1, q + 1)."""
    inside, outside = np.arange(q + 1)[:, None], np.arange(q + 1)
    if law.point is not None:
        return law.point**inside * (1.0 - law.point) ** outside
    return np.exp(betaln(law.alpha + inside, law.beta + outside) - betaln(law.alpha, law.beta))


@dataclass(frozen=True)
class _Pairs:
    """Patterns of rows and of fillings from which a leaf can be reached: no player fails in both."""

    pattern: Ints
    """Shape (a,)."""
    must_out: Codes
    """Shape (a, words): players that only the filling is fine with."""
    must_in: Codes
    """Players that only the row is fine with."""
    share: Floats
    """Shape (a,): of the fillings."""


def _pairs(rows: Patterns, fillings: Patterns) -> Iterator[_Pairs]:
    """All pairs of patterns of one leaf, as many at once as are held."""
    leaves, count = fillings.at.shape
    times = np.bincount(fillings.at.reshape(-1), minlength=len(fillings.leaf))
    used = np.flatnonzero(times)
    codes, share = fillings.code[used], times[used] / count
    each = np.bincount(fillings.leaf[used], minlength=leaves)
    first = np.cumsum(each) - each
    ends = np.cumsum(each[rows.leaf])
    start = 0
    while start < len(rows.leaf):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + HELD, side="right")))
        leaf = rows.leaf[start:stop]
        pattern = np.repeat(np.arange(start, stop), each[leaf])
        code = np.arange(len(pattern)) - np.repeat(ends[start:stop] - each[leaf] - before - first[leaf], each[leaf])
        reached = np.flatnonzero(~(rows.code[pattern] & codes[code]).any(axis=1))
        pattern, code = pattern[reached], code[reached]
        yield _Pairs(pattern, rows.code[pattern], codes[code], share[code])
        start = stop


def _shares(rows: Patterns, fillings: Patterns, chosen: Ints, weights: Floats) -> Floats:
    """What a leaf of value 1 gives each choice of its players (c, size), for each pattern of rows: shape (c, p)."""
    out, p = np.zeros((len(chosen), len(rows.leaf))), len(rows.leaf)
    bits = _bits(chosen, rows.code)
    for pairs in _pairs(rows, fillings):
        inside, outside = ones(pairs.must_in), ones(pairs.must_out)
        for at, mask in enumerate(bits):
            touched = np.flatnonzero((((pairs.must_in | pairs.must_out) & mask) == mask).all(axis=1))
            of_out = ones(pairs.must_out[touched] & mask)
            of_in = chosen.shape[1] - of_out
            weight = weights[inside[touched] - of_in, outside[touched] - of_out] * pairs.share[touched]
            out[at] += np.bincount(pairs.pattern[touched], weights=(1 - 2 * (of_out % 2)) * weight, minlength=p)
    return out


def _bits(chosen: Ints, like: Codes) -> Codes:
    """Choices of bits as codes, shape (c, words)."""
    width = 8 * like.dtype.itemsize
    out = np.zeros((len(chosen), like.shape[1]), dtype=like.dtype)
    one = like.dtype.type(1)
    for column in chosen.T:
        out[np.arange(len(chosen)), column // width] |= one << (column % width).astype(like.dtype)
    return out


def _add(out: Floats, shares: Floats, at: Ints, never: npt.NDArray[np.bool_], sets: Ints, value: Floats) -> None:
    """Adds leaves' values (l, m) times the shares of each choice and pattern (c, p) to the sets' values (m, sets, rows)."""
    there = np.flatnonzero(sets.reshape(-1) >= 0)
    step = max(1, _ROWS // max(1, sets.size))
    weights = np.tile(value, (len(sets), 1))[there]
    sums = [
        csr_array((column, (sets.reshape(-1)[there], there)), shape=(out.shape[1], sets.size)) for column in weights.T
    ]
    for start in range(0, at.shape[1], step):
        part = slice(start, start + step)
        given = shares[:, at[:, part]] * ~never[:, part]
        for total, k in zip(sums, range(len(out)), strict=True):
            out[k, :, part] += total @ given.reshape(sets.size, -1)
