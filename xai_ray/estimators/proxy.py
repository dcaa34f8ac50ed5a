"""`proxy`: boosted trees read in closed form, cross-fitted, with the read-out of what they leave over.

After RegressionMSR (Witter, Liu, Musco, NeurIPS 2025) and ProxySHAP (2026). Values of single players carry the whole correction and are
unbiased; for larger sets it is drawn towards zero (`shrinking`), so the answer is consistent, and exact at full budget. All sets asked
for are answered, touched by a leaf or not: a set that no tree has seen still has its correction and its standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import cells
from xai_ray.estimators.boosted import BoostedTrees
from xai_ray.estimators.cell_means import read_means
from xai_ray.estimators.cell_sums import LARGEST_SET
from xai_ray.estimators.correction import Corrected, cross_fit
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.estimators.readouts import exhausted_strata, read_strata, single_context, strata_law
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.whole import assemble
from xai_ray.estimators.workload import check_workload
from xai_ray.indices import READ_OUT, Question, Readout, readouts
from xai_ray.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class Proxy(KeepsRows):
    """Every index that is a read-out, for sets of up to three players."""

    question: Question
    design: Strata
    name: str = "proxy"

    def finish(self, partial: Observed) -> Estimate:
        """Trees, correction, standard errors. Raises NotEnoughSamples when nothing of the answer can be estimated."""
        n, asked = self.design.n_players, readouts(self.question, self.design.n_players)
        if not partial.parts:
            raise NotEnoughSamples(f"proxy needs {cells.minimum(self.question, n)} evaluations, has none")
        rows = SizedRows.of(partial.rows(), self.design)
        check_workload(self.name, self.question, n, rows.values.shape[1])
        fitted = None if all(map(single_context, asked)) else self._fit(rows)

        def read(readout: Readout, sets: Ints) -> tuple[Floats, Floats]:
            # What is read one by one needs no surrogate.
            if fitted is None or single_context(readout):
                return read_means(rows, readout, sets, self.design.stochastic)
            return corrected(fitted, readout, sets)

        return assemble(self.question, self.name, rows, read)

    def _fit(self, rows: SizedRows) -> Corrected | None:
        if len(rows.pairs.stratum) >= FOLDS:
            return cross_fit(rows, BoostedTrees(rows.coalitions, rows.values))
        if rows.exhausted:
            return None
        need = cells.minimum(self.question, self.design.n_players)
        raise NotEnoughSamples(f"proxy needs {need} evaluations, too few are there")


def corrected(fitted: Corrected, readout: Readout, sets: Ints) -> tuple[Floats, Floats]:
    """Values and standard errors of sets (c, s), each of shape (c, R, k); the correction is shrunk for sets of two and more."""
    return fitted.read_shrunk(readout, sets)


INFO = EstimatorInfo(
    name="proxy",
    indices=READ_OUT,
    orders=tuple(range(1, LARGEST_SET + 1)),
    designs=("strata",),
    minimum=cells.minimum,
    make=Proxy,
    summary="cross-fitted boosted trees in closed form, with the read-out of what they leave over",
    source="after Witter, Liu & Musco, NeurIPS 2025 (RegressionMSR)",
    law=strata_law,
    edges=exhausted_strata,
    reads=read_strata,
)
