"""Truncated Monte Carlo Data Shapley: permutations that stop where the score has come close to that of all points.

Ghorbani and Zou, "Data Shapley: equitable valuation of data for machine learning" (ICML 2019), algorithm 1, with the positions of
truncation kept and what was skipped accounted for; and an unbiased form, which goes on with probability q and weights what
follows by 1 / q (Russian roulette: Kahn and Harris, 1951).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.games.protocol import Game
from xai_ray.types import Floats, Ints, Mask
from xai_ray.valuation.draws import Purpose, orders, positive, uniforms
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.whole_blocks import values_in_blocks

LANES = 64
"""Permutations walked side by side. Fixed: a game may round differently in batches of another height."""


def truncated_shapley(
    game: Game,
    *,
    permutations: int,
    tolerance: float,
    patience: int = 5,
    go_on: float = 0.0,
    seed: int = 0,
) -> Valuation:
    """Shapley values of the players of a deterministic game, shape (n, k), from truncated permutations.

    A permutation is truncated at its first prefix that is, with `patience` - 1 before it, within `tolerance` of the grand coalition
    in every output; later players get 0 from it. With `go_on` > 0 it goes on with that probability, marginal contributions divided by
    it: the values are then unbiased, and their standard errors (over permutations) are larger. 64 permutations walk side by
    side, each as far as it goes, so that every call of the game has 64 rows.

    `facts`: `truncated_at` (permutations,), the players each walked (n if all); `skipped` (k,), mean of v(N) - v(prefix) over
    permutations, 0 for those that went on: values.sum(0) + skipped = v(N) - v(empty) exactly when `go_on` is 0;
    `bias_bound` (n, k), what a player's value can lack where no skipped contribution differs in sign from their sum, estimated
    from these permutations (0 if `go_on` > 0); and `evaluations`.

    Raises SpecError for a setting out of range, and what the game raises.
    """
    positive("permutations", permutations, least=2)
    check_truncation(game, tolerance, patience, go_on)
    walk = Walk(game, (0, permutations), tolerance, patience, go_on, seed)
    walk.to_end()
    return walk.valuation()


def check_truncation(game: Game, tolerance: float, patience: int, go_on: float) -> None:
    """Raises SpecError for a setting out of range."""
    positive("patience", patience)
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise SpecError(f"tolerance is a number of at least 0, in units of v; got {tolerance}")
    if not 0 <= go_on <= 1:
        raise SpecError(f"go_on is a probability, got {go_on}")
    if game.stochastic:
        raise SpecError("truncated permutations need a game whose values do not depend on a draw")


class Walk:
    """Permutations [first, stop) in lanes, each at its own place; a finished lane takes the next permutation."""

    def __init__(
        self, game: Game, numbers: tuple[int, int], tolerance: float, patience: int, go_on: float, seed: int
    ) -> None:
        self.game, self.seed = game, seed
        self.first, self.stop = numbers
        permutations = self.stop - self.first
        self.tolerance, self.patience, self.go_on = tolerance, patience, go_on
        n, k = game.n_players, game.n_outputs
        ends = values_in_blocks(game, np.stack([np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)]))
        self.empty, self.grand, self.evaluations = ends[0], ends[1], 2
        self.sums, self.squares, self.bound = np.zeros((n, k)), np.zeros((n, k)), np.zeros((n, k))
        self.skipped, self.truncated_at = np.zeros(k), np.full(permutations, n, dtype=np.int64)
        lanes = min(LANES, permutations)
        self.number: Ints = self.first + np.arange(lanes, dtype=np.int64)
        self.next = self.first + lanes
        self.order = orders(seed, Purpose.ORDERS, self.number, n)
        self.members = np.zeros((lanes, n), dtype=np.bool_)
        self.place, self.calm = np.zeros(lanes, dtype=np.int64), np.zeros(lanes, dtype=np.int64)
        self.value, self.weight = np.tile(self.empty, (lanes, 1)), np.ones(lanes)
        self.decided = np.zeros(lanes, dtype=np.bool_)

    def to_end(self, between: Callable[[], None] = lambda: None) -> None:
        """Until no lane is left."""
        while self.step():
            between()

    def step(self) -> bool:
        """One more player in each lane; whether any lane is left."""
        n, rows = self.game.n_players, np.arange(len(self.number))
        player = self.order[rows, self.place]
        self.members[rows, player] = True
        self.place += 1
        whole = self.place == n
        value = np.tile(self.grand, (len(rows), 1))
        if not whole.all():
            value[~whole] = values_in_blocks(self.game, self.members[~whole])
            self.evaluations += int((~whole).sum())
        marginal = (value - self.value) * self.weight[:, None]
        np.add.at(self.sums, player, marginal)
        np.add.at(self.squares, player, marginal * marginal)
        self.value = value
        near = (np.abs(value - self.grand) <= self.tolerance).all(axis=1)
        self.calm = np.where(near, self.calm + 1, 0)
        stopped = self._truncate(np.flatnonzero((self.calm >= self.patience) & ~self.decided & ~whole))
        return self._refill(np.flatnonzero(whole | stopped))

    def _truncate(self, lanes: Ints) -> Mask:
        """Decide which of these lanes stop, shape (all lanes,)."""
        stopped = np.zeros(len(self.number), dtype=np.bool_)
        if not len(lanes):
            return stopped
        coins = uniforms(self.seed, Purpose.ROULETTE, self.number[lanes], 1)[:, 0]
        luck = coins < self.go_on
        # A permutation tosses one coin: asked again at a later calm it would weigh what follows twice.
        self.decided[lanes] = True
        self.weight[lanes[luck]] /= self.go_on or 1.0
        stopped[lanes[~luck]] = True
        for lane in lanes[~luck]:
            self.truncated_at[self.number[lane] - self.first] = self.place[lane]
            if self.go_on == 0:
                gap = self.grand - self.value[lane]
                self.skipped += gap
                self.bound[self.order[lane, self.place[lane] :]] += np.abs(gap)
        return stopped

    def _refill(self, done: Ints) -> bool:
        fresh = np.arange(self.next, min(self.next + len(done), self.stop), dtype=np.int64)
        self.next += len(fresh)
        taken, dropped = done[: len(fresh)], done[len(fresh) :]
        if len(fresh):
            self.number[taken] = fresh
            self.order[taken] = orders(self.seed, Purpose.ORDERS, fresh, self.game.n_players)
            self.members[taken], self.place[taken], self.calm[taken] = False, 0, 0
            self.value[taken], self.weight[taken], self.decided[taken] = self.empty, 1.0, False
        if len(dropped):
            kept = np.setdiff1d(np.arange(len(self.number)), dropped)
            for name in ("number", "order", "members", "place", "calm", "value", "weight", "decided"):
                setattr(self, name, getattr(self, name)[kept])
        return len(self.number) > 0

    def moments(self) -> tuple[Floats, Floats]:
        """Means over the permutations and sums of squared deviations, each (n, k)."""
        count = self.stop - self.first
        mean = self.sums / count
        return mean, np.maximum(self.squares - count * mean * mean, 0.0)

    def valuation(self) -> Valuation:
        """The answer of all these permutations."""
        count = self.stop - self.first
        values, deviations = self.moments()
        spread = deviations / (count - 1)
        facts = {
            "permutations": count,
            "evaluations": self.evaluations,
            "truncated_at": self.truncated_at,
            "skipped": self.skipped / count,
            "bias_bound": self.bound / count,
        }
        kind = "Data Shapley with Russian roulette" if self.go_on else "truncated Monte Carlo Data Shapley"
        return Valuation(values, np.sqrt(spread / count), f"{kind}: score", facts)
