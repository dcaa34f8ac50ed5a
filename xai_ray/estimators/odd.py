"""`odd`: the Shapley value from the odd part of the game, fitted on single players and the odd Fourier terms that trees see.

Fumagalli, Butler, Kang, Ramchandran, Witter, "OddSHAP" (2026): phi_i = -2 sum of beta_T / |T| over odd T containing i, and
pairs remove the even part. Unlike the paper the trees are grown on the odd part alone, less its linear part; single players are always in;
and instead of a hard support the terms are drawn to zero by what the trees saw of them, to the least leave-one-out error. Players are
free, so the fit's residual has no Shapley value left at full budget: exact whatever the terms.

Standard errors: those of `leverage` on the errors of cross-fitted fits, which chose their terms without the pair they are judged on.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.boosted import GROWTH, linear_slopes
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.fourier import characters, spectrum
from xai_ray.estimators.groups import rotate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.leverage import minimum
from xai_ray.estimators.observed import KeepsRows, Observed, Pairs, paired
from xai_ray.estimators.odd_fit import penalties, ridge, tuned
from xai_ray.estimators.realised import kernel_weights
from xai_ray.estimators.sized import FOLDS
from xai_ray.estimators.trees import Trees
from xai_ray.indices import Question
from xai_ray.types import Coalitions, Floats, Ints, Values

SIZES = (3, 5)
"""Sizes of the terms besides single players."""
TERMS_A_PAIR = 1.6
LARGEST_SUPPORT = 1_500


@dataclass(frozen=True, slots=True)
class Odd(KeepsRows):
    """Consistent, exact at full budget, efficient (values sum to v(N) - v(empty)) at any budget."""

    question: Question
    design: Strata
    name: str = "odd"

    def finish(self, partial: Observed) -> Estimate:
        """Screens terms and fits, one output after the other."""
        n = self.design.n_players
        if not partial.parts:
            raise NotEnoughSamples(f"{self.name} needs {minimum(n)} evaluations, has none")
        rows = partial.rows()
        pairs = paired(rows)
        total = pairs.grand - pairs.empty
        weight, undrawn = kernel_weights(self.design, pairs.stratum)
        if n == 1:
            values, errors = total[None], np.zeros((1, len(total)))
        else:
            try:
                found = [self._solve(pairs, weight, undrawn, total, k) for k in range(len(total))]
            except np.linalg.LinAlgError:
                raise NotEnoughSamples(
                    f"{self.name}: the {2 * len(pairs.stratum) + 2} evaluations drawn do not determine {n} players; "
                    f"extend the budget to {max(minimum(n), 4 * len(pairs.stratum))} evaluations or more"
                ) from None
            values, errors = (np.stack(column, axis=1) for column in zip(*found, strict=True))
        freedom = float(len(pairs.stratum) - (n - 1)) if undrawn.any() else inf
        if freedom < 1:
            errors, freedom = np.full_like(errors, np.nan), 0.0
        return Estimate(
            self.question, tuple((i,) for i in range(n)), values, errors, self.name, len(rows.values), freedom
        )

    def _solve(self, pairs: Pairs, weight: Floats, undrawn: Floats, total: Values, k: int) -> tuple[Floats, Floats]:
        n, count = self.design.n_players, len(pairs.stratum)
        if count < n - 1:
            raise np.linalg.LinAlgError
        target = (pairs.inside[:, k] - pairs.outside[:, k]) / 2
        end = float(total[k]) / 2
        terms, seen = screened(pairs.members, target, end)
        fit = tuned(_characters(pairs.members, terms), target, weight, -end, n, seen)
        values = _to_players(n, terms) @ fit.coefficients
        if not undrawn.any():
            return values, np.zeros(n)
        left = held_out(pairs, target, weight, end, fit.drawn)
        plain = ridge(_characters(pairs.members, []), left, weight, 0.0, np.zeros(n))
        errors = 2.0 * np.sqrt((plain.reach.T**2) @ (undrawn * left**2))
        return values, errors


def screened(members: Coalitions, target: Floats, end: float) -> tuple[list[Ints], Floats]:
    """The odd terms of largest coefficients that trees see in the odd part: sets by size (c, t), and their coefficients.

    members: shape (p, n); target: the odd part there, shape (p,); end: the odd part of the grand coalition.
    """
    n = members.shape[1]
    ends = np.array([np.zeros(n), np.ones(n)], dtype=np.bool_)
    rows = np.concatenate([ends, members, ~members])
    odd = np.concatenate([[-end, end], target, -target])
    left = odd - (rows.astype(np.float64) - 0.5) @ linear_slopes(rows, odd)
    leaves = Trees.grown(rows, left, GROWTH).leaves
    found = [spectrum(leaves, size) for size in SIZES if size <= n]
    every = np.concatenate([np.zeros(0), *(np.abs(coefficients) for _, coefficients in found)])
    room = min(int(TERMS_A_PAIR * len(target)), LARGEST_SUPPORT, len(every))
    least = np.sort(every)[len(every) - room] if room else inf
    kept = [(sets[np.abs(c) >= least], c[np.abs(c) >= least]) for sets, c in found]
    return [sets for sets, _ in kept], np.concatenate([np.zeros(0), *(c for _, c in kept)])


def held_out(pairs: Pairs, target: Floats, weight: Floats, end: float, drawn: tuple[float, float]) -> Floats:
    """Errors, shape (p,), of fits and terms that did not see the pair."""
    fold, n = rotate(pairs.stratum, pairs.index, FOLDS), pairs.members.shape[1]
    left = np.zeros(len(target))
    for f in range(FOLDS):
        mine, others = fold == f, fold != f
        terms, seen = screened(pairs.members[others], target[others], end)
        X = _characters(pairs.members, terms)
        fit = ridge(X[others], target[others], weight[others], -end, penalties(n, seen, drawn))
        left[mine] = target[mine] - X[mine] @ fit.coefficients
    return left


def _characters(members: Coalitions, terms: list[Ints]) -> Floats:
    """Players first, then the terms by size; shape (p, n + terms)."""
    return np.column_stack([np.where(members, -1.0, 1.0), *(characters(members, sets) for sets in terms)])


def _to_players(n: int, terms: list[Ints]) -> Floats:
    """phi = combine @ coefficients, shape (n, n + terms)."""
    blocks = [-2.0 * np.eye(n)]
    for sets in terms:
        block = np.zeros((n, len(sets)))
        block[sets.T, np.arange(len(sets))] = -2.0 / sets.shape[1]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


INFO = EstimatorInfo(
    name="odd",
    indices=("SV",),
    orders=(1,),
    designs=("strata",),
    minimum=lambda question, n, stochastic=False: minimum(n),
    make=Odd,
    summary="ridge regression of the odd part on single players and the odd terms that boosted trees see",
    source="after Fumagalli, Butler, Kang, Ramchandran & Witter, 2026 (OddSHAP)",
    largest=2_000,
    beyond="It solves an n x n system for each output: use 'leverage'",
)
