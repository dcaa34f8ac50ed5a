"""The cross-fitted correction of a surrogate: its own indices in closed form, plus the read-out of what it leaves over.

Pairs of coalitions are dealt to folds, and each fold's surrogate is fitted to the others. A row that was trained on counts for itself,
a held-out row for (N_s - trained) / held out rows of its size s, N_s = C(n, s). So the answer is unbiased for any surrogate, and exact
at full budget. For read-outs of sets of up to three players, and any `Fitter`.

Standard errors: second moments of the held-out residuals' contributions, cell by cell (players of the set in the coalition, size),
drawn towards the mean of their size where a cell was seen only a few times; exhausted sizes carry none. At the first and last context a
cell is a single coalition, drawn or not: there the intervals cover their 95 % over sets and seeds together, not for every set by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.cell_sums import differences, pattern_shares, pattern_sums, row_weights, subset_sums
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.surrogate import Fitter, Surrogate
from xai_ray.indices import Readout
from xai_ray.types import Floats, Ints, Values

_PRIOR_ROWS = 4.0
"""A cell's second moment is averaged with this many pseudo-rows of its size's mean."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """What cross-fitting leaves; r rows, k outputs."""

    rows: SizedRows
    surrogates: tuple[Surrogate, ...]
    """One a fold; their mean is the answer's first part."""
    weighted: Values
    """Shape (r, k): residuals such that their sum over a size estimates the mean residual of that size."""
    held_out: Values
    """Shape (r, k): residuals of the surrogate that did not see the row."""

    def read(self, readout: Readout, sets: Ints) -> tuple[Floats, Floats]:
        """Values and standard errors for sets (c, s) of s = 0..3 ascending players, each of shape (c, R, k), in units of v.

        NaN where a column reads a size of which nothing was drawn.
        """
        values = np.mean([surrogate.read(readout, sets) for surrogate in self.surrogates], axis=0)
        if readout.size == 0:
            values += readout.weights.sum(axis=1)[:, None] * self.rows.empty
        weights = row_weights(readout)
        self._add_residuals(values, weights, sets)
        errors = np.sqrt(self._variance(weights, sets))
        missing = ((weights != 0).any(axis=1) & (self.rows.drawn == 0)).any(axis=1)
        values[:, missing] = errors[:, missing] = np.nan
        return values, errors

    def _add_residuals(self, values: Floats, weights: Floats, sets: Ints) -> None:
        for r, column in enumerate(weights):
            here = np.flatnonzero((column != 0).any(axis=0)[self.rows.sizes])
            residual = self.weighted[here]
            columns = [d[self.rows.sizes[here], None] * residual for d in differences(column)]
            values[:, r] += sum(subset_sums(self.rows.coalitions[here], columns, sets))

    def _variance(self, weights: Floats, sets: Ints) -> Floats:
        """Over strata of pairs, sums of squared contributions per cell; shape (c, R, k)."""
        rows, size = self.rows, sets.shape[1]
        n, count = rows.n_players, len(rows.pairs.stratum)
        inside, outside = self.held_out[2 : 2 + count], self.held_out[2 + count :]
        shares = pattern_shares(n, size)
        out = np.zeros((len(sets), weights.shape[0], inside.shape[1]))
        for h in np.unique(rows.pairs.stratum):
            # A pair with w players of the set in S has the other s - w in the complement of S.
            first, second = weights[:, :, h], weights[:, ::-1, n - h]
            used = np.flatnonzero((first != 0).any(axis=1) | (second != 0).any(axis=1))
            if rows.share[h] >= 1.0 or not len(used):
                continue
            here = rows.pairs.stratum == h
            members = rows.pairs.members[here]
            products = _products(inside[here] / rows.drawn[h], outside[here] / rows.drawn[n - h])
            sums = pattern_sums(members, np.c_[np.ones(len(members)), _flat(products)], sets)
            seen = np.maximum(sums[:, :, :1], 0.0)
            # The middle stratum's members all hold player 0, so their cells do not follow the shares of their size.
            times = np.array([comb(size, w) for w in range(size + 1)]) * shares[:, h] * len(members)
            expected = seen if 2 * h == n else times[:, None, None]
            for r in used:
                a, b = first[r][:, None, None], second[r][:, None, None]
                total = _combine(a, b, sums[:, :, 1:])
                mean = _combine(a, b, _flat(products).mean(axis=0))
                moment = np.maximum(total + _PRIOR_ROWS * mean, 0.0) / (seen + _PRIOR_ROWS)
                out[:, r] += (1.0 - rows.share[h]) * (expected * moment).sum(axis=0)
        return out


def _products(r: Values, q: Values) -> Floats:
    """Squares and cross product of the two residuals of a pair, shape (p, 3, k)."""
    return np.stack([r * r, r * q, q * q], axis=1)


def _flat(products: Floats) -> Floats:
    return products.reshape(len(products), -1)


def _combine(a: Floats, b: Floats, sums: Floats) -> Floats:
    """Sum of (a r + b q)^2 from the sums of r^2, r q and q^2 side by side on the last axis."""
    k = sums.shape[-1] // 3
    return a * a * sums[..., :k] + 2 * a * b * sums[..., k : 2 * k] + b * b * sums[..., 2 * k :]


def cross_fit(rows: SizedRows, fitter: Fitter) -> Corrected:
    """Fits one surrogate a fold. `fitter` holds the rows `rows.coalitions` and `rows.values`, in that order.

    Raises NotEnoughSamples with fewer pairs than can be dealt to folds.
    """
    if len(rows.pairs.stratum) < FOLDS:
        raise NotEnoughSamples(
            f"cross-fitting deals pairs of coalitions to {FOLDS} folds, {len(rows.pairs.stratum)} pairs were drawn; "
            f"extend the budget to {2 * FOLDS + 2} evaluations or more"
        )
    weighted, held_out = np.zeros_like(rows.values), np.zeros_like(rows.values)
    surrogates = tuple(fitter.fit(rows.fold != f) for f in range(FOLDS))
    left_out = [np.bincount(rows.sizes[rows.fold == f], minlength=len(rows.drawn)) for f in range(FOLDS)]
    # A fold says something about a size if it left out a row of it, or if the size is exhausted.
    works_by_fold = [(out > 0) | (rows.share >= 1.0) for out in left_out]
    usable = np.sum(works_by_fold, axis=0)
    # A trained row counts for 1/N of its size in a finite population, for nothing in a stochastic game.
    own = np.where(rows.share > 0, rows.population, 0.0)
    for f, (surrogate, out, works) in enumerate(zip(surrogates, left_out, works_by_fold, strict=True)):
        mine = rows.fold == f
        trained = np.where(rows.drawn > 0, rows.share * (rows.drawn - out) / np.maximum(rows.drawn, 1), 0.0)
        residual = rows.values - surrogate.predict(rows.coalitions)
        held_out[mine] = residual[mine]
        weight = np.where(mine, (1 - trained[rows.sizes]) / np.maximum(out, 1)[rows.sizes], own[rows.sizes])
        weight = np.where(works[rows.sizes], weight / usable[rows.sizes], 0.0)
        weighted += weight[:, None] * residual
    return Corrected(rows, surrogates, weighted, held_out)
