"""Permutations of the players that keep groups together, at every level of a nested grouping, with their reverses.

All such orders are equally likely: the groups of a level are in random order inside the group that holds them, players inside
theirs. Owen (1977); levels: Winter, "A value for cooperative games with levels structure of cooperation" (1989).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xai_ray.coalitions.permutations import Permutations
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.types import Ints


@dataclass(frozen=True)
class OwenOrders(Permutations):
    """Draws as in `Permutations`. `levels` names the group of each player, (n,) whole numbers a level, coarsest level first."""

    levels: tuple[tuple[int, ...], ...] = ()

    def orders(self, items: Ints) -> Ints:
        """Permutations `items`, shape (len(items), n): entry t is the player who joins at step t."""
        labels = np.array(self.levels, dtype=np.int64).reshape(len(self.levels), self.n_players)
        first = self.n_players + np.cumsum([0, *(row.max() + 1 for row in labels)])
        words = random_words(self.seed, Stream.OWEN_ORDERS, 0, items, int(first[-1]))
        # The last key decides first: the coarsest level, then finer ones, then the players' own.
        keys = [
            words[:, : self.n_players],
            *(words[:, f + row] for f, row in zip(first[-2::-1], labels[::-1], strict=True)),
        ]
        return np.lexsort(keys, axis=1).astype(np.int64)

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {
            "kind": "owen_orders",
            "n_players": self.n_players,
            "seed": self.seed,
            "levels": [list(level) for level in self.levels],
            "stochastic": self.stochastic,
        }
