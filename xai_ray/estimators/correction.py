"""The cross-fitted correction of a surrogate: its own indices in closed form, plus the read-out of what it leaves over.

Pairs of coalitions are dealt to folds, and each fold's surrogate is fitted to the others. A row that was trained on counts for itself, a
held-out row for (N_s - trained) / held out rows of its size s, N_s = C(n, s). So the whole correction is unbiased for any surrogate, and
exact at full budget; for sets of two and more it is mostly noise at small budgets, and `read_shrunk` draws it towards zero. For read-outs
of sets of up to three players, and any `Fitter`.

Standard errors: second moments of the held-out residuals' contributions, cell by cell; see `residual_moments`. At the first and last
context a cell is a single coalition, drawn or not: there the intervals cover their 95 % over sets and seeds together, not for every set
by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.cell_sums import differences, row_weights, subset_sums
from xai_ray.estimators.residual_moments import variance
from xai_ray.estimators.seldom import kept_shares
from xai_ray.estimators.shrinking import Shrinking, reference_sets
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.surrogate import Fitter, Surrogate
from xai_ray.indices import Readout
from xai_ray.types import Floats, Ints, Values


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
        """Values with the whole correction and standard errors for sets (c, s) of s = 0..3 ascending players, each of shape (c, R, k),
        in units of v. NaN where a column reads a size of which nothing was drawn.
        """
        correction, error = self._correction(readout, sets, whole=True)
        return self.by_fold(readout, sets).mean(axis=0) + correction, error

    def read_shrunk(self, readout: Readout, sets: Ints, reference: Ints | None = None) -> tuple[Floats, Floats]:
        """The same with the correction drawn towards zero for sets of two and more: that of cells that are seldom drawn (`seldom`), and
        all of it by what it is at the `reference` sets (c', s); left out, at all sets or at 2,000 of many (`shrinking`).
        """
        if readout.size < 2:
            return self.read(readout, sets)
        if reference is None:
            reference = reference_sets(self.rows.n_players, readout.size)
        every = np.array_equal(reference, sets)
        both = sets if every else np.concatenate([reference, sets])
        correction, error = self._correction(readout, both, whole=False)
        surrogates, first = self.by_fold(readout, both), slice(len(reference))
        shrinking = Shrinking.of(correction[first], error[first], jackknife_errors(surrogates[:, first]) ** 2)
        asked = slice(None) if every else slice(len(reference), None)
        kept, left = shrinking.apply(correction[asked], error[asked])
        return surrogates[:, asked].mean(axis=0) + kept, left

    def by_fold(self, readout: Readout, sets: Ints) -> Floats:
        """The surrogates' own indices of sets (c, s), shape (folds, c, R, k)."""
        out = np.array([surrogate.read(readout, sets) for surrogate in self.surrogates])
        if readout.size == 0:
            out += readout.weights.sum(axis=1)[:, None] * self.rows.empty
        return out

    def _correction(self, readout: Readout, sets: Ints, *, whole: bool) -> tuple[Floats, Floats]:
        """What is added to the surrogates' mean, and the standard error, each of shape (c, R, k)."""
        weights = spread = row_weights(readout)
        if not whole:
            kept, noise = kept_shares(self.rows, readout.size)
            weights, spread = weights * kept, weights * noise
        correction = np.zeros((len(sets), len(weights), self.weighted.shape[1]))
        self._add_residuals(correction, weights, sets)
        error = np.sqrt(variance(self.rows, self.held_out, spread, sets))
        missing = ((weights != 0).any(axis=1) & (self.rows.drawn == 0)).any(axis=1)
        correction[:, missing] = error[:, missing] = np.nan
        return correction, error

    def _add_residuals(self, values: Floats, weights: Floats, sets: Ints) -> None:
        for r, column in enumerate(weights):
            here = np.flatnonzero((column != 0).any(axis=0)[self.rows.sizes])
            residual = self.weighted[here]
            columns = [d[self.rows.sizes[here], None] * residual for d in differences(column)]
            values[:, r] += sum(subset_sums(self.rows.coalitions[here], columns, sets))


def jackknife_errors(by_fold: Floats) -> Floats:
    """Standard errors of the mean over folds (folds, ...), by Efron and Stein (1981)."""
    return np.sqrt((FOLDS - 1) / FOLDS * ((by_fold - by_fold.mean(axis=0)) ** 2).sum(axis=0))


def cross_fit(rows: SizedRows, fitter: Fitter) -> Corrected:
    """Fits one surrogate a fold.

    Raises NotEnoughSamples with fewer pairs than can be dealt to folds.
    """
    if len(rows.pairs.stratum) < FOLDS:
        raise NotEnoughSamples(
            f"cross-fitting deals pairs of coalitions to {FOLDS} folds, {len(rows.pairs.stratum)} pairs were drawn; "
            f"extend the budget to {2 * FOLDS + 2} evaluations or more"
        )
    weighted, held_out = np.zeros_like(rows.values), np.zeros_like(rows.values)
    surrogates = tuple(fitter(rows))
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
