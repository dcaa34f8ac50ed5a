"""Designs that read second differences: draws in rounds over (block of players, slot), each round in new random contexts.

A slot is what a draw fixes besides its players: the size of the context, or of the base of a cube. Without a law every round holds
every (block, slot) once, so that a larger budget adds contexts to each evenly; with a law every block draws its slot from it.
Draw 0 is the empty and the grand coalition, followed by the single players where first-order terms are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from xai_ray.coalitions.design import FULL_EXPECTATION, Draw
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.types import Coalitions, Floats, Ints, Mask, Words


@dataclass(frozen=True, slots=True)
class Differences:
    """The second differences v(T+ij) - v(T+i) - v(T+j) + v(T) of consecutive draws; d of them."""

    draw: Ints
    """Shape (d,): number of the draw, counted over the whole design."""
    slot: Ints
    """Shape (d,): slot of the draw."""
    pair: Ints
    """Shape (d,): number of the pair in `pair_list`."""
    context: Ints
    """Shape (d,): |T|."""
    rows: Ints
    """Shape (d, 4): rows of v(T), v(T+i), v(T+j), v(T+ij), counted from the first row of the draws; the first and the last may be
    exchanged, which leaves the difference as it is."""
    mean_share: Floats
    """Shape (d,): one over the number of differences of the same draw, pair and context."""


class SecondDifferences(Protocol):
    """A design whose draws hold whole second differences."""

    @property
    def n_players(self) -> int:
        """Number of players n."""
        ...

    @property
    def pair_list(self) -> Ints:
        """Shape (p, 2): the pairs i < j, ascending."""
        ...

    @property
    def slots(self) -> int:
        """Number of slots."""
        ...

    @property
    def drawn_by_law(self) -> bool:
        """Whether slots are drawn from a law; otherwise every round holds all of them."""
        ...

    @property
    def singles(self) -> bool:
        """Whether draw 0 holds the single players."""
        ...

    @property
    def first_rows(self) -> int:
        """Evaluations of draw 0."""
        ...

    def round_cost(self) -> int:
        """Evaluations of one round, at most."""
        ...

    def differences(self, start: int, stop: int) -> Differences:
        """Those of draws [start, stop), in the order of the draws."""
        ...

    def chances(self) -> Floats:
        """Shape (n-1,), by context size m: how much of a difference of order m a unit (draw, pair) expects; summed over slots
        when every round holds all of them."""
        ...

    def reads(self, profile: Floats) -> Mask:
        """Shape (slots,): whether weights by context size, shape (n-1,), read a slot."""
        ...

    def law_share(self, context: Ints, slot: Ints) -> Floats:
        """Shape (d,): the part of a unit that one difference of this context size in this slot makes up, as `chances` counts it."""
        ...

    def contexts_of(self, slot: int | None, context: int | None) -> int | None:
        """Contexts of a pair in all, when units never repeat one before all were seen: of a slot, or of a context size. None
        when units are drawn with replacement."""
        ...


@dataclass(frozen=True, slots=True)
class Rounds:
    """Where the draws from number 1 on stand. `limits[s]` rounds hold slot s (None: all rounds)."""

    blocks: int
    limits: tuple[int | None, ...]
    law: tuple[float, ...]
    """Weights of the slots, when each draw takes its slot from them; empty when every round holds every slot."""

    @property
    def capacity(self) -> int | None:
        """Draws, with draw 0; None when they never run out."""
        if self.law:
            return None
        total = 0
        for limit in self.limits:
            if limit is None:
                return None
            total += limit
        return 1 + total * self.blocks

    def places(self, draws: Ints, words: Words) -> tuple[Ints, Ints, Ints]:
        """Round, slot and block of draws >= 1, each of shape (len(draws),). `words` (one a draw) choose the slot under a law."""
        at = draws - 1
        if self.law:
            edges = np.cumsum(self.law) / np.sum(self.law)
            slot = np.searchsorted(edges[:-1], uniform(words), side="right").astype(np.int64)
            return at // self.blocks, slot, at % self.blocks
        first, starts, active = self._segments()
        segment = np.searchsorted(starts, at, side="right") - 1
        round_, slot, block = (np.empty_like(at) for _ in range(3))
        for s in map(int, np.unique(segment)):
            here = segment == s
            rest = at[here] - starts[s]
            per_round = len(active[s]) * self.blocks
            round_[here] = first[s] + rest // per_round
            within = rest % per_round
            block[here] = within // len(active[s])
            slot[here] = active[s][within % len(active[s])]
        return round_, slot, block

    def _segments(self) -> tuple[list[int], Ints, list[Ints]]:
        """Runs of rounds with the same slots: first round, first draw (from 0), slots."""
        ends = sorted({limit for limit in self.limits if limit is not None})
        first, starts, active = [0], [0], [np.arange(len(self.limits), dtype=np.int64)]
        for end in ends:
            left = [s for s, limit in enumerate(self.limits) if limit is None or limit > end]
            # Runs that begin beyond every number of draws are never reached.
            if not left or starts[-1] + (end - first[-1]) * len(active[-1]) * self.blocks >= 1 << 62:
                break
            starts.append(starts[-1] + (end - first[-1]) * len(active[-1]) * self.blocks)
            first.append(end)
            active.append(np.array(left, dtype=np.int64))
        return first, np.array(starts, dtype=np.int64), active


class InRounds:
    """What the designs share that draw in rounds; a subclass is a frozen dataclass with these fields."""

    n_players: int
    seed: int
    contexts: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...] | None
    law: tuple[float, ...]
    singles: bool
    stochastic: bool

    @property
    def drawn_by_law(self) -> bool:
        """Whether slots are drawn from a law."""
        return bool(self.law)

    @property
    def slots(self) -> int:
        """One a context size."""
        return len(self.contexts)

    def chances(self) -> Floats:
        """The law of the context size, or 1 for each that every round holds."""
        out = np.zeros(self.n_players - 1)
        out[list(self.contexts)] = np.array(self.law) / np.sum(self.law) if self.law else 1.0
        return out

    def reads(self, profile: Floats) -> Mask:
        """Shape (slots,): whether a profile of weights by context size reads a slot."""
        return profile[list(self.contexts)] != 0

    def law_share(self, context: Ints, slot: Ints) -> Floats:
        """A unit is one difference."""
        return np.ones(len(context))

    @property
    def pair_list(self) -> Ints:
        """Shape (p, 2): the pairs, ascending."""
        if self.pairs is not None:
            return np.array(self.pairs, dtype=np.int64)
        return np.stack(np.triu_indices(self.n_players, 1), axis=1).astype(np.int64)

    @property
    def first_rows(self) -> int:
        """Evaluations of draw 0."""
        return 2 + (self.n_players if self.singles else 0)

    def check(self) -> None:
        """Raises ValueError when the fields do not go together."""
        n = self.n_players
        if n < 2 or not self.contexts or any(not 0 <= m <= n - 2 for m in self.contexts):
            raise ValueError(f"contexts must lie in 0..{n - 2} with {n} players, got {self.contexts}")
        if self.law and (len(self.law) != len(self.contexts) or any(not w > 0 for w in self.law)):
            raise ValueError(f"law needs {len(self.contexts)} positive weights, got {self.law}")

    def pair_numbers(self) -> Ints:
        """Shape (n, n), symmetric: number of each pair in `pair_list`, -1 where it is not asked."""
        numbers = np.full((self.n_players, self.n_players), -1, dtype=np.int64)
        pairs = self.pair_list
        numbers[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
        numbers[pairs[:, 1], pairs[:, 0]] = np.arange(len(pairs))
        return numbers

    def assemble(self, start: int, stop: int, rows: Coalitions, counts: Ints, slot: Ints, index: Ints) -> Draw:
        """A draw of [start, stop) from the rows of its draws >= 1, their numbers of rows, slots and rounds."""
        numbers = np.arange(max(start, 1), stop, dtype=np.int64)
        context = np.repeat(numbers, counts)
        if start == 0:
            n = self.n_players
            head = np.zeros((self.first_rows, n), dtype=np.bool_)
            head[1] = True
            if self.singles:
                head[2:] = np.eye(n, dtype=np.bool_)
            rows = np.concatenate([head, rows])
            context = np.concatenate([np.full(len(head), FULL_EXPECTATION, dtype=np.int64), context])
            counts = np.concatenate([np.array([len(head)], dtype=np.int64), counts])
            slot, index = np.concatenate([[-1], slot]), np.concatenate([[0], index])
        owner = np.repeat(np.arange(stop - start, dtype=np.int64), counts)
        return Draw(start, rows, context, owner, slot.astype(np.int64) + 1, index.astype(np.int64))

    def described(self, kind: str) -> dict[str, Any]:
        """Kind and the shared arguments."""
        return {
            "kind": kind,
            "n_players": self.n_players,
            "seed": self.seed,
            "contexts": list(self.contexts),
            "pairs": None if self.pairs is None else [list(pair) for pair in self.pairs],
            "law": list(self.law),
            "singles": self.singles,
            "stochastic": self.stochastic,
        }


def uniform(words: Words) -> Floats:
    """Numbers in [0, 1) from random words, elementwise."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smallest(words: Words, counts: Ints) -> Coalitions:
    """Row by row, the `counts` players with the smallest words, shape of `words`."""
    order = np.argsort(words, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(words.shape[1], dtype=order.dtype)[None, :], axis=1)
    return rank < counts[:, None]


def relabellings(seed: int, n: int, slots: Ints, rounds: Ints) -> Ints:
    """Shape (d, n): the players at positions 0..n-1 in these rounds of these slots, a random order for each (slot, round)."""
    keys, where = np.unique(np.stack([slots, rounds], axis=1), axis=0, return_inverse=True)
    orders = np.empty((len(keys), n), dtype=np.int64)
    for slot in np.unique(keys[:, 0]):
        here = keys[:, 0] == slot
        words = random_words(seed, Stream.RELABELLINGS, int(slot), keys[here, 1], n)
        orders[here] = np.argsort(words, axis=1, kind="stable")
    return orders[where.reshape(-1)]
