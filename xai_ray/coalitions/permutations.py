"""Permutations of the players with their reverses (antithetic pairs), each walked from the empty to the grand coalition.

Castro, Gomez, Tejada, "Polynomial calculation of the Shapley value based on sampling" (2009); reverses: Mitchell et al. (JMLR 2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xai_ray.coalitions.design import FULL_EXPECTATION, Draw
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.types import Coalitions, Ints


@dataclass(frozen=True, slots=True)
class Permutations:
    """Draw 0 is the empty and the grand coalition; draw j >= 1 the inner prefixes of permutation j-1, then of its reverse.

    A stochastic game sees one context a draw, and then its own empty and grand coalition in every draw, so that marginal
    contributions are differences within one context.
    """

    n_players: int
    seed: int
    stochastic: bool = False

    @property
    def capacity(self) -> int | None:
        """None: permutations never run out, except for a single player."""
        return 1 if self.n_players == 1 and not self.stochastic else None

    @property
    def rows_per_draw(self) -> int:
        """Evaluations of one antithetic pair: 2(n-1), or 2n when the ends are evaluated again in each context."""
        return 2 * self.n_players if self.stochastic else 2 * (self.n_players - 1)

    def evaluations(self, draws: int) -> int:
        """Two for the ends, then `rows_per_draw` a draw."""
        return 0 if draws == 0 else 2 + (draws - 1) * self.rows_per_draw

    def affordable(self, evaluations: int) -> int:
        """Whole draws only."""
        if evaluations < 2:
            return 0
        return 1 if self.rows_per_draw == 0 else 1 + (evaluations - 2) // self.rows_per_draw

    def orders(self, items: Ints) -> Ints:
        """Permutations `items`, shape (len(items), n): entry t is the player who joins at step t."""
        words = random_words(self.seed, Stream.PERMUTATIONS, 0, items, self.n_players)
        return np.argsort(words, axis=1, kind="stable").astype(np.int64)

    def draw(self, start: int, stop: int) -> Draw:
        """Draws [start, stop). Rows of a draw: [empty] prefixes of the permutation, [grand] prefixes of the reverse."""
        n = self.n_players
        rows = self._chain_rows(np.arange(max(start, 1), stop, dtype=np.int64) - 1)
        if start == 0:
            rows = np.concatenate([np.zeros((1, n), dtype=np.bool_), np.ones((1, n), dtype=np.bool_), rows])
        return replace(self.outline(start, stop), coalitions=rows)

    def outline(self, start: int, stop: int) -> Draw:
        """Draws [start, stop) without their coalitions, which `orders` tells as well in n times less memory."""
        chains = np.arange(max(start, 1), stop, dtype=np.int64) - 1
        owner = np.repeat(chains + 1 - start, self.rows_per_draw)
        context = np.repeat(chains, self.rows_per_draw)
        if start == 0:
            owner = np.concatenate([np.zeros(2, dtype=np.int64), owner])
            context = np.concatenate([np.full(2, FULL_EXPECTATION, dtype=np.int64), context])
        numbers = np.arange(start, stop, dtype=np.int64)
        nothing = np.empty((0, self.n_players), dtype=np.bool_)
        return Draw(start, nothing, context, owner, np.minimum(numbers, 1), np.maximum(numbers - 1, 0))

    def _chain_rows(self, chains: Ints) -> Coalitions:
        n = self.n_players
        orders = self.orders(chains)
        position = np.empty_like(orders)
        np.put_along_axis(position, orders, np.arange(n, dtype=np.int64)[None, :], axis=1)
        first = 0 if self.stochastic else 1
        lengths = np.arange(first, first + self.rows_per_draw // 2, dtype=np.int64)[None, :, None]
        rows = np.empty((len(chains), 2, self.rows_per_draw // 2, n), dtype=np.bool_)
        np.less(position[:, None, :], lengths, out=rows[:, 0])
        # The reverse permutation is walked from the grand coalition down when stochastic: lengths 1..n instead of 0..n-1.
        back_lengths = lengths + 1 if self.stochastic else lengths
        np.less((n - 1 - position)[:, None, :], back_lengths, out=rows[:, 1])
        return rows.reshape(-1, n)

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {"kind": "permutations", "n_players": self.n_players, "seed": self.seed, "stochastic": self.stochastic}
