"""Contexts outside an ordered set A, shared by blocks of A: a draw evaluates v(S) and v(S + C) for every block C.

Zhang et al., "Interpreting multivariate Shapley interactions in DNNs" (AAAI 2021): only the r players outside A and one merged block C
play, the rest of A stays absent. Contexts come with their complement among the outside players, sizes in rounds that hold every
size 0..r once. Each round begins at a size drawn by lot, so a round that is cut off is fair to all sizes; contexts of a size are drawn
without replacement while there are any (a stochastic game: with replacement, each in a new exogenous context).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, gcd
from typing import Any

import numpy as np

from xai_ray.coalitions.design import FULL_EXPECTATION, AfterHead, Draw
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.coalitions.rounds import Rounds
from xai_ray.coalitions.subsets import COUNTABLE, draw_subsets
from xai_ray.types import Coalitions, Floats, Ints

_SUBSETS = 3 << 20
"""First sub-stream of subsets of this design, above those of other designs."""

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class RunContexts(AfterHead):
    """Stratum h holds the pairs (S, rest of the outside) with |S| = h <= r/2. Draw 0 is the only pair of stratum 0: S empty.

    Rows of a draw: v(S), v(S + A) and, block by block, v(S + C), for S and then for its complement. Draw 0 begins with the empty
    and the grand coalition. Without outside players draw 0 is everything.
    """

    n_players: int
    seed: int
    members: tuple[int, ...]
    """The players of A, in their order."""
    every_run: bool
    """Whether blocks are all contiguous runs of A; otherwise A itself and its single players."""
    stochastic: bool = False

    def __post_init__(self) -> None:
        inside = set(self.members)
        if len(inside) != len(self.members) or len(inside) < 2 or not inside <= set(range(self.n_players)):
            raise ValueError(f"members must be two or more of the players 0..{self.n_players - 1}, got {self.members}")

    @property
    def outside(self) -> Ints:
        """Shape (r,): the players outside A, ascending."""
        return np.setdiff1d(np.arange(self.n_players, dtype=np.int64), np.array(self.members, dtype=np.int64))

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The blocks, as first and last position in A; A itself comes first."""
        size = len(self.members)
        longest = size - 1 if self.every_run else 1
        return ((0, size - 1), *((a, a + w) for w in range(longest) for a in range(size - w)))

    @property
    def rows_per_draw(self) -> int:
        """Evaluations of a context and its complement."""
        return 2 * (1 + len(self.runs))

    @property
    def strata(self) -> int:
        """Strata besides stratum 0."""
        return len(self.outside) // 2

    def pool(self, h: int) -> int:
        """Pairs in stratum h; one of even r and h = r/2 is counted once (its member that holds the first outside player)."""
        r = len(self.outside)
        return comb(r - 1, h - 1) if h and 2 * h == r else comb(r, h)

    def weights(self) -> Floats:
        """Shape (strata + 1,): share of the sizes 0..r that a stratum holds."""
        r = len(self.outside)
        sizes = np.array([1.0 if 2 * h == r else 2.0 for h in range(self.strata + 1)])
        return sizes / (r + 1)

    @property
    def capacity(self) -> int | None:
        """Every context once; None for a stochastic game with contexts to draw."""
        if self.stochastic and self.strata:
            return None
        return 1 + sum(self.pool(h) for h in range(1, self.strata + 1))

    @property
    def first_rows(self) -> int:
        """Evaluations of draw 0: half a draw when nobody is outside."""
        return self.rows_per_draw if len(self.outside) else self.rows_per_draw // 2

    def draw(self, start: int, stop: int) -> Draw:
        """Draws [start, stop)."""
        stratum, index = self._places(np.arange(start, stop, dtype=np.int64))
        half = np.zeros((stop - start, len(self.outside)), dtype=np.bool_)
        for h in map(int, np.unique(stratum)):
            where = stratum == h
            half[where] = self._members(h, index[where])
        rows = self._rows(half).reshape(-1, self.n_players)
        counts = np.full(stop - start, self.rows_per_draw, dtype=np.int64)
        if start == 0:
            counts[0] = self.first_rows
            rows = rows[first_order(self)] if stop == 1 else _reordered(rows, first_order(self), self.rows_per_draw)
        owner = np.repeat(np.arange(stop - start, dtype=np.int64), counts)
        context = np.arange(start, stop, dtype=np.int64)
        context[stratum == 0] = FULL_EXPECTATION
        return Draw(start, rows, context[owner], owner, stratum, index)

    def _rows(self, half: Coalitions) -> Coalitions:
        """Shape (d, 2, 1 + blocks, n)."""
        rows = np.zeros((len(half), 2, 1 + len(self.runs), self.n_players), dtype=np.bool_)
        rows[:, 0, :, self.outside] = half.T[:, :, None]
        rows[:, 1, :, self.outside] = ~half.T[:, :, None]
        for block, (first, last) in enumerate(self.runs, start=1):
            rows[:, :, block, list(self.members[first : last + 1])] = True
        return rows

    def _members(self, h: int, items: Ints) -> Coalitions:
        r = len(self.outside)
        if h == 0:
            return np.zeros((len(items), r), dtype=np.bool_)
        if self.stochastic and self.pool(h) <= COUNTABLE:
            words = random_words(self.seed, Stream.RUN_CONTEXTS, h, items, 1)[:, 0]
            items = (words % np.uint64(self.pool(h))).astype(np.int64)
        if 2 * h < r:
            return draw_subsets(self.seed, _SUBSETS + h, r, h, items)
        first = np.ones((len(items), 1), dtype=np.bool_)
        if h == 1:
            return np.concatenate([first, np.zeros((len(items), r - 1), dtype=np.bool_)], axis=1)
        return np.concatenate([first, draw_subsets(self.seed, _SUBSETS + h, r - 1, h - 1, items)], axis=1)

    def _places(self, numbers: Ints) -> tuple[Ints, Ints]:
        """Stratum of each draw, and the round that it is in: its number within the stratum."""
        stratum, index = np.zeros_like(numbers), np.zeros_like(numbers)
        later = numbers > 0
        if not later.any() or not self.strata:
            return stratum, index
        limits = [None if self.stochastic else self.pool(h) for h in range(1, self.strata + 1)]
        rounds, slot, _ = Rounds(1, tuple(limits), ()).places(numbers[later], np.zeros(0, dtype=np.uint64))
        ends = np.array([1 << 62 if limit is None else min(limit, 1 << 62) for limit in limits])
        open_ = ends[None, :] > rounds[:, None]
        position = np.take_along_axis(np.cumsum(open_, axis=1), slot[:, None], axis=1)[:, 0] - 1
        count = open_.sum(axis=1)
        lots = random_words(self.seed, Stream.RUN_CONTEXTS, 0, rounds, 1)[:, 0]
        turn = (position * _steps(self.strata)[count] + (lots % count.astype(np.uint64)).astype(np.int64)) % count
        stratum[later] = 1 + np.argmax(np.cumsum(open_, axis=1) > turn[:, None], axis=1)
        index[later] = rounds
        return stratum, index

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {
            "kind": "run_contexts",
            "n_players": self.n_players,
            "seed": self.seed,
            "members": list(self.members),
            "every_run": self.every_run,
            "stochastic": self.stochastic,
        }


def first_order(design: RunContexts) -> Ints:
    """Where the rows of draw 0 stand among those of a draw with S empty: the grand coalition moves to the second place.

    The permutation is its own inverse. Shape (first_rows,).
    """
    order = np.arange(design.first_rows, dtype=np.int64)
    if len(design.outside):
        grand = 1 + design.rows_per_draw // 2
        order[[1, grand]] = order[[grand, 1]]
    return order


def _reordered(rows: Coalitions, order: Ints, width: int) -> Coalitions:
    return np.concatenate([rows[order], rows[width:]])


def _steps(largest: int) -> Ints:
    """Shape (largest + 1,): a step near 0.618 of c without a common factor, so that c turns go everywhere, far apart."""
    return np.array([_step(c) for c in range(largest + 1)], dtype=np.int64)


def _step(count: int) -> int:
    step = max(1, round(_GOLDEN * count))
    while gcd(step, count) > 1:
        step += 1
    return step
