"""`cells`: interactions of all pairs, at every context size, from one pool of coalitions.

Cell means by size and membership of the pair, as matrix products Z' diag(v) Z (SVARM-IQ: Kolpaczki et al., AISTATS 2024), taken of
the residuals of a quadratic surrogate and added to the surrogate's closed form. The surrogate is cross-fitted over pairs
of coalitions with finite-population weights: a row that was trained on counts for itself, a held-out row for (N - trained) / held-out
rows of its size. So the answer is unbiased for any surrogate, and exact at full budget.

Standard errors: second moments of the residual contributions, cell by cell, drawn towards the mean of their size where a cell
was seen only a few times; exhausted sizes carry none. At the first and last context a cell is a single coalition, drawn or not: there
the intervals cover their 95 % over pairs and seeds together, not for every pair by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.groups import rotate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed, Pairs, paired
from xai_ray.estimators.quadratic import QuadraticRidge
from xai_ray.estimators.readouts import PAIR_INDICES, Readout, cell_shares, readouts, strata_law
from xai_ray.indices import Question
from xai_ray.types import Coalitions, Floats, Ints, Values

FOLDS = 5
_PRIOR_ROWS = 4.0
"""A cell's second moment is averaged with this many pseudo-rows of its size's mean."""


@dataclass(frozen=True, slots=True)
class Cells(KeepsRows):
    """SII, Shapley-Taylor, Banzhaf and chaining interactions of order 2 and multi-order interactions, for all or given pairs."""

    question: Question
    design: Strata
    name: str = "cells"

    def finish(self, partial: Observed) -> Estimate:
        """Surrogate, correction, standard errors."""
        n = self.design.n_players
        if sum(len(draw) for draw, _ in partial.parts.values()) < FOLDS + 1:
            raise NotEnoughSamples(f"cells needs {minimum(n)} evaluations, too few are there")
        rows = partial.rows()
        pairs = paired(rows)
        table = _Table.of(pairs, self.design)
        at = _requested(self.question, n)
        asked = readouts(self.question, n)
        seen = table.drawn > 0
        values = np.full((len(at), len(asked), rows.values.shape[1]), np.nan)
        errors = values.copy()
        fitted = table.correct()
        for r, readout in enumerate(asked):
            if not seen[readout.sizes].all():
                continue
            constant = (readout.both + 2 * readout.one + readout.none) @ fitted.by_size
            strength = readout.both.sum()
            estimate = strength * 4.0 * fitted.pair + constant + _read(table, readout, fitted.weighted)
            values[:, r] = estimate[at[:, 0], at[:, 1]]
            errors[:, r] = np.sqrt(_variance(table, readout, fitted.held_out))[at[:, 0], at[:, 1]]
        if np.isnan(values).all():
            missing = np.flatnonzero(~seen & np.any([a.sizes for a in asked], axis=0))
            raise NotEnoughSamples(
                f"cells: no coalition of size {', '.join(map(str, missing[:8]))} was drawn, which {self.question.index} needs; "
                f"extend the budget, or ask this question in the spec so that the design draws for it"
            )
        return self._estimate(rows.values, pairs, at, values, errors)

    def _estimate(self, rows: Values, pairs: Pairs, at: Ints, values: Floats, errors: Floats) -> Estimate:
        coalitions = tuple((int(i), int(j)) for i, j in at)
        if self.question.index != "MOI":
            values, errors = values[:, 0], errors[:, 0]
        if self.question.index == "STII" and self.question.pairs is None:
            low, low_errors = _singles(pairs, self.design)
            coalitions = tuple((i,) for i in range(self.design.n_players)) + coalitions
            values, errors = np.concatenate([low, values]), np.concatenate([low_errors, errors])
        return Estimate(self.question, coalitions, values, errors, self.name, len(rows))


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What cross-fitting leaves; r rows, k outputs."""

    weighted: Values
    """Shape (r, k): residuals such that their sum over a size estimates the mean residual of that size."""
    held_out: Values
    """Shape (r, k): residuals of the surrogate that did not see the row."""
    pair: Floats
    """Shape (n, n, k): mean pair coefficients of the surrogates."""
    by_size: Floats
    """Shape (n+1, k): their mean size polynomial."""


