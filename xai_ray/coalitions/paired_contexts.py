"""The protocol of the papers on multi-order interactions: a pair of players, a random context, four evaluations.

Deng, Ren, Zhang, Zhang, "Discovering and explaining the representation bottleneck of DNNs" (ICLR 2022), appendix on computation. Each
(pair, context size) draws its contexts without replacement, so that sizes with a single context are evaluated once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from xai_ray.coalitions.design import AfterHead, Draw
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.coalitions.rounds import Differences, InRounds, Rounds, smallest
from xai_ray.coalitions.shuffle import shuffled
from xai_ray.coalitions.subsets import COUNTABLE, unrank
from xai_ray.types import Coalitions, Ints

_STEPS = ((0, 0), (1, 0), (0, 1), (1, 1))


@dataclass(frozen=True)
class PairedContexts(InRounds, AfterHead):
    """Draw t >= 1 is one (pair, context size) with the rows T, T+i, T+j, T+ij. Slots are the context sizes.

    With a `law` every draw takes its context size from it, and contexts are drawn with replacement; so they are in a stochastic game,
    where a draw is one exogenous context.
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

    @property
    def rounds(self) -> Rounds:
        """Blocks are the pairs."""
        limits = tuple(self.contexts_of(slot, None) for slot in range(self.slots))
        return Rounds(len(self.pair_list), limits, self.law)

    @property
    def capacity(self) -> int | None:
        """Every context of every pair once; None with a law or for a stochastic game."""
        return self.rounds.capacity

    def round_cost(self) -> int:
        """Evaluations of one round."""
        return 4 * len(self.pair_list) * (1 if self.law else self.slots)

    def contexts_of(self, slot: int | None, context: int | None) -> int | None:
        """C(n-2, m) where contexts are drawn without replacement."""
        m = self.contexts[slot] if slot is not None else context
        if self.law or self.stochastic or m is None:
            return None
        return comb(self.n_players - 2, m)

    def draw(self, start: int, stop: int) -> Draw:
        """Draws [start, stop)."""
        numbers, index, slot, block = self._places(start, stop)
        ends = self.pair_list[block]
        base = self._bases(numbers, index, slot, block, ends)
        rows = np.repeat(base, 4, axis=0).reshape(len(numbers), 4, self.n_players)
        at = np.arange(len(numbers))
        for row, (i, j) in enumerate(_STEPS):
            rows[at, row, ends[:, 0]] |= bool(i)
            rows[at, row, ends[:, 1]] |= bool(j)
        counts = np.full(len(numbers), 4, dtype=np.int64)
        return self.assemble(start, stop, rows.reshape(-1, self.n_players), counts, slot, index)

    def differences(self, start: int, stop: int) -> Differences:
        """One a draw."""
        numbers, _, slot, block = self._places(start, stop)
        first = np.arange(len(numbers), dtype=np.int64) * 4 + (self.first_rows if start == 0 else 0)
        sizes = np.array(self.contexts, dtype=np.int64)[slot]
        rows = first[:, None] + np.arange(4, dtype=np.int64)
        return Differences(numbers, slot, block, sizes, rows, np.ones(len(numbers)))

    def _places(self, start: int, stop: int) -> tuple[Ints, Ints, Ints, Ints]:
        numbers = np.arange(max(start, 1), stop, dtype=np.int64)
        words = (
            random_words(self.seed, Stream.PAIRED_CONTEXTS, 0, numbers, 1)[:, 0] if self.law else np.zeros(0, np.uint64)
        )
        return numbers, *self.rounds.places(numbers, words)

    def _bases(self, numbers: Ints, index: Ints, slot: Ints, block: Ints, ends: Ints) -> Coalitions:
        n = self.n_players
        base = np.zeros((len(numbers), n), dtype=np.bool_)
        for s in map(int, np.unique(slot)):
            here = np.flatnonzero(slot == s)
            m, pool = self.contexts[s], self.contexts_of(s, None)
            if pool is None or pool > COUNTABLE:
                words = random_words(self.seed, Stream.PAIRED_CONTEXTS, 1, numbers[here], n)
                np.put_along_axis(words, ends[here], np.iinfo(np.uint64).max, axis=1)
                base[here] = smallest(words, np.full(len(here), m))
                continue
            # One shuffle for all pairs of a size; each pair enters it at its own place.
            offset = random_words(self.seed, Stream.PAIRED_CONTEXTS, 2 + s, block[here], 1)[:, 0] % np.uint64(pool)
            items = (offset.astype(np.int64) + index[here]) % pool
            others = np.ones((len(here), n), dtype=np.bool_)
            np.put_along_axis(others, ends[here], False, axis=1)
            part = np.zeros((len(here), n), dtype=np.bool_)
            ranks = shuffled(self.seed, _SHUFFLES + m, pool, items)
            # Binomials on the way to a large rank may not fit, those on the way to its complement do.
            few = unrank(ranks, n - 2, min(m, n - 2 - m))
            part[others] = (few if 2 * m <= n - 2 else ~few).reshape(-1)
            base[here] = part
        return base

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return self.described("paired")


_SHUFFLES = 1 << 20
"""First sub-stream of ranks of this design, above those of strata."""
