"""`leverage`: the Shapley value as a weighted least-squares fit to paired, fixed-count, without-replacement samples.

Musco and Witter, "Provably accurate Shapley value estimation via leverage score sampling" (ICLR 2025); the regression is that of
Charnes et al. (1988) and Lundberg and Lee (2017). A coalition and its complement collapse into one row, because only their
difference matters. Standard errors: sandwich with finite-population correction, so that exhausted sizes carry no variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.cholesky import Factor
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.large_leverage import LargeLeverage
from xai_ray.estimators.observed import KeepsRows, Observed, Pairs, paired
from xai_ray.estimators.realised import kernel_weights
from xai_ray.indices import Question
from xai_ray.types import Coalitions, Floats, Ints, Values

LARGEST_FACTOR = 2_000
"""Players up to which the n x n system is factorised."""


@dataclass(frozen=True, slots=True)
class Leverage(KeepsRows):
    """Consistent, exact at full budget, efficient (values sum to v(N) - v(empty)) at any budget."""

    question: Question
    design: Strata
    name: str = "leverage"

    def finish(self, partial: Observed) -> Estimate:
        """Solves the regression."""
        n = self.design.n_players
        if not partial.parts:
            raise NotEnoughSamples(f"{self.name} needs {minimum(n)} evaluations, has none")
        rows = partial.rows()
        pairs = paired(rows)
        total = pairs.grand - pairs.empty
        if n == 1:
            values, errors, freedom = total[None], np.zeros((1, len(total))), inf
        else:
            values, errors, freedom = self.solve(pairs, total)
        players = tuple((i,) for i in range(n))
        return Estimate(self.question, players, values, errors, self.name, len(rows.coalitions), freedom)

    def over_rows(self, partial: Observed) -> tuple[Floats, Floats] | None:
        """See `RowEstimator`."""
        from xai_ray.estimators.leverage_over_rows import leverage_over_rows

        return leverage_over_rows(partial.rows(), self.design)

    def solve(self, pairs: Pairs, total: Values) -> tuple[Floats, Floats, float]:
        """Values and standard errors, each (n, k), and degrees of freedom; total is v(N) - v(empty), shape (k,)."""
        n, count = self.design.n_players, len(pairs.stratum)
        weight, open_share = kernel_weights(self.design, pairs.stratum)
        target = (pairs.inside - pairs.outside) / 2 - (pairs.stratum / n - 0.5)[:, None] * total
        try:
            if count < n - 1:
                raise np.linalg.LinAlgError
            A, factor = normal_equations(pairs.members, pairs.stratum, weight)
        except np.linalg.LinAlgError:
            raise NotEnoughSamples(
                f"{self.name}: the {2 * count + 2} evaluations drawn do not determine {n} players; "
                f"extend the budget to {max(minimum(n), 4 * count)} evaluations or more"
            ) from None
        solution = factor.solve(A.T @ (weight[:, None] * target))
        residual = target - A @ solution
        reach = factor.solve(A.T).T
        hat = weight * np.einsum("pi,pi->p", A, reach)
        freedom = count - (n - 1)
        # Between HC2 and HC3 (exponents 1 and 2 of 1 - hat in the variance): HC2 covers too little below 10n evaluations.
        spread = residual / np.maximum(1.0 - hat, 1e-9)[:, None] ** 0.75
        variance = (reach**2).T @ ((weight**2 * open_share)[:, None] * spread**2)
        exhausted = not open_share.any()
        if freedom < 1 and not exhausted:
            return solution + total / n, np.full_like(solution, np.nan), 0
        return solution + total / n, np.sqrt(variance), inf if exhausted else freedom


def normal_equations(members: Coalitions, sizes: Ints, weight: Floats) -> tuple[Floats, Factor]:
    """A (p, n) of coalitions (p, n) of these sizes (p,), and the factorised A' diag(weight) A. Raises LinAlgError."""
    n = members.shape[1]
    A = members - (sizes / n)[:, None]
    gram = (A * weight[:, None]).T @ A
    # The columns of A sum to zero, so the all-ones direction is added back before inverting; it never enters the answer.
    return A, Factor.of(gram + np.trace(gram) / n**2)


def minimum(n: int) -> int:
    """Evaluations from which the regression has full rank for practically every seed and its intervals cover."""
    return 2 if n == 1 else min(1 << min(n, 62), 5 * n)


def make(question: Question, design: Strata) -> Leverage | LargeLeverage:
    """By factorisation, or above 2,000 players by conjugate gradients."""
    return Leverage(question, design) if design.n_players <= LARGEST_FACTOR else LargeLeverage(question, design)


INFO = EstimatorInfo(
    name="leverage",
    indices=("SV",),
    orders=(1,),
    designs=("strata",),
    minimum=lambda question, n, stochastic=False: minimum(n),
    make=make,
    summary="weighted least squares on paired strata drawn without replacement",
    source="Musco & Witter, ICLR 2025",
    largest=20_000,
    beyond="Its rows no longer fit into memory: use 'permutation'",
)
