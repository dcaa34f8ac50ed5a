"""`gp`: a Gaussian process on the cube of coalitions; every index that is a read-out in closed form, all sets and contexts, from one fit.

One length scale a player, by marginal likelihood; the roughness that the kernel cannot carry is part of the game and is known at
the rows (see `gp_process`). A row counts for itself, so the answer is exact at full budget. Standard errors are posterior standard
deviations, with Student's t for the process variance, which is estimated from the pairs that the length scales leave over.

With more read-outs than are worth a triangular solve each, the standard errors of a sample of sets are computed and those of the
others follow from the prior variance and the sampled ratio of posterior to prior, column by column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.indices import READ_OUT, Question, readouts
from xai_ray.indices.sets import sets_of_size
from xai_ray.types import Floats

ORDERS = (1, 2, 3)
LARGEST = 1_000


@dataclass(frozen=True, slots=True)
class GaussianProcess(KeepsRows):
    """Values and standard errors of all sets of a question from one conditioned process."""

    question: Question
    design: Strata
    name: str = "gp"

    def finish(self, partial: Observed) -> Estimate:
        """Fits, conditions, reads out."""
        n, need = self.design.n_players, minimum(self.design.n_players)
        if 2 * sum(len(draw) for draw, _ in partial.parts.values()) < need:
            raise NotEnoughSamples(f"gp needs {need} evaluations for {n} players, too few are there")
        rows = partial.rows()
        # Torch takes a second to import, and only this estimator of them all wants it.
        from xai_ray.estimators.gp_process import Process

        process = Process.of(rows.coalitions, rows.values)
        coalitions: list[tuple[int, ...]] = []
        values: list[Floats] = []
        errors: list[Floats] = []
        for readout in readouts(self.question, n):
            found = sets_of_size(self.question, n, readout.size)
            at = np.array(found, dtype=np.int64).reshape(len(found), readout.size)
            value, error = process.moments(readout, at, roughness=not self.design.stochastic)
            coalitions += found
            values.append(value)
            errors.append(error)
        value, error = np.concatenate(values), np.concatenate(errors)
        if self.question.contexts is None:
            value, error = value[:, 0], error[:, 0]
        freedom = float(max(len(rows.values) // 2 - n, 3))
        return Estimate(self.question, tuple(coalitions), value, error, self.name, len(rows.values), freedom)


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
    beyond="It solves a system of the size of the budget for every set: use 'leverage', 'permutation' or 'proxy'",
)
