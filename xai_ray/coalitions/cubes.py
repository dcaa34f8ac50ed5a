"""Cubes: a base C and all 2^b unions of it with players of a block; second differences of every pair of the block at orders |C|..|C|+b-2.

b(b-1)/2 * 2^(b-2) second differences for 2^b evaluations (b = 6: 3.75 each, where pairs by themselves cost four evaluations a difference).
Every round deals the players anew, so that the block of a pair, and with it the context, is a uniform one of its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from xai_ray.coalitions.covers import union_blocks
from xai_ray.coalitions.design import Draw
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.coalitions.rounds import Differences, InRounds, Rounds, relabellings, smallest
from xai_ray.types import Floats, Ints, Mask

WIDTH = 6
"""Players of a block."""


@dataclass(frozen=True)
class Cubes(InRounds):
    """Draw t >= 1 is one cube. Slots are the sizes of the base, as many as it takes to reach the contexts; with a `law` over the
    contexts every cube draws its own. All pairs only.
    """

    n_players: int
    seed: int
    contexts: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...] | None = None
    law: tuple[float, ...] = ()
    singles: bool = False
    stochastic: bool = False

    def __post_init__(self) -> None:
        self.check()
        if self.pairs is not None:
            raise ValueError("cubes take random blocks and answer for all pairs")

    @property
    def width(self) -> int:
        """Players of a block b: 6, or two fewer than there are."""
        return min(WIDTH, max(2, self.n_players - 2))

    @property
    def bases(self) -> Ints:
        """Size of the base, by slot. With a law, those that put a context at the middle of the cube, or as near as can be; without,
        so few that every asked context is at neither edge of some cube, where a pair has a single difference.
        """
        if self.law:
            return np.unique(self._centred())
        return np.array(_thinned(self.contexts, self.n_players, self.width), dtype=np.int64)

    def _centred(self) -> Ints:
        low = np.array(self.contexts, dtype=np.int64) - (self.width - 2) // 2
        return np.clip(low, 0, self.n_players - self.width)

    @property
    def slots(self) -> int:
        """One a size of the base."""
        return len(self.bases)

    @property
    def base_law(self) -> tuple[float, ...]:
        """The law of the contexts, moved to the bases."""
        if not self.law:
            return ()
        return tuple(float(np.array(self.law)[self._centred() == c].sum()) for c in self.bases)

    @property
    def blocks(self) -> Ints:
        """Shape (blocks, b): positions that each round deals anew; every pair of positions is in a block."""
        return union_blocks(self.n_players, self.width)

    @property
    def rounds(self) -> Rounds:
        """Two players have a single cube."""
        limits = tuple(self.contexts_of(slot, None) for slot in range(self.slots))
        return Rounds(len(self.blocks), limits, self.base_law)

    @property
    def capacity(self) -> int | None:
        """None, unless there are two players."""
        return self.rounds.capacity

    def evaluations(self, draws: int) -> int:
        """Draw 0, then 2^b a draw."""
        return 0 if draws == 0 else self.first_rows + (draws - 1 << self.width)

    def affordable(self, evaluations: int) -> int:
        """Whole cubes only."""
        if evaluations < self.first_rows:
            return 0
        draws = 1 + (evaluations - self.first_rows >> self.width)
        return draws if self.capacity is None else min(draws, self.capacity)

    def round_cost(self) -> int:
        """Evaluations of one round."""
        return (len(self.blocks) << self.width) * (1 if self.law else self.slots)

    def contexts_of(self, slot: int | None, context: int | None) -> int | None:
        """1 for context sizes with a single context; a slot mixes sizes and has one only when there are two players."""
        if self.law or self.stochastic:
            return None
        if slot is not None:
            return 1 if self.width == self.n_players else None
        return 1 if context is not None and comb(self.n_players - 2, context) == 1 else None

    def chances(self) -> Floats:
        """Shape (n-1,): sum over slots of their law (or 1) times the share of a pair's differences that are of order m."""
        out, extra = np.zeros(self.n_players - 1), np.arange(self.width - 1)
        share = np.array([comb(self.width - 2, int(e)) for e in extra]) / (1 << (self.width - 2))
        law = np.array(self.base_law) / np.sum(self.base_law) if self.law else np.ones(self.slots)
        for base, chance in zip(self.bases, law, strict=True):
            out[base + extra] += chance * share
        return out

    def reads(self, profile: Floats) -> Mask:
        """Shape (slots,): whether a profile of weights by context size reads a slot."""
        reach = np.arange(self.width - 1)
        return (profile[self.bases[:, None] + reach] != 0).any(axis=1)

    def law_share(self, context: Ints, slot: Ints) -> Floats:
        """Every one of the 2^(b-2) differences of a pair is one part of the unit."""
        return np.full(len(context), 0.5 ** (self.width - 2))

    def draw(self, start: int, stop: int) -> Draw:
        """Draws [start, stop). Row r of a cube holds the players of the block with the bits of r, and the base."""
        numbers, index, slot, members = self._cubes(start, stop)
        words = random_words(self.seed, Stream.CUBES, 1, numbers, self.n_players)
        np.put_along_axis(words, members, np.iinfo(np.uint64).max, axis=1)
        base = smallest(words, self.bases[slot])
        rows = np.repeat(base[:, None, :], 1 << self.width, axis=1)
        corners = unpack(np.arange(1 << self.width), self.width)
        at = np.arange(len(numbers))[:, None, None]
        rows[at, np.arange(1 << self.width)[None, :, None], members[:, None, :]] = corners[None]
        counts = np.full(len(numbers), 1 << self.width, dtype=np.int64)
        return self.assemble(start, stop, rows.reshape(-1, self.n_players), counts, slot, index)

    def differences(self, start: int, stop: int) -> Differences:
        """b(b-1)/2 * 2^(b-2) a draw."""
        numbers, _, slot, members = self._cubes(start, stop)
        ends, extra, corners, share = _faces(self.width)
        first = np.arange(len(numbers), dtype=np.int64) * (1 << self.width) + (self.first_rows if start == 0 else 0)
        pair = self.pair_numbers()[members[:, ends[:, 0]], members[:, ends[:, 1]]].reshape(-1)
        rows = (first[:, None, None] + corners[None]).reshape(-1, 4)
        sizes = (self.bases[slot][:, None] + extra[None]).reshape(-1)
        times = len(ends)
        return Differences(
            np.repeat(numbers, times), np.repeat(slot, times), pair, sizes, rows, np.tile(share, len(numbers))
        )

    def _cubes(self, start: int, stop: int) -> tuple[Ints, Ints, Ints, Ints]:
        numbers = np.arange(max(start, 1), stop, dtype=np.int64)
        words = random_words(self.seed, Stream.CUBES, 0, numbers, 1)[:, 0]
        index, slot, block = self.rounds.places(numbers, words)
        orders = relabellings(self.seed, self.n_players, 0 * slot if self.law else slot, index)
        return numbers, index, slot, np.take_along_axis(orders, self.blocks[block], axis=1)

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return self.described("cubes")


