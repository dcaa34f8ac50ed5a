"""`gp`: a Gaussian process on the cube of coalitions; every index that is a read-out in closed form, all sets and contexts, from one fit.

One length scale a player, by marginal likelihood; the roughness that the kernel cannot carry is part of the game and is known at
the rows (see `gp_process`). A row counts for itself, so the answer is exact at full budget. Standard errors are posterior standard
deviations, widened for what the posterior takes for granted (see `gp_calibration`), with Student's t for the process variance.

With more read-outs than are worth a triangular solve each, the standard errors of a sample of sets are computed and those of the
others follow from their prior variances by the power law that the sample shows, column by column (see `power_law`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed, Rows
from xai_ray.estimators.remembered import LastFit
from xai_ray.estimators.sized import SizedRows
from xai_ray.estimators.whole import assemble
from xai_ray.indices import READ_OUT, Question, Readout
from xai_ray.types import Coalitions, Floats, Ints

if TYPE_CHECKING:
    from xai_ray.estimators.gp_process import Process

ORDERS = (1, 2, 3)
LARGEST = 1_000


@dataclass(frozen=True, slots=True)
class Conditioned:
    """A process conditioned on r rows, with what its intervals have to be widened by."""

    process: Process
    coalitions: Coalitions
    roughness: Floats
    """Shape (n + 1, k): see `gp_calibration`."""
    stochastic: bool

    @classmethod
    def on(cls, rows: Rows, stochastic: bool) -> Conditioned:
        """Fits and conditions."""
        # Torch takes a second to import, and only this estimator of them all wants it.
        from xai_ray.estimators.gp_calibration import roughness_by_size
        from xai_ray.estimators.gp_device import chosen
        from xai_ray.estimators.gp_process import Process

        def fit() -> Conditioned:
            process = Process.of(rows.coalitions, rows.values)
            return cls(process, rows.coalitions, roughness_by_size(process, rows.coalitions), stochastic)

        return _LAST.of(rows.coalitions, rows.values, (stochastic, chosen()), fit)

    def read(self, readout: Readout, sets: Ints) -> tuple[Floats, Floats]:
        """Values and standard errors of sets (c, s), each of shape (c, R, k)."""
        from xai_ray.estimators.gp_calibration import widening

        values, errors = self.process.moments(readout, sets, roughness=not self.stochastic)
        return values, errors * widening(readout, self.roughness, self.coalitions, self.stochastic)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard errors: the pairs of coalitions that the length scales leave over."""
        rows, n = self.coalitions.shape
        return float(max(rows // 2 - n, 3))


_LAST: LastFit[Conditioned] = LastFit()


@dataclass(frozen=True, slots=True)
class GaussianProcess(KeepsRows):
    """Every index that is a read-out, for sets of up to three players."""

    question: Question
    design: Strata
    name: str = "gp"

    def finish(self, partial: Observed) -> Estimate:
        """Fits, conditions, reads out. Raises NotEnoughSamples below `minimum`."""
        rows = enough(partial, self.design.n_players, self.name, minimum(self.design.n_players))
        conditioned = Conditioned.on(rows, self.design.stochastic)
        found = assemble(self.question, self.name, SizedRows.of(rows, self.design), conditioned.read)
        return replace(found, degrees_of_freedom=conditioned.freedom)

    def over_rows(self, partial: Observed) -> tuple[Floats, Floats] | None:
        """See `RowEstimator`."""
        from xai_ray.estimators.gp_over_rows import gp_over_rows

        n = self.design.n_players
        at = Conditioned.on(enough(partial, n, self.name, minimum(n)), self.design.stochastic)
        return gp_over_rows(self.question, at.process, at.coalitions, at.stochastic, n + 3)


def enough(partial: Observed, n: int, name: str, need: int) -> Rows:
    """The rows, or NotEnoughSamples with the number that is needed."""
    if 2 * sum(len(draw) for draw, _ in partial.parts.values()) < need:
        raise NotEnoughSamples(f"{name} needs {need} evaluations for {n} players, too few are there")
    return partial.rows()


def minimum(n: int) -> int:
    """Evaluations below which the length scales of n players are not worth fitting."""
    return min(1 << min(n, 62), 4 * n + 2)


INFO = EstimatorInfo(
    name="gp",
    indices=READ_OUT,
    orders=ORDERS,
    designs=("strata",),
    minimum=lambda question, n, stochastic=False: minimum(n),
    make=GaussianProcess,
    summary="a Gaussian process on the cube: every index, all sets and contexts from one fit, in closed form",
    source="Rasmussen & Williams 2006; Owen 1972",
    largest=LARGEST,
    beyond="It solves a system of the size of the budget: use 'leverage', 'permutation' or 'proxy'",
)
