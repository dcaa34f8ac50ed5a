"""Stars: a context S, the coalitions S+i of a block of players and S+ij of its pairs; one second difference a pair at exactly order |S|.

A star of b players costs 1 + b + b(b-1)/2 evaluations for b(b-1)/2 second differences that share S, where pairs by themselves cost four
each. Orders above (n-2)/2 take the star of complements (N-S, N-S-i, N-S-ij), so a context never crowds out the block.

All pairs: every round deals the players anew into groups, and stars are pairs of groups. Given pairs: a fixed cover of the pairs by
blocks; S is uniform over all coalitions of its size that leave a pair of the block outside (members of the block may be in S, or else
contexts would never hold a neighbour), and the star is what S leaves of the block.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import comb
from typing import Any

import numpy as np

from xai_ray.coalitions.covers import Block, group_blocks, pair_blocks
from xai_ray.coalitions.design import Draw
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.coalitions.rounds import Differences, InRounds, Rounds, relabellings, smallest, uniform
from xai_ray.types import Coalitions, Floats, Ints, Words

GROUP = 8
"""Players of a group, when all pairs are asked; fewer where the context leaves no room for two groups."""
BLOCK = 9
"""Players of a block, when pairs are given."""


@dataclass(frozen=True, slots=True)
class _Left:
    """What a context leaves of a block."""

    gone: Ints
    """Numbers within the block of the players that are in the context."""
    members: Ints
    """Shape (w,): numbers within the block of the players that appear in a surviving pair."""
    ends: Ints
    """Shape (e, 2): the surviving pairs, as numbers within `members`."""

    @property
    def cost(self) -> int:
        return 1 + len(self.members) + len(self.ends)


@dataclass(frozen=True)
class Stars(InRounds):
    """Draw t >= 1 is one star. Slots are the context sizes; with a `law` every star draws its own."""

    n_players: int
    seed: int
    contexts: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...] | None = None
    law: tuple[float, ...] = ()
    singles: bool = False
    stochastic: bool = False
    _costs: list[Ints] = field(default_factory=list[Ints], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.check()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The cover: of positions that each round deals anew, or of the given pairs."""
        if self.pairs is not None:
            return pair_blocks(self.n_players, BLOCK, self.pairs)
        room = self.n_players - (self.n_players - 2) // 2
        return group_blocks(self.n_players, max(1, min(GROUP, room // 2)))

    @property
    def rounds(self) -> Rounds:
        """Sizes 0 and n-2 have one context a pair: one round exhausts them."""
        limits = tuple(self.contexts_of(slot, None) for slot in range(self.slots))
        return Rounds(len(self.blocks), limits, self.law)

    @property
    def capacity(self) -> int | None:
        """None, unless only contexts are asked that a round exhausts."""
        return self.rounds.capacity

    def evaluations(self, draws: int) -> int:
        """The sum over stars."""
        if draws == 0:
            return 0
        return int(self._ends(draws)[draws - 1])

    def affordable(self, evaluations: int) -> int:
        """Whole stars only."""
        draws = 1024
        while self._ends(draws)[draws - 1] <= evaluations and (self.capacity is None or draws < self.capacity):
            draws *= 2
        found = int(np.searchsorted(self._ends(draws)[:draws], evaluations, side="right"))
        return found if self.capacity is None else min(found, self.capacity)

    def round_cost(self) -> int:
        """Evaluations of one round, at most."""
        whole = sum(1 + len(block.members) + len(block.edges) for block in self.blocks)
        return whole * (1 if self.law else self.slots)

    def contexts_of(self, slot: int | None, context: int | None) -> int | None:
        """1 for sizes with a single context; other contexts are drawn with replacement."""
        m = self.contexts[slot] if slot is not None else context
        if self.law or self.stochastic or m is None or comb(self.n_players - 2, m) > 1:
            return None
        return 1

    def draw(self, start: int, stop: int) -> Draw:
        """Draws [start, stop). Rows of a star: S, S+i by player, S+ij by pair; complements above the middle order."""
        numbers, index, slot, block, players, left = self._stars(start, stop)
        base = self._bases(numbers, slot, block, players, left)
        upper = self._upper()[slot]
        parts = [_rows(base[t], players[t], left[t], bool(upper[t])) for t in range(len(numbers))]
        rows = np.concatenate(parts) if parts else np.zeros((0, self.n_players), dtype=np.bool_)
        counts = np.array([star.cost for star in left], dtype=np.int64)
        return self.assemble(start, stop, rows, counts, slot, index)

    def differences(self, start: int, stop: int) -> Differences:
        """One a surviving pair."""
        numbers, _, slot, _, players, left = self._stars(start, stop)
        counts = np.array([len(star.ends) for star in left], dtype=np.int64)
        costs = np.array([star.cost for star in left], dtype=np.int64)
        first = np.cumsum(costs) - costs + (self.first_rows if start == 0 else 0)
        draw, slots = np.repeat(numbers, counts), np.repeat(slot, counts)
        if not len(draw):
            none = np.zeros(0, dtype=np.int64)
            return Differences(none, none, none, none, np.zeros((0, 4), dtype=np.int64), np.zeros(0))
        ends = np.concatenate([p[star.members][star.ends] for p, star in zip(players, left, strict=True)])
        inner = np.concatenate([_row_numbers(star) for star in left]) + np.repeat(first, counts)[:, None]
        pair = self.pair_numbers()[ends[:, 0], ends[:, 1]]
        sizes = np.array(self.contexts, dtype=np.int64)[slots]
        return Differences(draw, slots, pair, sizes, inner, np.ones(len(draw)))

    def _upper(self) -> Coalitions:
        return 2 * np.array(self.contexts) > self.n_players - 2

    def _bottom(self) -> Ints:
        """Size of S, by slot: m, or n-2-m for a star of complements."""
        m = np.array(self.contexts, dtype=np.int64)
        return np.minimum(m, self.n_players - 2 - m)

    def _stars(self, start: int, stop: int) -> tuple[Ints, Ints, Ints, Ints, list[Ints], list[_Left]]:
        """Number, round, slot and block of the draws >= 1, the players of their blocks, and what their contexts leave."""
        numbers = np.arange(max(start, 1), stop, dtype=np.int64)
        words = random_words(self.seed, Stream.STARS, 0, numbers, 2)
        index, slot, block = self.rounds.places(numbers, words[:, 0])
        blocks = self.blocks
        if self.pairs is None:
            orders = relabellings(self.seed, self.n_players, slot if not self.law else 0 * slot, index)
            held = [blocks[int(b)] for b in block]
            players = [order[b.members] for order, b in zip(orders, held, strict=True)]
            return numbers, index, slot, block, players, [_survivors(b.shape, 0) for b in held]
        if self.law:
            slot = self._slots_by_block(block, words[:, 0])
        players = [blocks[int(b)].members for b in block]
        return numbers, index, slot, block, players, self._survived(slot, block, words[:, 1])

    def _slots_by_block(self, block: Ints, words: Words) -> Ints:
        """Sizes whose contexts leave a pair of the block more rarely are drawn more often, so that a pair sees them by the law."""
        slot, chance, n = np.zeros(len(block), dtype=np.int64), uniform(words), self.n_players
        for b in map(int, np.unique(block)):
            shape = self.blocks[b].shape
            leaves = [comb(n - 2, int(k)) / _taken(shape, n, int(k))[1] for k in self._bottom()]
            edges = np.cumsum(np.array(self.law) / np.array(leaves))
            here = block == b
            slot[here] = np.searchsorted(edges[:-1] / edges[-1], chance[here], side="right")
        return slot

    def _survived(self, slot: Ints, block: Ints, words: Words) -> list[_Left]:
        chance, bottom, blocks = uniform(words), self._bottom(), self.blocks
        taken = np.zeros(len(slot), dtype=np.int64)
        kinds = block * self.slots + slot
        for kind in map(int, np.unique(kinds)):
            here = kinds == kind
            law = _taken(blocks[kind // self.slots].shape, self.n_players, int(bottom[kind % self.slots]))[0]
            taken[here] = np.minimum(np.searchsorted(law, chance[here], side="right"), len(law) - 1)
        return [_survivors(blocks[b].shape, code) for b, code in zip(map(int, block), map(int, taken), strict=True)]

    def _bases(self, numbers: Ints, slot: Ints, block: Ints, players: list[Ints], left: list[_Left]) -> Coalitions:
        """S of each draw: the members of the block that are not left, and others at random."""
        words = random_words(self.seed, Stream.STARS, 1, numbers, self.n_players)
        taken = np.zeros(words.shape, dtype=np.bool_)
        for t, (members, star) in enumerate(zip(players, left, strict=True)):
            words[t, members] = np.iinfo(np.uint64).max
            taken[t, members[star.gone]] = True
        rest = self._bottom()[slot] - taken.sum(axis=1)
        return taken | smallest(words, rest)

    def _ends(self, draws: int) -> Ints:
        """Evaluations up to the end of each draw, for the first `draws` draws at least; the longest run so far is kept."""
        have = 0 if not self._costs else len(self._costs[0])
        if have < draws:
            wanted = max(draws, 2 * have, 1024)
            capacity = self.capacity
            stop = wanted if capacity is None else min(wanted, capacity)
            stars: list[_Left] = self._stars(max(have, 1), stop)[5] if stop > have else []
            fresh = np.array([star.cost for star in stars], dtype=np.int64)
            old = np.diff(self._costs[0], prepend=0) if have else np.array([self.first_rows], dtype=np.int64)
            rest = np.zeros(wanted - max(stop, have), dtype=np.int64)
            costs = np.concatenate([old, fresh, rest]).astype(np.int64)
            self._costs[:] = [np.cumsum(costs)]
        return self._costs[0]

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return self.described("stars")


@lru_cache(maxsize=8192)
def _survivors(shape: tuple[int, bytes], code: int) -> _Left:
    """What is left of a block when the context holds the players with the bits of `code`."""
    width, edges = shape[0], np.frombuffer(shape[1], dtype=np.int64).reshape(-1, 2)
    inside = ((code >> np.arange(width)) & 1).astype(np.bool_)
    alive = edges[~inside[edges].any(axis=1)]
    members = np.unique(alive)
    return _Left(np.flatnonzero(inside), members, np.searchsorted(members, alive).astype(np.int64))


@lru_cache(maxsize=8192)
def _taken(shape: tuple[int, bytes], n: int, size: int) -> tuple[Floats, int]:
    """Law of the members of a block that a uniform context of this size holds, given that it leaves a pair: cumulated over the 2^w
    codes; and the number of such contexts.
    """
    held, alive = _codes(shape)
    width = shape[0]
    ways = [comb(n - width, size - h) if h <= size else 0 for h in range(width + 1)]
    total = sum(int(times) * w for times, w in zip(np.bincount(held[alive], minlength=width + 1), ways, strict=True))
    chances = np.array([w / total for w in ways])
    return np.cumsum(np.where(alive, chances[held], 0.0)), total


@lru_cache(maxsize=1024)
def _codes(shape: tuple[int, bytes]) -> tuple[Ints, Coalitions]:
    """Players in each of the 2^w subsets of a block, and whether the others still hold a pair."""
    subsets = unpack(np.arange(1 << shape[0], dtype=np.int64), shape[0])
    edges = np.frombuffer(shape[1], dtype=np.int64).reshape(-1, 2)
    alive: Coalitions = ~(subsets[:, edges[:, 0]] | subsets[:, edges[:, 1]])
    return subsets.sum(axis=1).astype(np.int64), np.asarray(alive.any(axis=1), dtype=np.bool_)


def _rows(base: Any, players: Ints, star: _Left, upper: bool) -> Coalitions:
    """The rows of one star, shape (cost, n)."""
    rows = np.repeat(base[None], star.cost, axis=0)
    players, width = players[star.members], len(star.members)
    rows[1 + np.arange(width), players] = True
    at = 1 + width + np.arange(len(star.ends))
    rows[at, players[star.ends[:, 0]]] = True
    rows[at, players[star.ends[:, 1]]] = True
    return ~rows if upper else rows


def _row_numbers(star: _Left) -> Ints:
    """Rows of S, S+i, S+j, S+ij within the star, by surviving pair, shape (e, 4)."""
    e, width = len(star.ends), len(star.members)
    none, both = np.zeros(e, dtype=np.int64), 1 + width + np.arange(e, dtype=np.int64)
    return np.stack([none, 1 + star.ends[:, 0], 1 + star.ends[:, 1], both], axis=1)