@lru_cache(maxsize=64)
def _thinned(contexts: tuple[int, ...], n: int, width: int) -> tuple[int, ...]:
    """Base sizes, ascending: a further one where a context is at the edge of the cubes so far."""
    bases: list[int] = []
    for m in contexts:
        inner = bases and 0 < m - bases[-1] < width - 2
        middle = (width - 2) // 2
        lower = min(1, middle) if m + 1 in contexts else middle
        base = min(max(m - lower, 0), n - width)
        if not inner and base not in bases:
            bases.append(base)
    return tuple(bases)


@lru_cache(maxsize=8)
def _faces(width: int) -> tuple[Ints, Ints, Ints, Floats]:
    """Faces of a cube: ends (d, 2) of the pair, members besides it (d,), corner numbers (d, 4), one over their number of the size (d,)."""
    ends: list[Ints] = []
    extra: list[Ints] = []
    corners: list[Ints] = []
    for i, j in combinations(range(width), 2):
        free = np.array([c for c in range(1 << width) if not (c >> i & 1 or c >> j & 1)], dtype=np.int64)
        ends.append(np.tile(np.array([i, j], dtype=np.int64), (len(free), 1)))
        extra.append(np.array([int(c).bit_count() for c in free], dtype=np.int64))
        corners.append(np.stack([free, free | 1 << i, free | 1 << j, free | 1 << i | 1 << j], axis=1))
    sizes = np.concatenate(extra)
    share = np.array([1.0 / comb(width - 2, int(s)) for s in sizes])
    return np.concatenate(ends), sizes, np.concatenate(corners), share
