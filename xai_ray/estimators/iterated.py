"""`iterated`: a semivalue of one player at a time, as the mean of its marginal contributions in contexts drawn for it alone.

`IteratedEstimator` of Covert, Lundberg, Lee, "Understanding global feature contributions with additive importance measures" (NeurIPS 2020),
with each context beside its complement and sizes stratified. Two evaluations a marginal contribution, where an order of all players has n
of them from n + 1: it is for a few players among many (`players`), whose cost does not grow with n. Unbiased for each player by itself.

Standard errors: variance of the means of each stratum, where each variance is drawn to that of the player's strata together by `PRIOR`
pseudo-draws, because a stratum has few draws and the strata of a player are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from xai_ray.coalitions.player_contexts import STRATA, PlayerContexts
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.estimators.permutation import SEMIVALUES
from xai_ray.indices import Question, semivalue_weights
from xai_ray.types import Floats, Ints, Values

ROUNDS = 4
"""Draws of each player and stratum below which a standard error says little."""
PRIOR = 4.0
"""Pseudo-draws of the variance over all strata of a player."""


@dataclass(frozen=True, slots=True)
class Iterated(KeepsRows):
    """Means over strata of means over draws, and level 0 exactly where draw 0 holds it."""

    question: Question
    design: PlayerContexts
    name: str = "iterated"

    def finish(self, partial: Observed) -> Estimate:
        """NaN for players that some stratum has not reached yet; raises NotEnoughSamples when it reached none."""
        design, places = self.design, self._asked()
        low, high = shares(self.question, design.n_players)
        self._check_levels(low + high)
        if 0 not in partial.parts:
            raise NotEnoughSamples(f"{self.name}: the ends are not there yet")
        values, variance, units = self._sampled(partial, low, high)
        ends = partial.parts[0][1]
        if design.singles:
            alone, without = np.split(ends[2 : design.first_rows], 2)
            values = values + low[0] * (alone - ends[0]) + high[0] * (ends[1] - without)
        values, errors, units = values[places], np.sqrt(variance[places]), units[places]
        if np.isnan(values).all():
            raise NotEnoughSamples(
                f"{self.name}: no player has a draw in every stratum yet; a round of the asked players costs "
                f"{4 * design.round_draws:,} evaluations"
            )
        sets = tuple((int(i),) for i in design.player_list[places])
        evaluations = sum(len(values) for _, values in partial.parts.values())
        freedom = max(1.0, float(np.mean(units)) - STRATA) if np.nan_to_num(errors).any() else inf
        return Estimate(self.question, sets, values, errors, self.name, evaluations, freedom)

    def _sampled(self, partial: Observed, low: Floats, high: Floats) -> tuple[Floats, Floats, Ints]:
        """Of the levels that are drawn, by player: mean (p, k), its variance (p, k) and number of draws (p,)."""
        count, k = len(self.design.player_list), next(iter(partial.parts.values()))[1].shape[1]
        if self.design.capacity is not None:
            return np.zeros((count, k)), np.zeros((count, k)), np.zeros(count, dtype=np.int64)
        parts = [self._gains(start, len(draw), values, low, high) for start, (draw, values) in partial.parts.items()]
        cell, gain = (np.concatenate(part) for part in zip(*parts, strict=True))
        units = np.bincount(cell, minlength=count * STRATA)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = _sums(cell, gain, len(units)) / units[:, None]
            squares = _sums(cell, (gain - mean[cell]) ** 2, len(units)).reshape(count, STRATA, k)
            draws = units.reshape(count, STRATA, 1)
            spare = np.maximum(draws - 1, 0)
            typical = squares.sum(axis=1, keepdims=True) / spare.sum(axis=1, keepdims=True)
            variance = (squares + PRIOR * typical) / (spare + PRIOR) / draws
        return mean.reshape(count, STRATA, k).mean(axis=1), variance.sum(axis=1) / STRATA**2, draws[..., 0].sum(axis=1)

    def _gains(self, start: int, draws: int, values: Values, low: Floats, high: Floats) -> tuple[Ints, Floats]:
        """Cell (player and stratum) and weighted marginal contributions (d, k) of some draws."""
        found = self.design.contributions(start, start + draws)
        v, chance = values[found.rows], self.design.chances()[found.level][:, None]
        lower = (low[found.level][:, None] / chance) * (v[:, 1] - v[:, 0])
        upper = (high[found.level][:, None] / chance) * (v[:, 3] - v[:, 2])
        return found.player * STRATA + found.stratum, lower + upper

    def _asked(self) -> Ints:
        """Places of the asked players among those that were drawn."""
        drawn = self.design.player_list
        if self.question.players is None and len(drawn) == self.design.n_players:
            return np.arange(len(drawn), dtype=np.int64)
        if self.question.players is None:
            raise NotEnoughSamples(
                f"this job drew {len(drawn)} players of {self.design.n_players}; ask for players that it drew "
                f"(players = {drawn[:8].tolist()}), or run one for all"
            )
        missing = sorted({*self.question.players} - {*drawn.tolist()})
        if missing:
            raise NotEnoughSamples(
                f"player {missing[0]} was not drawn, of {len(drawn)} that were ({drawn[:8].tolist()}); run a job that asks for it"
            )
        return np.searchsorted(drawn, np.array(self.question.players, dtype=np.int64)).astype(np.int64)

    def _check_levels(self, weights: Floats) -> None:
        known = np.array(self.design.law) > 0
        gone = np.flatnonzero((weights > 0) & ~known)
        if len(gone):
            raise NotEnoughSamples(
                f"{self.name}: {self.question.index} reads contexts of {gone[0]} players, which this job did not draw; ask "
                f"{self.question.index} in the spec, so that the design draws for it"
            )


def shares(question: Question, n: int) -> tuple[Floats, Floats]:
    """Weights of the marginal contributions in contexts of h and of n-1-h players, each of shape ((n+1)//2,); halves where they are one."""
    weights, levels = semivalue_weights(question, n), (n + 1) // 2
    low, high = weights[:levels].copy(), weights[::-1][:levels].copy()
    if n % 2:
        low[-1], high[-1] = low[-1] / 2, high[-1] / 2
    return low, high


def _sums(cell: Ints, value: Floats, cells: int) -> Floats:
    return np.stack([np.bincount(cell, weights=column, minlength=cells) for column in value.T], axis=1).astype(
        np.float64
    )


def _design(questions: Sequence[Question], n: int, seed: int, stochastic: bool) -> PlayerContexts:
    law = np.mean([np.sum(shares(question, n), axis=0) for question in questions], axis=0)
    given = [question.players for question in questions]
    players = None if None in given else tuple(sorted({i for some in given for i in some or ()}))
    players = None if players is not None and len(players) == n else players
    # Twelve digits: the last ones of a special function may differ between machines, and the design is part of the job.
    return PlayerContexts(n, seed, tuple(float(f"{w:.12g}") for w in law), players, stochastic)


def least(design: PlayerContexts) -> int:
    """Evaluations of `ROUNDS` rounds; never more than the complete table of a deterministic game."""
    rounds = 1 + ROUNDS * design.round_draws
    need = design.evaluations(rounds if design.capacity is None else design.capacity)
    return need if design.stochastic else min(1 << min(design.n_players, 62), need)


def _minimum(question: Question, n: int, stochastic: bool = False) -> int:
    return least(_design([question], n, 0, stochastic))


INFO = EstimatorInfo(
    name="iterated",
    indices=SEMIVALUES,
    orders=(1,),
    designs=("player_contexts",),
    minimum=_minimum,
    make=Iterated,
    summary="one player at a time: marginal contributions in contexts of its own and their complements",
    source="after Covert, Lundberg, Lee, NeurIPS 2020",
    design=_design,
    names_players=True,
)