@dataclass(frozen=True, slots=True)
class _Table:
    """All rows by size, with the empty and the grand coalition; r rows, k outputs."""

    members: Coalitions
    values: Values
    sizes: Ints
    fold: Ints
    """Shape (r,): the pair's fold; -1 for the empty and the grand coalition, which every fold trains on."""
    drawn: Ints
    """Shape (n+1,): rows of each size."""
    share: Floats
    """Shape (n+1,): drawn share of the coalitions of each size; 0 for a stochastic game except at the ends."""
    population: Floats
    """Shape (n+1,): 1 / C(n, s), as a float that underflows to zero for sizes that are never exhausted."""
    pairs: Pairs

    @classmethod
    def of(cls, pairs: Pairs, design: Strata) -> _Table:
        n = design.n_players
        ends = np.stack([np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)])
        members = np.concatenate([ends, pairs.members, ~pairs.members])
        # Without the constant, which no interaction sees, a large offset costs no digits.
        values = np.concatenate([pairs.empty[None], pairs.grand[None], pairs.inside, pairs.outside]) - pairs.empty
        sizes = members.sum(axis=1).astype(np.int64)
        fold = rotate(pairs.stratum, pairs.index, FOLDS)
        counts = np.bincount(pairs.stratum, minlength=n // 2 + 1)
        share, population = np.ones(n + 1), np.ones(n + 1)
        for s in range(1, n):
            h = min(s, n - s)
            population[s] = 1.0 / (design.pool(h) * (2 if 2 * h == n else 1))
            share[s] = 0.0 if design.stochastic else min(1.0, float(counts[h]) / design.pool(h))
        drawn = np.bincount(sizes, minlength=n + 1)
        return cls(members, values, sizes, np.r_[-1, -1, fold, fold], drawn, share, population, pairs)

    def correct(self) -> _Fitted:
        """Cross-fits the surrogate."""
        ridge = QuadraticRidge.tuned(self.members, self.values, self.fold == 0)
        weighted, held_out = np.zeros_like(self.values), np.zeros_like(self.values)
        fits = [ridge.fit(self.fold != f) for f in range(FOLDS)]
        left_out = [np.bincount(self.sizes[self.fold == f], minlength=len(self.drawn)) for f in range(FOLDS)]
        # A fold says something about a size if it left out a row of it, or if the size is exhausted.
        works_by_fold = [(out > 0) | (self.share >= 1.0) for out in left_out]
        usable = np.sum(works_by_fold, axis=0)
        for f, (fit, out, works) in enumerate(zip(fits, left_out, works_by_fold, strict=True)):
            mine = self.fold == f
            trained_share = np.where(self.drawn > 0, self.share * (self.drawn - out) / np.maximum(self.drawn, 1), 0.0)
            residual = self.values - fit.predictions
            held_out[mine] = residual[mine]
            # Mean residual of a size = trained rows for themselves (1/N each) + the others through the held-out rows.
            weight = np.where(
                mine, (1 - trained_share[self.sizes]) / np.maximum(out, 1)[self.sizes], self._own()[self.sizes]
            )
            weight = np.where(works[self.sizes], weight / usable[self.sizes], 0.0)
            weighted += weight[:, None] * residual
        pair, by_size = np.mean([fit.pair for fit in fits], axis=0), np.mean([fit.by_size for fit in fits], axis=0)
        return _Fitted(weighted, held_out, pair, by_size)

    def _own(self) -> Floats:
        """Weight of a trained row: 1/N of its size in a finite population, nothing in a stochastic game."""
        return np.where(self.share > 0, self.population, 0.0)


def _read(table: _Table, readout: Readout, residual: Values) -> Floats:
    """Read-out of weighted residuals, shape (n, n, k)."""
    both, one, none = _over_shares(readout, table)
    columns = [w[table.sizes][:, None] * residual for w in (both, one, none)]
    return np.stack([_spread(table.members, *(c[:, k] for c in columns)) for k in range(residual.shape[1])], axis=-1)


def _over_shares(readout: Readout, table: _Table) -> tuple[Floats, Floats, Floats]:
    shares = cell_shares(len(table.drawn) - 1)
    weights = (readout.both, readout.one, readout.none)
    both, one, none = (
        np.divide(w, share, out=np.zeros_like(w), where=w != 0) for w, share in zip(weights, shares, strict=True)
    )
    return both, one, none


def _spread(members: Coalitions, both: Floats, one: Floats, none: Floats) -> Floats:
    """Sum over rows of `both` where i and j are in, `one` where exactly one is, `none` where neither is; shape (n, n)."""
    Z = members.astype(np.float64)
    single = (one - none) @ Z
    return (Z * (both - 2 * one + none)[:, None]).T @ Z + single[:, None] + single[None, :] + none.sum()


def _variance(table: _Table, readout: Readout, residual: Values) -> Floats:
    """Variance of a read-out, shape (n, n, k): over strata of pairs, sums of squared contributions per cell."""
    pairs = table.pairs
    n, count = len(table.drawn) - 1, len(pairs.stratum)
    inside, outside = residual[2 : 2 + count], residual[2 + count :]
    both, one, none = _over_shares(readout, table)
    out = np.zeros((n, n, residual.shape[1]))
    shares = cell_shares(n)
    for h in np.unique(pairs.stratum):
        s, t = int(h), int(n - h)
        if table.share[s] >= 1.0 or not (both[[s, t]].any() or one[[s, t]].any() or none[[s, t]].any()):
            continue
        here = pairs.stratum == h
        members = pairs.members[here]
        r, q = inside[here] / table.drawn[s], outside[here] / table.drawn[t]
        squares = [(r * both[s] + q * none[t]) ** 2, (r * one[s] + q * one[t]) ** 2, (r * none[s] + q * both[t]) ** 2]
        for cell in range(3):
            seen = _spread(members, *_only(cell, np.ones(len(members))))
            # The middle stratum's members all hold player 0, so their cells do not follow the shares of their size.
            expected = seen if 2 * s == n else (1, 2, 1)[cell] * shares[cell][s] * len(members)
            for k in range(residual.shape[1]):
                column = squares[cell][:, k]
                sums = _spread(members, *_only(cell, column))
                moment = (sums + _PRIOR_ROWS * column.mean()) / (seen + _PRIOR_ROWS)
                out[..., k] += (1.0 - table.share[s]) * expected * moment
    return out


def _only(cell: int, column: Floats) -> tuple[Floats, Floats, Floats]:
    nothing = np.zeros(len(column))
    both, one, none = (column if c == cell else nothing for c in range(3))
    return both, one, none


def _requested(question: Question, n: int) -> Ints:
    if question.pairs is not None:
        return np.array(question.pairs, dtype=np.int64)
    return np.stack(np.triu_indices(n, 1), axis=1).astype(np.int64)


def _singles(pairs: Pairs, design: Strata) -> tuple[Values, Values]:
    """First-order Shapley-Taylor terms v({i}) - v(empty), each (n, k), with the standard error of repeated draws (stochastic games)."""
    n, alone = design.n_players, pairs.stratum == 1
    members, gains = pairs.members[alone].astype(np.float64), pairs.inside[alone] - pairs.empty
    if n == 2:
        members = np.concatenate([members, 1 - members])
        gains = np.concatenate([gains, pairs.outside[alone] - pairs.empty])
    times = members.sum(axis=0)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = members.T @ gains / times
        spread = members.T @ gains**2 / times - mean**2
        noise = np.where(times > 1, np.sqrt(np.maximum(spread, 0.0) / (times - 1)), np.nan)
    seen = times > 0
    return np.where(seen, mean, np.nan), noise if design.stochastic else np.where(seen, 0.0, np.nan) + 0 * mean


def minimum(n: int) -> int:
    """Evaluations that can reach every size, singles exhausted, with a held-out pair in every fold; the plan checks the sizes."""
    return min(1 << min(n, 62), 2 + 2 * n + 2 * FOLDS + 4 * (n // 2))


INFO = EstimatorInfo(
    name="cells",
    indices=PAIR_INDICES,
    orders=(2,),
    designs=("strata",),
    minimum=lambda question, n, stochastic=False: minimum(n),
    make=Cells,
    summary="all pairs and all context sizes from one pool, cross-fitted quadratic surrogate with residual correction",
    source="after Kolpaczki et al., AISTATS 2024 (SVARM-IQ)",
    law=strata_law,
    edges=1,
)
