"""`stacked`: the Gaussian process, joined by boosted trees where they predict left-out values better.

Both read the same values. The leave-one-out residuals of `gp` and the cross-fitted residuals of `proxy` decide, output by output: while the
process predicts better it answers alone, and no more folds are grown than it takes to know that; else the two answers are averaged with
the weight that minimises the squared left-out error of their average (stacking: Wolpert 1992; Breiman 1996). The trees' answer is the
corrected one. Errors of the two are added up as if they were fully correlated, so the intervals err on the wide side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.estimators import gp, proxy
from xai_ray.estimators.adjusted import corrected
from xai_ray.estimators.correction import Corrected
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.fold_fits import outdone
from xai_ray.estimators.gp import Conditioned, enough
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.whole import assemble
from xai_ray.indices import Question, Readout
from xai_ray.types import Floats, Ints, Values

LARGEST_OUTPUTS = 8
"""With more outputs than this the process answers alone: trees are grown one output at a time."""


@dataclass(frozen=True, slots=True)
class Stacked(KeepsRows):
    """Every index that is a read-out, for sets of up to three players."""

    question: Question
    design: Strata
    name: str = "stacked"

    def finish(self, partial: Observed) -> Estimate:
        """Fits both as far as it takes to weigh them, reads out. Raises NotEnoughSamples below the minimum of `gp`."""
        n = self.design.n_players
        rows = enough(partial, n, self.name, gp.minimum(n))
        process = Conditioned.on(rows, self.design.stochastic)
        sized = SizedRows.of(rows, self.design)
        trees, weight = None, np.ones(rows.values.shape[1])
        if rows.values.shape[1] <= LARGEST_OUTPUTS and len(sized.pairs.stratum) >= FOLDS:
            left = process.process.left_out()[2:]
            if not outdone(proxy.trees(sized), sized, (left**2).sum(axis=0)):
                trees = corrected(proxy.INFO.name, rows, sized, self.design.stochastic, proxy.trees)
                weight = weights(left, _as_drawn(trees.held_out)[2:])

        def read(readout: Readout, sets: Ints) -> tuple[Floats, Floats]:
            value, error = process.read(readout, sets)
            if trees is None or (weight == 1.0).all():
                return value, error
            return _joined(trees, weight, readout, sets, value, error)

        return replace(assemble(self.question, self.name, sized, read), degrees_of_freedom=process.freedom)


def weights(process: Values, trees: Values) -> Floats:
    """Weight of the process for each output, shape (k,), from left-out residuals (r, k)."""
    apart = trees - process
    spread = (apart**2).sum(axis=0)
    best = np.divide((trees * apart).sum(axis=0), spread, out=np.ones_like(spread), where=spread > 0)
    better = (process**2).sum(axis=0) <= (trees**2).sum(axis=0)
    return np.where(better, 1.0, np.clip(best, 0.0, 1.0))


def _as_drawn(residuals: Values) -> Values:
    """Rows as `SizedRows` orders them, in the order of the draws."""
    pairs = residuals[2:].reshape(2, -1, residuals.shape[1])
    return np.concatenate([residuals[:2], pairs.transpose(1, 0, 2).reshape(-1, residuals.shape[1])])


def _joined(
    trees: Corrected, weight: Floats, readout: Readout, sets: Ints, value: Floats, error: Floats
) -> tuple[Floats, Floats]:
    other, spread = trees.read_shrunk(readout, sets)
    # What the trees could not read (a size that was never drawn) stays with the process.
    share = np.where(np.isnan(other), 1.0, weight)
    other, spread = np.where(np.isnan(other), value, other), np.where(np.isnan(spread), error, spread)
    return share * value + (1.0 - share) * other, share * error + (1.0 - share) * spread


INFO = EstimatorInfo(
    name="stacked",
    indices=gp.INFO.indices,
    orders=gp.INFO.orders,
    designs=gp.INFO.designs,
    minimum=gp.INFO.minimum,
    make=Stacked,
    summary="'gp', averaged with the corrected trees of 'proxy' where those predict left-out values better",
    source="Wolpert 1992; Breiman 1996",
    largest=gp.INFO.largest,
    beyond=gp.INFO.beyond,
)
