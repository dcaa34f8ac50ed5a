"""Paired strata: coalitions by size, without replacement, each with its complement, in fixed counts that follow a law over sizes.

Stratum h holds the pairs (S, complement of S) with |S| = h <= n/2; stratum 0 is the empty and the grand coalition and comes first.
Draws are dealt to strata by the highest-averages rule of Webster (weights w_h, j-th draw at priority (2j+1)/w_h), capped at the
number of pairs: fixed counts (no variance of sizes), and a larger budget only appends. Uniform weights over sizes are the leverage
law of Musco and Witter, "Provably accurate Shapley value estimation via leverage score sampling" (ICLR 2025); a small size that is
exhausted is the border trick of Fumagalli et al. (NeurIPS 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import comb
from typing import Any

import numpy as np

from xai_ray.coalitions.design import FULL_EXPECTATION, Draw
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.coalitions.subsets import COUNTABLE, draw_subsets, draw_subsets_of_sizes
from xai_ray.types import Coalitions, Floats, Ints

_AHEAD, _AHEAD_CELLS = 128, 1 << 20
"""Draws that are made at once for whoever asks for fewer, and the entries of their coalitions: a draw costs little, a call much."""


def uniform_law(n: int) -> tuple[float, ...]:
    """Equal weight for every size 1..n-1, as weights of the pair strata 1..n//2 (the middle size of an even n has one, not two)."""
    return tuple(0.5 if 2 * h == n else 1.0 for h in range(1, n // 2 + 1))


@dataclass(frozen=True)
class Strata:
    """`law[h-1]` is the weight of stratum h = 1..n//2; the first `edges` strata after 0 are exhausted before the law begins.

    A deterministic game exhausts a stratum once; a stochastic one draws with replacement, each time in a new context.
    """

    n_players: int
    seed: int
    law: tuple[float, ...]
    edges: int = 0
    stochastic: bool = False
    _dealt: list[tuple[Ints, Ints]] = field(
        default_factory=list[tuple[Ints, Ints]], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if len(self.law) != self.n_players // 2 or any(not w > 0 for w in self.law):
            raise ValueError(f"law needs {self.n_players // 2} positive weights, got {self.law}")

    def pool(self, h: int) -> int:
        """Number of pairs in stratum h. For even n and h = n/2 a pair is counted once (its member that holds player 0)."""
        n = self.n_players
        if h == 0:
            return 1
        return comb(n - 1, h - 1) if 2 * h == n else comb(n, h)

    @property
    def capacity(self) -> int | None:
        """2^(n-1) pairs in all, or None for a stochastic game; of one player there are the two ends and nothing to draw."""
        return None if self.stochastic and self.n_players > 1 else 1 << (self.n_players - 1)

    def evaluations(self, draws: int) -> int:
        """Two evaluations a draw."""
        return 2 * draws

    def affordable(self, evaluations: int) -> int:
        """Whole pairs only."""
        draws = evaluations // 2
        return draws if self.capacity is None else min(draws, self.capacity)

    def dealt(self, draws: int) -> Ints:
        """The stratum of each of the first `draws` draws (fewer when the design is exhausted before)."""
        return self._sequence(draws)[0][:draws]

    def draw(self, start: int, stop: int) -> Draw:
        """Draws [start, stop). Row 2t is the coalition of draw t, row 2t + 1 its complement; both share one context."""
        ahead = min(_AHEAD, _AHEAD_CELLS // self.n_players)
        first = start // max(1, ahead) * ahead
        last = first + ahead if self.capacity is None else min(first + ahead, self.capacity)
        if stop > last:
            first, last = start, stop
        if (last - first) * self.n_players > _AHEAD_CELLS:
            return self._drawn(start, stop)
        return _part(_piece(self, first, last), start, stop)

    def _drawn(self, start: int, stop: int) -> Draw:
        stratum, index = (a[start:stop].copy() for a in self._sequence(stop))
        half = self._members(stratum, index)
        rows = np.stack([half, ~half], axis=1).reshape(-1, self.n_players)
        context = np.arange(start, stop, dtype=np.int64)
        context[stratum == 0] = FULL_EXPECTATION
        return Draw(start, rows, np.repeat(context, 2), np.repeat(np.arange(stop - start), 2), stratum, index)

    def _members(self, stratum: Ints, items: Ints) -> Coalitions:
        """The smaller coalition of pairs `items` of their strata, shape (len(items), n)."""
        n = self.n_players
        rows = np.zeros((len(items), n), dtype=np.bool_)
        if self.stochastic:
            items = self._with_replacement(stratum, items)
        below, middle = np.flatnonzero((stratum > 0) & (2 * stratum < n)), np.flatnonzero(2 * stratum == n)
        rows[below] = draw_subsets_of_sizes(self.seed, 0, n, stratum[below], items[below])
        if len(middle):
            rows[middle, 0] = True
            rows[middle, 1:] = draw_subsets(self.seed, n // 2, n - 1, n // 2 - 1, items[middle])
        return rows

    def _with_replacement(self, stratum: Ints, items: Ints) -> Ints:
        # Every draw brings a new context, and a cycle through the pool would tie folds to coalitions.
        out = items.copy()
        for h in np.unique(stratum[stratum > 0]):
            if self.pool(int(h)) <= COUNTABLE:
                mine = stratum == h
                words = random_words(self.seed, Stream.STOCHASTIC_RANKS, int(h), items[mine], 1)[:, 0]
                out[mine] = (words % np.uint64(self.pool(int(h)))).astype(np.int64)
        return out

    def _sequence(self, draws: int) -> tuple[Ints, Ints]:
        """Stratum and index of the first `draws` draws (at least); the longest sequence dealt so far is kept."""
        had = len(self._dealt[0][0]) if self._dealt else 0
        if had < draws:
            # Doubled, so that whoever draws a little at a time deals each draw a few times and not once a call.
            self._dealt[:] = [self._deal(max(draws, 2 * had, 1024))]
        return self._dealt[0]

    def _deal(self, draws: int) -> tuple[Ints, Ints]:
        last = self.n_players // 2
        if self.stochastic and self.edges:
            raise ValueError("a stochastic game has no stratum that could be exhausted: edges must be 0")
        caps = np.array([1] + [draws if self.stochastic else min(self.pool(h), draws) for h in range(1, last + 1)])
        first = np.arange(min(self.edges, last) + 1)
        lawful = np.arange(len(first), last + 1)
        taken = np.zeros(last + 1, dtype=np.int64)
        taken[first] = caps[first]
        rest = draws - int(taken.sum())
        if rest > 0 and len(lawful):
            taken[lawful] = _counts_below(np.array(self.law)[lawful - 1], caps[lawful], rest)
        stratum = np.repeat(np.arange(last + 1, dtype=np.int64), taken)
        index = np.arange(len(stratum), dtype=np.int64) - np.repeat(np.cumsum(taken) - taken, taken)
        # Edges keep their order by stratum; the others follow by priority.
        priority = np.where(stratum < len(first), 0.0, (2 * index + 1) / np.array([1.0, *self.law])[stratum])
        order = np.lexsort((index, stratum, priority))
        return stratum[order], index[order]

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {
            "kind": "strata",
            "n_players": self.n_players,
            "seed": self.seed,
            "law": list(self.law),
            "edges": self.edges,
            "stochastic": self.stochastic,
        }


@lru_cache(maxsize=4)
def _piece(design: Strata, start: int, stop: int) -> Draw:
    """Draws that are kept: who evaluates them, who answers from them and the next run of the same design need the same."""
    return design._drawn(start, stop)  # pyright: ignore[reportPrivateUsage]


def _part(draw: Draw, start: int, stop: int) -> Draw:
    """Some of the draws of a piece, as arrays of their own."""
    draws = slice(start - draw.start, stop - draw.start)
    rows = slice(2 * draws.start, 2 * draws.stop)
    return Draw(
        start,
        draw.coalitions[rows].copy(),
        draw.context[rows].copy(),
        draw.owner[rows] - draws.start,
        draw.stratum[draws].copy(),
        draw.index[draws].copy(),
    )


def _counts_below(weights: Floats, caps: Ints, draws: int) -> Ints:
    """Per stratum, all draws of priority up to the smallest threshold that yields `draws` of them (or everything)."""

    def taken(threshold: float) -> Ints:
        return np.minimum(caps, np.floor((threshold * weights + 1) / 2).astype(np.int64))

    wanted = min(draws, int(caps.sum()))
    high = 1.0
    while taken(high).sum() < wanted:
        high *= 2.0
    low = 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if taken(middle).sum() >= wanted else (middle, high)
    return taken(high * (1 + 1e-12))
