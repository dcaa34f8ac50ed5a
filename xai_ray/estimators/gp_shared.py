"""`gp_shared`: the Gaussian process on the cube with one length scale for all players, for many outputs at once.

Made for dataset jobs, whose rows number their players anew: what players share is all that rows can share. Four parameters instead of
n + 3 are soon fitted, to a few of the outputs; one factorisation then conditions every output, each with a process variance of its
own. Kernel, read-outs and the widening of intervals are those of `gp`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xai_ray.coalitions import Strata
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.gp import LARGEST, ORDERS, enough
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed, Rows
from xai_ray.estimators.remembered import LastFit
from xai_ray.estimators.sized import SizedRows
from xai_ray.estimators.whole import assemble
from xai_ray.indices import READ_OUT, Question, Readout
from xai_ray.types import Coalitions, Floats, Ints

if TYPE_CHECKING:
    from xai_ray.estimators.gp_process import Process

PARAMETERS = 4
"""One length scale, linear part, nugget and tilt."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A process conditioned on r rows of k outputs."""

    process: Process
    coalitions: Coalitions
    roughness: Floats
    stochastic: bool

    @classmethod
    def on(cls, rows: Rows, stochastic: bool) -> Shared:
        """Fits and conditions."""
        from xai_ray.estimators.gp_calibration import roughness_by_size
        from xai_ray.estimators.gp_device import chosen
        from xai_ray.estimators.gp_fit import fit_alike
        from xai_ray.estimators.gp_process import Process

        def fit() -> Shared:
            process = Process.of(rows.coalitions, rows.values, by=fit_alike)
            return cls(process, rows.coalitions, roughness_by_size(process, rows.coalitions), stochastic)

        return _LAST.of(rows.coalitions, rows.values, (stochastic, chosen()), fit)

    def read(self, readout: Readout, sets: Ints) -> tuple[Floats, Floats]:
        """Values and standard errors of sets (c, s), each of shape (c, R, k)."""
        from xai_ray.estimators.gp_calibration import widening

        values, errors = self.process.moments(readout, sets, roughness=not self.stochastic)
        wider = widening(readout, self.roughness, self.coalitions, self.stochastic, PARAMETERS)
        return values, errors * wider

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard errors: the pairs of coalitions that the parameters leave over."""
        return float(max(len(self.coalitions) // 2 - PARAMETERS, 3))


_LAST: LastFit[Shared] = LastFit()


@dataclass(frozen=True, slots=True)
class SharedProcess(KeepsRows):
    """Every index that is a read-out, for sets of up to three players."""

    question: Question
    design: Strata
    name: str = "gp_shared"

    def finish(self, partial: Observed) -> Estimate:
        """Fits, conditions, reads out. Raises NotEnoughSamples below `minimum`."""
        n = self.design.n_players
        rows = enough(partial, n, self.name, minimum(n))
        conditioned = Shared.on(rows, self.design.stochastic)
        found = assemble(self.question, self.name, SizedRows.of(rows, self.design), conditioned.read)
        return replace(found, degrees_of_freedom=conditioned.freedom)

    def over_rows(self, partial: Observed) -> tuple[Floats, Floats] | None:
        """See `RowEstimator`."""
        from xai_ray.estimators.gp_over_rows import gp_over_rows

        n = self.design.n_players
        at = Shared.on(enough(partial, n, self.name, minimum(n)), self.design.stochastic)
        return gp_over_rows(self.question, at.process, at.coalitions, at.stochastic, PARAMETERS)


def minimum(n: int) -> int:
    """Evaluations from which intervals cover as they do with more; one length scale takes fewer than that of every player."""
    return min(1 << min(n, 62), 3 * n + 2 + n % 2)


INFO = EstimatorInfo(
    name="gp_shared",
    indices=READ_OUT,
    orders=ORDERS,
    designs=("strata",),
    minimum=lambda question, n, stochastic=False: minimum(n),
    make=SharedProcess,
    summary="the process of 'gp' with one length scale for all players: many outputs, or rows of a dataset, from one quick fit",
    source="Rasmussen & Williams 2006; Owen 1972",
    largest=LARGEST,
    beyond="It solves a system of the size of the budget: use 'leverage', 'permutation' or 'proxy'",
)
