"""A sum of conjunctions: what a forest on coalitions, a linear or a low-degree function is, leaf by leaf.

A leaf pays its value to every coalition that holds the players A, misses the players R and has a size within a range. Sums of leaves
have closed forms for every index that is a read-out (`tree_reads`), without enumeration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.types import Coalitions, Floats, Ints, Mask

_BLOCK = 1 << 25
"""Entries (row, leaf) held at once by `predict`."""


@dataclass(frozen=True, slots=True)
class Leaves:
    """l leaves over n players, with up to d players each."""

    n_players: int
    value: Floats
    """Shape (l,)."""
    players: Ints
    """Shape (l, d): players of A and R in ascending order, then -1 for places that are not used."""
    needed: Mask
    """Shape (l, d): whether the player must be in (A) rather than out (R); False where not used."""
    low: Ints
    """Shape (l,): smallest size of a coalition."""
    high: Ints
    """Shape (l,): largest size, included."""

    @classmethod
    def of(cls, n: int, value: Floats, players: Ints, needed: Mask, low: Ints, high: Ints) -> Leaves:
        """Sorts the players of each leaf, adds up leaves with equal conditions and drops those that no coalition can meet."""
        order = np.argsort(np.where(players < 0, n, players), axis=1, kind="stable")
        players, needed = np.take_along_axis(players, order, 1), np.take_along_axis(needed, order, 1)
        inside, outside = needed.sum(axis=1), ((players >= 0) & ~needed).sum(axis=1)
        low, high = np.maximum(low, inside), np.minimum(high, n - outside)
        kept = (low <= high) & (value != 0)
        used = int((players[kept] >= 0).sum(axis=1).max(initial=0))
        keys = np.column_stack([players[kept, :used] * 2 + needed[kept, :used], low[kept], high[kept]])
        keys, where = np.unique(keys, axis=0, return_inverse=True)
        total = np.zeros(len(keys))
        total += np.bincount(where.reshape(-1), weights=value[kept], minlength=len(keys))
        return cls(n, total, keys[:, :-2] >> 1, (keys[:, :-2] & 1 > 0) & (keys[:, :-2] >= 0), keys[:, -2], keys[:, -1])

    @property
    def inside(self) -> Ints:
        """Shape (l,): players that must be in."""
        return self.needed.sum(axis=1, dtype=np.int64)

    @property
    def outside(self) -> Ints:
        """Shape (l,): players that must be out."""
        return (self.players >= 0).sum(axis=1, dtype=np.int64) - self.inside

    def scaled(self, factor: float) -> Leaves:
        """The same leaves with values times `factor`."""
        return Leaves(self.n_players, factor * self.value, self.players, self.needed, self.low, self.high)

    def predict(self, coalitions: Coalitions) -> Floats:
        """Values of r coalitions, shape (r,)."""
        count = len(self.value)
        signs = np.zeros((self.n_players + 1, count), dtype=np.float32)
        signs[self.players, np.arange(count)[:, None]] = np.where(self.needed, 1.0, -1.0)
        signs, inside = signs[:-1], self.inside
        sizes = coalitions.sum(axis=1)
        out = np.empty(len(coalitions))
        step = max(1, _BLOCK // max(count, 1))
        for start in range(0, len(coalitions), step):
            part = slice(start, start + step)
            held = coalitions[part].astype(np.float32) @ signs == inside
            size = sizes[part, None]
            out[part] = (held & (self.low <= size) & (size <= self.high)) @ self.value
        return out


def joined(parts: list[Leaves]) -> Leaves:
    """The sum of several sums of leaves."""
    width = max(part.players.shape[1] for part in parts)
    pad = [((0, 0), (0, width - part.players.shape[1])) for part in parts]
    return Leaves.of(
        parts[0].n_players,
        np.concatenate([part.value for part in parts]),
        np.concatenate([np.pad(part.players, p, constant_values=-1) for part, p in zip(parts, pad, strict=True)]),
        np.concatenate([np.pad(part.needed, p) for part, p in zip(parts, pad, strict=True)]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
    )


def linear_leaves(n: int, slopes: Floats) -> Leaves:
    """The sum of the slopes (n,) of the players that are in."""
    players = np.arange(n, dtype=np.int64)[:, None]
    ends = np.zeros(n, dtype=np.int64)
    return Leaves.of(n, slopes, players, players >= 0, ends, ends + n)


def size_leaves(n: int, by_size: Floats) -> Leaves:
    """A function of the size alone, shape (n + 1,)."""
    sizes = np.arange(n + 1, dtype=np.int64)
    nobody = np.zeros((n + 1, 0), dtype=np.int64)
    return Leaves.of(n, by_size, nobody, nobody >= 0, sizes, sizes)
