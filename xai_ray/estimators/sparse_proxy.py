"""`sparse_proxy`: the pairs and triples that the trees of `proxy` hold together, with their corrected values; the rest is left out.

For hundreds of players and more, where nearly all sets interact too little to be seen. A set is listed when trees of a majority of the
folds have a leaf that holds its players and agree on its value, roughly. What is not listed is not said to be zero.
How far corrections are drawn towards zero the listed sets decide. Sets are listed by what the same rows say of them, so their standard
errors hold that of the surrogate besides.

After ProxySPEX (Butler et al., NeurIPS 2025), which reads a sparse set of interactions off boosted trees, here with the correction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import comb

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import adjusted, proxy
from xai_ray.estimators.adjusted import corrected
from xai_ray.estimators.boosted import Boosted
from xai_ray.estimators.cell_means import read_means
from xai_ray.estimators.correction import Corrected, jackknife_errors
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.leaves import Leaves
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.estimators.readouts import asked_sets, exhausted_strata, read_strata, single_context, strata_law
from xai_ray.estimators.shrinking import EFFICIENT
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.tree_reads import touch
from xai_ray.estimators.whole import assemble
from xai_ray.indices import Question, Readout
from xai_ray.types import Floats, Ints

INTERACTIONS = ("MOI", "SII", "k-SII", "STII", "FSII", "BII", "FBII", "CHII")
MAJORITY = FOLDS // 2 + 1
CLEAR = 0.5
"""Of their error over folds. A stricter list is shorter and no more accurate in all, and its intervals hold less often, since what was
listed for its noise is a larger part of it.
"""


@dataclass(frozen=True, slots=True)
class SparseProxy(KeepsRows):
    """Read-outs of sets of two and three players, for the sets that the trees find; single players are all answered."""

    question: Question
    design: Strata
    name: str = "sparse_proxy"

    def finish(self, partial: Observed) -> Estimate:
        """Trees, the sets they hold, corrections. Raises NotEnoughSamples when no set is found or a size was not drawn."""
        n = self.design.n_players
        few = NotEnoughSamples(f"sparse_proxy needs {minimum(self.question, n)} evaluations; extend the budget")
        if not partial.parts:
            raise few
        drawn = partial.rows()
        rows = SizedRows.of(drawn, self.design)
        if rows.exhausted:
            # Everything is known then, and a list would leave out what is exact.
            return replace(proxy.make(self.question, self.design).finish(partial), estimator=self.name)
        if len(rows.pairs.stratum) < FOLDS:
            raise few
        fitted = corrected("proxy", drawn, rows, self.design.stochastic, proxy.trees)

        def listed(readout: Readout) -> Ints:
            if readout.size < 2:
                return asked_sets(self.question, n, readout.size)
            return found_sets(fitted, readout)

        def read(readout: Readout, sets: Ints) -> tuple[Floats, Floats]:
            if single_context(readout):
                return read_means(rows, readout, sets, self.design.stochastic)
            values, errors = fitted.read_shrunk(readout, sets, sets)
            return values, errors if readout.size < 2 else _widened(fitted, readout, sets, errors)

        return assemble(self.question, self.name, rows, read, listed)


def found_sets(fitted: Corrected, readout: Readout) -> Ints:
    """Sets (c, s), ascending, that leaves of a majority of the surrogates hold, and of which the surrogates' mean is at least half its
    jackknife error over folds, for any output and context. Raises NotEnoughSamples for none.
    """
    each = [
        np.unique(np.concatenate([_held(parts[-1], readout) for parts in surrogate.parts()]), axis=0)
        for surrogate in fitted.surrogates
        if isinstance(surrogate, Boosted)
    ]
    sets, folds = np.unique(np.concatenate(each), axis=0, return_counts=True)
    sets = sets[folds >= MAJORITY]
    by_fold = fitted.by_fold(readout, sets)
    mean = by_fold.mean(axis=0)
    sets = sets[((np.abs(mean) >= CLEAR * jackknife_errors(by_fold)) & (mean != 0)).any(axis=(1, 2))]
    if not len(sets):
        raise NotEnoughSamples(
            f"sparse_proxy: no set of {readout.size} players is in the trees of {MAJORITY} of {FOLDS} folds: either the players of this "
            "game do not interact, or the budget is too small to see it. Extend it, or ask 'proxy' or 'cells' for every set"
        )
    return sets


def _widened(fitted: Corrected, readout: Readout, sets: Ints, errors: Floats) -> Floats:
    """Standard errors with that of the surrogate added, of which a listed set has more than its share, the more of them were left out;
    exact values stay exact.
    """
    left_out = 1.0 - len(sets) / comb(readout.n_players, readout.size)
    own = np.sqrt(EFFICIENT * left_out) * jackknife_errors(fitted.by_fold(readout, sets))
    return np.where(errors == 0, 0.0, np.hypot(errors, own))


def _held(leaves: Leaves, readout: Readout) -> Ints:
    sets = [touched.sets for touched in touch(leaves, readout) if touched.sets.shape[1] == readout.size]
    return np.concatenate([np.zeros((0, readout.size), dtype=np.int64), *sets])


def make(question: Question, design: Strata) -> SparseProxy:
    """Raises SpecError when the sets are named already."""
    _check(question)
    return SparseProxy(question, design)


def minimum(question: Question, n: int, stochastic: bool = False) -> int:
    """That of `proxy`. Raises SpecError when the sets are named already."""
    _check(question)
    return adjusted.minimum(question, n, stochastic)


def _check(question: Question) -> None:
    if question.pairs is not None:
        raise SpecError("sparse_proxy finds the pairs itself: leave pairs out, or ask 'proxy' or 'cells' for these")


INFO = EstimatorInfo(
    name="sparse_proxy",
    indices=INTERACTIONS,
    orders=(2, 3),
    designs=("strata",),
    minimum=minimum,
    make=make,
    summary="as proxy, for the sets that its trees hold together alone: hundreds of players and more",
    source="after Butler et al., NeurIPS 2025 (ProxySPEX)",
    law=strata_law,
    edges=exhausted_strata,
    reads=read_strata,
    sparse=True,
)
