"""Contexts of one player at a time: a coalition S without player i, the rest of the others, and each of the two with i.

Four evaluations for two marginal contributions of one player: v(S + i) - v(S) and v(N - S) - v(N - i - S). S has h or n-1-h members at
level h, so each level serves both ends of an index. Draws go in rounds: in every round each asked player has one draw in each of `STRATA`
equal parts of the law of its level, which is stratified sampling of a uniform number (Cochran, Sampling Techniques, 1977, chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xai_ray.coalitions.design import FULL_EXPECTATION, AfterHead, Draw
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.coalitions.rounds import Rounds, smallest, uniform
from xai_ray.types import Coalitions, Floats, Ints

STRATA = 4
"""Equal parts of the law of the level."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """The marginal contributions of consecutive draws; d of them."""

    player: Ints
    """Shape (d,): place of the player in `player_list`."""
    stratum: Ints
    """Shape (d,): part of the law, 0..STRATA-1."""
    level: Ints
    """Shape (d,): members h of the smaller context."""
    rows: Ints
    """Shape (d, 4): rows of v(S), v(S + i), v(N - i - S), v(N - S), counted from the first row of the draws."""


@dataclass(frozen=True)
class PlayerContexts(AfterHead):
    """Draw 0 is the empty and the grand coalition, and where level 0 has a single context {i} and N - i of every asked player, which
    answers that level exactly. Draw t >= 1 is one player in one stratum; of a stochastic game, one exogenous context.
    """

    n_players: int
    seed: int
    law: tuple[float, ...]
    """Weights of the levels 0..(n-1)//2."""
    players: tuple[int, ...] | None = None
    """The asked ones, ascending; None for all."""
    stochastic: bool = False

    def __post_init__(self) -> None:
        n = self.n_players
        if n < 1 or len(self.law) != (n + 1) // 2 or any(not w >= 0 for w in self.law) or not sum(self.law) > 0:
            raise ValueError(f"law needs {(n + 1) // 2} weights with a positive sum, got {self.law}")
        if self.players is not None and any(not 0 <= i < n for i in self.players):
            raise ValueError(f"players must lie in 0..{n - 1}, got {self.players}")

    @property
    def player_list(self) -> Ints:
        """Shape (p,): the asked players."""
        return np.arange(self.n_players, dtype=np.int64) if self.players is None else np.array(self.players, np.int64)

    @property
    def singles(self) -> bool:
        """Whether draw 0 answers level 0."""
        return not self.stochastic and self.law[0] > 0

    @property
    def first_rows(self) -> int:
        """Evaluations of draw 0."""
        return 2 + (2 * len(self.player_list) if self.singles else 0)

    @property
    def round_draws(self) -> int:
        """Draws of one round."""
        return STRATA * len(self.player_list)

    def chances(self) -> Floats:
        """Shape (levels,): the law of a draw's level, which sums to one; all zero where draw 0 says everything."""
        weights = np.array(self.law)
        if self.singles:
            weights[0] = 0.0
        return weights / weights.sum() if weights.any() else weights

    @property
    def capacity(self) -> int | None:
        """None: contexts are drawn with replacement; 1 where level 0 is all there is."""
        return None if self.chances().any() else 1

    def draw(self, start: int, stop: int) -> Draw:
        """Draws [start, stop)."""
        numbers, index, stratum, place, level = self._places(start, stop)
        player, at = self.player_list[place], np.arange(len(numbers))
        words = random_words(self.seed, Stream.PLAYER_CONTEXTS, 1, numbers, self.n_players)
        words[at, player] = np.iinfo(np.uint64).max
        rows = np.empty((len(numbers), 4, self.n_players), dtype=np.bool_)
        rows[:, :2] = smallest(words, level)[:, None]
        rows[:, 2:] = ~rows[:, :1]
        rows[at, :, player] = np.array([False, True, False, True])
        coalitions, context = rows.reshape(-1, self.n_players), np.repeat(numbers, 4)
        owner = np.repeat(numbers - start, 4)
        if start == 0:
            head = self._head()
            coalitions = np.concatenate([head, coalitions])
            context = np.concatenate([np.full(len(head), FULL_EXPECTATION, dtype=np.int64), context])
            owner = np.concatenate([np.zeros(len(head), dtype=np.int64), owner])
            stratum, index = np.concatenate([[-1], stratum]), np.concatenate([[0], index])
        return Draw(start, coalitions, context, owner, stratum.astype(np.int64) + 1, index.astype(np.int64))

    def contributions(self, start: int, stop: int) -> Contributions:
        """Those of draws [start, stop) but draw 0, in the order of the draws."""
        numbers, _, stratum, place, level = self._places(start, stop)
        first = np.arange(len(numbers), dtype=np.int64) * 4 + (self.first_rows if start == 0 else 0)
        return Contributions(place, stratum, level, first[:, None] + np.arange(4, dtype=np.int64))

    def _places(self, start: int, stop: int) -> tuple[Ints, Ints, Ints, Ints, Ints]:
        """Number, round, stratum, place of the player and level of the draws >= 1."""
        numbers = np.arange(max(start, 1), stop, dtype=np.int64)
        rounds = Rounds(len(self.player_list), (None,) * STRATA, ())
        index, stratum, place = rounds.places(numbers, np.zeros(0, dtype=np.uint64))
        words = random_words(self.seed, Stream.PLAYER_CONTEXTS, 0, numbers, 1)[:, 0]
        chances = self.chances()
        drawn = np.flatnonzero(chances)
        edges = np.cumsum(chances[drawn])[:-1]
        level = (
            drawn[np.searchsorted(edges, (stratum + uniform(words)) / STRATA, side="right")] if len(drawn) else stratum
        )
        return numbers, index, stratum, place, level.astype(np.int64)

    def _head(self) -> Coalitions:
        """Shape (first_rows, n): the ends, then {i} of every asked player, then N - i."""
        head = np.zeros((self.first_rows, self.n_players), dtype=np.bool_)
        head[1] = True
        if self.singles:
            asked = self.player_list
            count = len(asked)
            head[2 + np.arange(count), asked] = True
            head[2 + count :] = ~head[2 : 2 + count]
        return head

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {
            "kind": "player_contexts",
            "n_players": self.n_players,
            "seed": self.seed,
            "law": list(self.law),
            "players": None if self.players is None else list(self.players),
            "stochastic": self.stochastic,
        }
