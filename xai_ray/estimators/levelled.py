"""`levelled`: as `permutation`, less what the place in an order says by itself.

Early players gain much and late ones little, whoever they are: a learning curve. The mean gain at each place, from the other replicate
groups, is taken off every marginal contribution and its mean under the weights is put back, which changes no expectation: a control
variate (Lavenberg, Welch, Management Science 1981) whose mean is known, because every place is equally likely. Its coefficient, pooled
over players from the other groups and between 0 and 1, keeps games without such a curve from losing. Sums stay efficient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xai_ray.coalitions import Permutations
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.groups import GROUPS, jackknife, pooled, rotate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.estimators.permutation import PAIRS, SEMIVALUES, minimum, orders_design, place_weights, places, walked
from xai_ray.indices import Question
from xai_ray.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class Levelled(KeepsRows):
    """Standard errors by delete-a-group jackknife over 20 groups of pairs."""

    question: Question
    design: Permutations
    name: str = "levelled"

    @property
    def reads_coalitions(self) -> bool:
        """False: orders say where a player joins, in n times less memory."""
        return False

    def finish(self, partial: Observed) -> Estimate:
        """Mean and standard error."""
        n, design = self.design.n_players, self.design
        pairs = sum(len(draw) for draw, _ in partial.parts.values()) - 1
        if 0 not in partial.parts or (n > 1 and pairs < PAIRS):
            raise NotEnoughSamples(
                f"{self.name} needs the ends and {PAIRS} antithetic pairs ({design.evaluations(PAIRS + 1)} evaluations), has "
                f"{max(pairs, 0)} pairs"
            )
        weights, players = place_weights(self.question, n), tuple((i,) for i in range(n))
        evaluations = design.evaluations(pairs + 1)
        if n == 1 and not design.stochastic:
            exact = (partial.parts[0][1][1] - partial.parts[0][1][0])[None] * weights
            return Estimate(self.question, players, exact, np.zeros_like(exact), self.name, evaluations)
        gains, levels, counts = self._sums(partial, weights)
        corrected = gains - _coefficients(gains, levels, counts)[:, None] * levels
        values, errors, freedom = jackknife(corrected, counts)
        return Estimate(self.question, players, values, pooled(errors, freedom), self.name, evaluations, freedom + 1)

    def _sums(self, partial: Observed, weights: Floats) -> tuple[Floats, Floats, Ints]:
        """By group: weighted gains and what levels say of them, less its expectation, (G, n, k) each; pairs (G,)."""
        n, k = len(weights), partial.parts[0][1].shape[1]
        total, counts = np.zeros((GROUPS, n, k)), np.zeros(GROUPS, dtype=np.int64)
        for steps, _, group in self._parts(partial):
            np.add.at(total, group, steps.mean(axis=1))
            counts += np.bincount(group, minlength=GROUPS)
        others = np.maximum(counts.sum() - counts, 1)[:, None, None]
        # Mean weighted gain at each place in the other groups, shape (G, n, k), less its mean over places.
        level = (total.sum(axis=0) - total) / others * weights[:, None]
        level -= level.mean(axis=1, keepdims=True)
        gains, levels = np.zeros_like(total), np.zeros_like(total)
        for steps, chains, group in self._parts(partial):
            place = places(self.design, chains)[..., None]
            weighted = np.take_along_axis(steps * weights[:, None], place, axis=2).mean(axis=1)
            np.add.at(gains, group, weighted)
            np.add.at(levels, group, np.take_along_axis(level[group][:, None], place, axis=2).mean(axis=1))
        return gains, levels, counts

    def _parts(self, partial: Observed) -> Iterator[tuple[Floats, Ints, Ints]]:
        """Of each part the steps along its chains (p, 2, n, k), their numbers (p,) and groups (p,)."""
        empty, grand = partial.parts[0][1][:2]
        for start, (draw, values) in partial.parts.items():
            skip = int(start == 0)
            chains = draw.index[skip:]
            if not len(chains):
                continue
            along = walked(self.design, values[2 * skip :])
            if not self.design.stochastic:
                along[:, :, 0], along[:, :, -1] = empty, grand
            group = rotate(draw.stratum, draw.index, GROUPS)[skip:]
            yield np.diff(along, axis=2), chains, group


def _coefficients(gains: Floats, levels: Floats, counts: Ints) -> Floats:
    """Shape (G, k): regression of gains on levels over the other groups, pooled over players; in [0, 1]."""
    filled = counts > 0
    size = np.maximum(counts, 1)[:, None, None]
    a, b = gains / size, levels / size
    both, own = np.zeros((len(counts), gains.shape[-1])), np.zeros((len(counts), gains.shape[-1]))
    for group in np.flatnonzero(filled):
        rest = filled.copy()
        rest[group] = False
        da, db = a[rest] - a[rest].mean(axis=0), b[rest] - b[rest].mean(axis=0)
        both[group], own[group] = (da * db).sum(axis=(0, 1)), (db * db).sum(axis=(0, 1))
    return np.clip(np.divide(both, own, out=np.zeros_like(both), where=own > 0), 0.0, 1.0)


INFO = EstimatorInfo(
    name="levelled",
    indices=SEMIVALUES,
    orders=(1,),
    designs=("permutations",),
    minimum=lambda question, n, stochastic=False: minimum(n, stochastic),
    make=Levelled,
    summary="as 'permutation', less the mean gain at each place: sharper where early players gain most, as in data valuation",
    source="Castro et al. 2009; control variates: Lavenberg & Welch 1981",
    design=orders_design,
)
