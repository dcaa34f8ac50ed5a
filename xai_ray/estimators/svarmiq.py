"""`svarmiq`: means of cells without a surrogate, for every index that is a read-out and sets of up to three players.

Kolpaczki, Muschalik, Fumagalli, Hammer, Huellermeier, "SVARM-IQ: Efficient Approximation of Any-order Shapley Interactions through
Stratification" (AISTATS 2024); for single players stratified SVARM (Kolpaczki et al., AAAI 2024). All cells of a size at once are
matrix products. A cell that was never seen makes its sets missing, where the paper counts it as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial as fixed

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.adjusted import evaluations_for
from xai_ray.estimators.cell_means import read_means
from xai_ray.estimators.cell_sums import LARGEST_SET
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.estimators.readouts import read_strata, single_coalitions, strata_law
from xai_ray.estimators.sized import SizedRows
from xai_ray.estimators.whole import assemble
from xai_ray.indices import READ_OUT, Question


@dataclass(frozen=True, slots=True)
class SvarmIQ(KeepsRows):
    """Values and interactions of orders 1 to 3, at every context size."""

    question: Question
    design: Strata
    name: str = "svarmiq"

    def finish(self, partial: Observed) -> Estimate:
        """Cell means. Raises NotEnoughSamples when no set has all its cells."""
        if not partial.parts:
            raise NotEnoughSamples(
                f"svarmiq needs {minimum(self.question, self.design.n_players)} evaluations, has none"
            )
        rows = SizedRows.of(partial.rows(), self.design)
        return assemble(self.question, self.name, rows, fixed(read_means, rows, stochastic=self.design.stochastic))


def minimum(question: Question, n: int, stochastic: bool = False) -> int:
    """As for `cells`, with every stratum exhausted in which a cell holds a single coalition: without it, its set would be missing."""
    return evaluations_for(question, n, single_coalitions(question, n), stochastic)


INFO = EstimatorInfo(
    name="svarmiq",
    indices=READ_OUT,
    orders=tuple(range(1, LARGEST_SET + 1)),
    designs=("strata",),
    minimum=minimum,
    make=SvarmIQ,
    summary="stratified means of cells, without a surrogate",
    source="Kolpaczki et al., AISTATS 2024",
    law=strata_law,
    edges=single_coalitions,
    reads=read_strata,
)
