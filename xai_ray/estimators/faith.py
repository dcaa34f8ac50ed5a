"""`faith`: Faith-Shap and Faith-Banzhaf interactions of every size up to the order, as the regressions that define them.

Tsai, Yeh, Ravikumar, "Faith-Shap: the faithful Shapley interaction index" (JMLR 2023), theorems 17 and 19. The fit is written in the
Fourier basis chi_T(S) = (-1)^{|T & S|}, where pairs make it fall apart into an odd and an even half, and turned into interactions by
E_L = (-2)^|L| sum of the coefficients over T containing L. Faith-Shap's two constraints are eliminated. Exact at full budget.

Standard errors: sandwich with finite-population correction over pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb, inf

import numpy as np
from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs]

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed, Pairs, paired
from xai_ray.estimators.pair_regression import Constraint, Fit, Undetermined, fit
from xai_ray.estimators.realised import by_strata, realised
from xai_ray.indices import Question
from xai_ray.indices.weights import log_binomial
from xai_ray.types import Coalitions, Floats

Set = tuple[int, ...]

LARGEST_FIT = 6_000
"""Coefficients of one half above which the K x K system and the p x K matrix of its answers are out of reach (about 2 GB)."""


@dataclass(frozen=True, slots=True)
class Faith(KeepsRows):
    """FSII and FBII of orders 1, 2 and 3."""

    question: Question
    design: Strata
    name: str = "faith"

    def finish(self, partial: Observed) -> Estimate:
        """Fits the odd and the even half and turns coefficients into interactions."""
        n, order = self.design.n_players, self.question.order or 1
        if not partial.parts:
            raise NotEnoughSamples(f"faith needs {minimum(self.question, n)} evaluations, has none")
        rows = partial.rows()
        pairs = paired(rows)
        fits = [self._half(pairs, [t for t in range(order + 1) if t % 2 == odd], bool(odd)) for odd in (0, 1)]
        sets = _asked(self.question, n)
        values = np.zeros((len(sets), rows.values.shape[1]))
        variance = np.zeros_like(values)
        for half, columns in fits:
            combine = _interactions(sets, columns)
            values += combine @ half.coefficients
            variance += half.variance(combine)
        exhausted = not realised(self.design, pairs.stratum)[1][pairs.stratum].any()
        freedom = min(half.freedom for half, _ in fits)
        errors = np.sqrt(variance) if freedom > 0 or exhausted else np.full_like(values, np.nan)
        return Estimate(self.question, sets, values, errors, self.name, len(rows.values), inf if exhausted else freedom)

    def _half(self, pairs: Pairs, sizes: list[int], odd: bool) -> tuple[Fit, list[Set]]:
        n = self.design.n_players
        columns = [s for t in sizes for s in combinations(range(n), t)]
        sign = -1.0 if odd else 1.0
        members = np.concatenate([np.zeros((1, n), dtype=np.bool_), pairs.members])
        target = np.concatenate([(pairs.empty + sign * pairs.grand)[None], pairs.inside + sign * pairs.outside]) / 2
        # The empty and the grand coalition: a constraint of Faith-Shap, a pair like any other of Faith-Banzhaf.
        ends = 1 if self.question.index == "FSII" else 0
        design = characters(members[ends:], sizes)
        held = Constraint(np.ones((1, len(columns))), target[:1]) if ends else None
        weight, undrawn = self._weights(pairs)
        try:
            return fit(design, target[ends:], weight[ends:], undrawn[ends:], held), columns
        except Undetermined:
            need = max(minimum(self.question, n), 3 * len(pairs.stratum))
            raise NotEnoughSamples(
                f"faith: the {2 * len(pairs.stratum) + 2} evaluations drawn do not determine the {len(columns)} coefficients of "
                f"{self.question.index} of order {self.question.order} for {n} players; extend the budget to {need} "
                f"evaluations or more, or ask for a lower order"
            ) from None

    def _weights(self, pairs: Pairs) -> tuple[Floats, Floats]:
        """Weight of the ends and of each pair (weight of the index over inclusion probability), and the undrawn shares."""
        n = self.design.n_players
        counts, undrawn = realised(self.design, pairs.stratum)
        sizes = size_weights(self.question.index, n)
        weight = np.where(2 * pairs.stratum == n, 1.0, 2.0) * sizes[pairs.stratum] / counts[pairs.stratum]
        return np.r_[2.0 * sizes[0], weight], np.r_[0.0, undrawn[pairs.stratum]]


def size_weights(index: str, n: int) -> Floats:
    """Weight of all coalitions of a size together in the regression, shape (n+1,): Shapley kernel (zero at the ends) or binomial."""
    s = np.arange(n + 1, dtype=np.float64)
    if index == "FBII":
        return np.exp(log_binomial(n, s) - n * np.log(2))
    out = np.zeros(n + 1)
    out[1:n] = 1.0 / (s[1:n] * (n - s[1:n]))
    return out


def characters(members: Coalitions, sizes: list[int]) -> Floats:
    """(-1)^{|T & S|} for all T of the given sizes, by size then lexicographically; shape (p, K)."""
    p, n = members.shape
    signs = np.where(members, -1.0, 1.0)
    blocks = [np.ones((p, 0))]
    for size in sizes:
        chosen = np.array(list(combinations(range(n), size)), dtype=np.int64).reshape(comb(n, size), size)
        block = np.ones((p, len(chosen)))
        for column in range(size):
            block *= signs[:, chosen[:, column]]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


def _asked(question: Question, n: int) -> tuple[Set, ...]:
    order = question.order or 1
    sets: list[Set] = []
    for size in range(1, order + 1):
        sets += question.pairs if size == 2 and question.pairs is not None else combinations(range(n), size)
    return tuple(sets)


def _interactions(sets: tuple[Set, ...], columns: list[Set]) -> csr_array:
    """Sparse (c, K): (-2)^|L| where L is a subset of T."""
    row_of = {one: row for row, one in enumerate(sets)}
    at: list[tuple[int, int, float]] = []
    for column, T in enumerate(columns):
        for size in range(1, len(T) + 1):
            at += [(row_of[L], column, (-2.0) ** size) for L in combinations(T, size) if L in row_of]
    entries = np.array(at, dtype=np.float64).reshape(-1, 3)
    where = (entries[:, 0].astype(np.int64), entries[:, 1].astype(np.int64))
    return csr_array((entries[:, 2], where), shape=(len(sets), len(columns)))


def coefficients(n: int, order: int) -> int:
    """Coefficients of the larger half."""
    return max(sum(comb(n, t) for t in range(order + 1) if t % 2 == odd) for odd in (0, 1))


def minimum(question: Question, n: int) -> int:
    """Evaluations with a quarter more pairs than coefficients of the larger half. Raises SpecError where those are too many."""
    order = question.order or 1
    if coefficients(n, order) > LARGEST_FIT:
        within = max(t for t in range(order) if coefficients(n, t) <= LARGEST_FIT)
        raise SpecError(
            f"faith fits {coefficients(n, order):,} coefficients for {question.index} of order {order} and {n} players; the limit is "
            f"{LARGEST_FIT:,}. Ask for order {within} or less, or for fewer players"
        )
    return min(1 << min(n, 62), 2 + 2 * ceil(1.25 * coefficients(n, order)) + 2 * n)


def _law(question: Question, n: int) -> Floats:
    if n < 2:
        return np.ones(0)
    return by_strata(size_weights("FBII", n)) if question.index == "FBII" else by_strata(np.ones(n + 1))


INFO = EstimatorInfo(
    name="faith",
    indices=("FSII", "FBII"),
    orders=(1, 2, 3),
    designs=("strata",),
    minimum=lambda question, n, stochastic=False: minimum(question, n),
    make=Faith,
    summary="the weighted least squares that define the faithful indices, on paired strata",
    source="Tsai, Yeh, Ravikumar, JMLR 2023",
    law=_law,
)
