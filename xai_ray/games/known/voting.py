"""Voting games: majority and weighted majority, with the Shapley-Shubik power index by dynamic programming."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from xai_ray.errors import InputError
from xai_ray.games.known.closed import ClosedFormGame
from xai_ray.types import Coalitions, Floats


class MajorityGame(ClosedFormGame):
    """v(S) = 1 if |S| reaches the quota (default: more than half), else 0; every player's value is 1/n."""

    citation = "Shapley and Shubik, A method for evaluating the distribution of power in a committee system (1954)"

    def __init__(self, players: int, quota: int | None = None) -> None:
        self.quota = players // 2 + 1 if quota is None else quota
        if not 1 <= self.quota <= max(players, 1):
            raise InputError(f"quota {self.quota} is not in 1..{players}")
        super().__init__(players, f"majority {players} {self.quota}")

    def worth(self, coalitions: Coalitions) -> Floats:
        """Shape (c,)."""
        return (coalitions.sum(axis=1) >= self.quota).astype(np.float64)

    def shapley_values(self) -> Floats:
        """1/n each, by symmetry and efficiency, shape (n,)."""
        return np.full(self.n_players, 1.0 / self.n_players)


class WeightedVotingGame(ClosedFormGame):
    """v(S) = 1 if the weights of S sum to at least the quota, else 0. Weights and quota are whole numbers.

    Closed form: Mann and Shapley, "Values of large games VI" (RAND RM-3158, 1962): count the coalitions without i by
    size and weight. Here the table holds P(weight | size) instead of counts, which stays in [0, 1] for any n and
    never cancels.
    """

    citation = "Mann and Shapley, Values of large games VI: evaluating the electoral college exactly (1962)"

    def __init__(self, weights: Sequence[int], quota: int) -> None:
        if any(int(w) != w or w < 0 for w in weights):
            raise InputError(f"weights must be whole numbers >= 0, got {list(weights)}")
        self.weights = np.array(weights, dtype=np.int64)
        self.quota = int(quota)
        if self.quota != quota or not 1 <= self.quota <= int(self.weights.sum()):
            raise InputError(
                f"quota {quota} is not a whole number in 1..{int(self.weights.sum())} (the sum of the weights)"
            )
        super().__init__(len(weights), f"weighted voting {self.weights.tolist()} {self.quota}")

    def worth(self, coalitions: Coalitions) -> Floats:
        """Shape (c,)."""
        return (coalitions.astype(np.int64) @ self.weights >= self.quota).astype(np.float64)

    def shapley_values(self) -> Floats:
        """Shapley-Shubik index, shape (n,); O(n^2 quota log d) for d different weights."""
        n = self.n_players
        start = np.zeros((n, self.quota))
        start[0, 0] = 1.0
        power = _pivots(Counter(self.weights.tolist()), start, 0, self.quota)
        return np.array([power[w] for w in self.weights.tolist()]) / n


def _pivots(left: Counter[int], law: Floats, players: int, quota: int) -> dict[int, float]:
    """For each weight in `left`: sum over sizes of the chance that a player of that weight turns a losing coalition
    of all others.

    `law[s, w]` = P(weight w | size s) among the `players` players outside `left`; one of each kind is left out by
    halving.
    """
    kinds = sorted(left)
    if len(kinds) == 1:
        weight = kinds[0]
        law = _joined(law, players, [weight] * (left[weight] - 1))
        return {weight: float(law[:, max(quota - weight, 0) :].sum()) if weight else 0.0}
    half = len(kinds) // 2
    out: dict[int, float] = {}
    for stay, go in ((kinds[:half], kinds[half:]), (kinds[half:], kinds[:half])):
        joining = [w for w in go for _ in range(left[w])]
        rest = Counter({w: left[w] for w in stay})
        out.update(_pivots(rest, _joined(law, players, joining), players + len(joining), quota))
    return out


def _joined(law: Floats, players: int, weights: Sequence[int]) -> Floats:
    """The law after more players join: a random s-subset of m+1 players holds the newest one with chance s/(m+1)."""
    sizes = np.arange(len(law))[:, None]
    for weight in weights:
        players += 1
        joined = law * np.maximum(players - sizes, 0) / players
        if weight < law.shape[1]:
            joined[1:, weight:] += law[:-1, : law.shape[1] - weight] * sizes[1:] / players
        law = joined
    return law
