"""`kernel_iq`: KernelSHAP-IQ, Shapley interactions of orders 1 and 2 as a sequence of weighted least-squares fits.

Fumagalli, Muschalik, Kolpaczki, Huellermeier, Hammer, "KernelSHAP-IQ" (ICML 2024). Order 1 is the regression of `leverage`. Order 2 fits
the rest by -1/2 of the pairs that a coalition cuts, with kernel 1 / ((n-3) C(n-4, s-2)); what the singles and their complements say is
met exactly: sum_j I(i,j) = v(N) - v(N-i) - v(i) + v(empty). On pairs of coalitions the fit of order 1 leaves the even part alone, so the
second fit does not depend on the first. Exact at full budget. Its third order is not, whence orders 1 and 2 only.

Standard errors: sandwich with finite-population correction over pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, comb, inf

import numpy as np
from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs]

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import leverage
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.leverage import Leverage
from xai_ray.estimators.observed import KeepsRows, Observed, Pairs, paired
from xai_ray.estimators.pair_regression import Constraint, Fit, Undetermined, fit
from xai_ray.estimators.realised import realised
from xai_ray.indices import Question
from xai_ray.types import Ints, Values

LARGEST_PLAYERS = 100
"""Above this the n(n-1)/2 x n(n-1)/2 system is out of reach."""


@dataclass(frozen=True, slots=True)
class KernelSHAPIQ(KeepsRows):
    """SII and k-SII of orders 1 and 2 of a deterministic game."""

    question: Question
    design: Strata
    name: str = "kernel_iq"

    def finish(self, partial: Observed) -> Estimate:
        """One regression for each order that is asked."""
        n = self.design.n_players
        if not partial.parts:
            raise NotEnoughSamples(f"kernel_iq needs {minimum(self.question, n)} evaluations, has none")
        if self.question.order == 1:
            return Leverage(self.question, self.design, self.name).finish(partial)
        rows = partial.rows()
        pairs = paired(rows)
        row_sums = self._row_sums(pairs)
        second = self._second(pairs, row_sums)
        upper = np.stack(np.triu_indices(n, 1), axis=1).astype(np.int64)
        at = np.arange(len(upper))
        if self.question.pairs is not None:
            asked = np.array(self.question.pairs, dtype=np.int64)
            at = asked[:, 0] * (2 * n - asked[:, 0] - 1) // 2 + asked[:, 1] - asked[:, 0] - 1
        values, errors = second.coefficients[at], np.sqrt(second.variance(_rows(at, len(upper))))
        sets = tuple((int(i), int(j)) for i, j in upper[at])
        exhausted = not realised(self.design, pairs.stratum)[1][pairs.stratum].any()
        freedom = inf if exhausted else float(second.freedom)
        if freedom < 1:
            errors = np.full_like(errors, np.nan)
        if self.question.index == "k-SII":
            first, first_errors, _ = Leverage(self.question, self.design, self.name).solve(
                pairs, pairs.grand - pairs.empty
            )
            values = np.concatenate([first - row_sums / 2, values])
            errors, sets = np.concatenate([first_errors, errors]), tuple((i,) for i in range(n)) + sets
        return Estimate(self.question, sets, values, errors, self.name, len(rows.values), freedom)

    def _row_sums(self, pairs: Pairs) -> Values:
        """sum_j I(i,j) of every player, shape (n, k), from the singles and their complements."""
        n, single = self.design.n_players, pairs.stratum == 1
        known = np.full((n, pairs.inside.shape[1]), np.nan)
        middle = pairs.grand + pairs.empty - pairs.inside[single] - pairs.outside[single]
        known[pairs.members[single].argmax(axis=1)] = middle
        if n == 2:
            known[1] = known[0]
        if np.isnan(known).any():
            raise NotEnoughSamples(
                f"kernel_iq needs every single player, {int(np.isnan(known[:, 0]).sum())} of {n} were not drawn; ask this question in "
                f"the spec so that the design draws them, or extend the budget"
            )
        return known

    def _second(self, pairs: Pairs, row_sums: Values) -> Fit:
        n = self.design.n_players
        counts, undrawn = realised(self.design, pairs.stratum)
        inner = (pairs.stratum > 1) & (n > 3)
        size = pairs.stratum[inner].astype(np.float64)
        weight = np.where(2 * pairs.stratum[inner] == n, 1.0, 2.0) / counts[pairs.stratum[inner]]
        weight = weight / (size * (size - 1) * (n - size) * (n - size - 1))
        target = (pairs.inside + pairs.outside - pairs.grand - pairs.empty)[inner] / 2
        first, second = np.triu_indices(n, 1)
        cut = pairs.members[inner][:, first] != pairs.members[inner][:, second]
        incidence = np.zeros((n, len(first)))
        incidence[first, np.arange(len(first))] = incidence[second, np.arange(len(first))] = 1.0
        held = Constraint(incidence[: 1 if n == 2 else n], row_sums[: 1 if n == 2 else n])
        try:
            return fit(-0.5 * cut, target, weight * n**3, undrawn[pairs.stratum[inner]], held)
        except Undetermined:
            need = max(minimum(self.question, n), 3 * len(pairs.stratum))
            raise NotEnoughSamples(
                f"kernel_iq: the {2 * len(pairs.stratum) + 2} evaluations drawn do not determine the {len(first)} pairs of "
                f"{n} players; extend the budget to {need} evaluations or more"
            ) from None


def _rows(at: Ints, width: int) -> csr_array:
    return csr_array((np.ones(len(at)), (np.arange(len(at)), at)), shape=(len(at), width))


def minimum(question: Question, n: int, stochastic: bool = False) -> int:
    """Evaluations of the ends, the singles and half as many pairs again as there are free coefficients.

    Raises SpecError for a stochastic game, whose singles are never known exactly.
    """
    if stochastic:
        raise SpecError(
            "kernel_iq meets the values of single players exactly, which a stochastic game does not have: use 'cells', or every "
            "background row (samples = none)"
        )
    if question.order == 1:
        return leverage.minimum(n)
    return min(1 << min(n, 62), 2 + 2 * n + 2 * ceil(1.5 * max(comb(n, 2) - n, 1)))


INFO = EstimatorInfo(
    name="kernel_iq",
    indices=("SII", "k-SII"),
    orders=(1, 2),
    designs=("strata",),
    minimum=minimum,
    make=KernelSHAPIQ,
    summary="a weighted least-squares fit of the pairs that coalitions cut, after that of the players",
    source="Fumagalli et al., ICML 2024",
    edges=1,
    largest=LARGEST_PLAYERS,
    beyond="It solves for all pairs at once: use 'cells'",
)
