"""`strength`: interaction strength per order over all pairs, from the multi-order interactions of `cells`.

Deng, Ren, Zhang, Zhang (ICLR 2022). J is the published plug-in, the mean of |I|; sampling noise adds to it (about 0.8 standard errors of
I where I is near zero), so it falls as the budget grows. Its standard error counts that bias, as the jackknife sees it, with the spread;
where noise is larger than the interactions it still sees too little of it. J2 is the root of the mean of I^2 less the estimated
variance of I: the mean over splits of the product of two independent halves' estimates, without noise's bias.

Standard errors: delete-a-group jackknife over 20 groups of pairs of coalitions, with finite-population correction, the surrogate held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import adjusted, cells
from xai_ray.estimators.cell_sums import differences, row_weights, subset_sums
from xai_ray.estimators.correction import Corrected, cross_fit
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.groups import GROUPS, rotate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.estimators.readouts import asked_sets, read_strata, strata_law
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.indices import Question, Readout, normalised_strength, readouts
from xai_ray.indices.strength import root_mean_square_strength, strength_per_order
from xai_ray.types import Floats, Ints, Values


@dataclass(frozen=True, slots=True)
class Strength(KeepsRows):
    """J and J2 at every asked context size."""

    question: Question
    design: Strata
    name: str = "strength"

    def finish(self, partial: Observed) -> Estimate:
        """Interactions, their replicates, and the summary of each."""
        n = self.design.n_players
        draws = sum(len(draw) for draw, _ in partial.parts.values())
        if not draws:
            raise NotEnoughSamples(f"strength needs {minimum(self.question, n)} evaluations, has none")
        rows = SizedRows.of(partial.rows(), self.design)
        if rows.exhausted:
            return self._exactly(partial)
        if draws < FOLDS + 1:
            raise NotEnoughSamples(
                f"strength needs {minimum(self.question, n)} evaluations, has {2 * draws}; extend the budget"
            )
        fitted = cross_fit(rows, cells.ridge)
        (readout,) = readouts(replace(self.question, index="MOI"), n)
        sets = asked_sets(self.question, n, 2)
        interactions = fitted.read(readout, sets)[0]
        if np.isnan(interactions).all():
            raise NotEnoughSamples(
                f"strength: no coalition of the sizes that contexts {self.question.contexts} read was drawn; extend the budget, "
                "or ask this question in the spec so that the design draws for it"
            )
        replicates = [interactions + moved for moved in _movements(fitted, readout, sets)]
        squares = self.question.index == "J2"
        values, errors = _root_mean_square(interactions, replicates) if squares else _mean(interactions, replicates)
        return Estimate(
            self.question, ((),), values[None], errors[None], self.name, len(rows.values), float(GROUPS - 1)
        )

    def _exactly(self, partial: Observed) -> Estimate:
        moi = cells.make(replace(self.question, index="MOI"), self.design).finish(partial)
        summary = root_mean_square_strength if self.question.index == "J2" else strength_per_order
        values = summary(moi.values)[None]
        return Estimate(self.question, ((),), values, np.zeros_like(values), self.name, moi.evaluations)


def _movements(fitted: Corrected, readout: Readout, sets: Ints) -> list[Floats]:
    """What leaving out each group of pairs does to the interactions, each (pairs, m, k), scaled for exhausted strata."""
    rows = fitted.rows
    stratum = rows.pairs.stratum
    group = rotate(stratum, rows.pairs.index, GROUPS)
    table = np.zeros((GROUPS, rows.n_players // 2 + 1))
    np.add.at(table, (group, stratum), 1.0)
    drawn, filled = table.sum(axis=0), np.maximum((table > 0).sum(axis=0), 1)
    # With fewer groups than 20 in a stratum each deletion moves more; a stratum of a single group loses its residuals.
    scale = np.sqrt((1.0 - rows.share[: len(drawn)]) * GROUPS / (GROUPS - 1) * np.maximum(filled - 1, 1) / filled)
    out: list[Floats] = []
    for g in range(GROUPS):
        rest = drawn - table[g]
        others = np.divide(drawn, rest, out=np.ones_like(drawn), where=rest > 0) - 1.0
        moved = scale[stratum] * np.where(group == g, -1.0, others[stratum])
        moved[(table[g] == 0)[stratum]] = 0.0
        out.append(_read_residuals(rows, np.r_[0.0, 0.0, moved, moved][:, None] * fitted.weighted, readout, sets))
    return out


def _read_residuals(rows: SizedRows, residual: Values, readout: Readout, sets: Ints) -> Floats:
    out = np.zeros((len(sets), len(readout.weights), residual.shape[1]))
    for m, column in enumerate(row_weights(readout)):
        here = np.flatnonzero((column != 0).any(axis=0)[rows.sizes])
        columns = [d[rows.sizes[here], None] * residual[here] for d in differences(column)]
        out[:, m] = sum(subset_sums(rows.coalitions[here], columns, sets))
    return out


def _mean(interactions: Floats, replicates: Sequence[Floats]) -> tuple[Floats, Floats]:
    value = np.abs(interactions).mean(axis=0)
    means = np.array([np.abs(r).mean(axis=0) for r in replicates])
    bias = (GROUPS - 1) * (means - value).mean(axis=0)
    return value, np.sqrt(_jackknife(means) ** 2 + bias**2)


def _root_mean_square(interactions: Floats, replicates: Sequence[Floats]) -> tuple[Floats, Floats]:
    moments = np.array([(r**2).mean(axis=0) for r in replicates])
    centre = np.mean(replicates, axis=0)
    variance = (GROUPS - 1) / GROUPS * sum(((r - centre) ** 2).mean(axis=0) for r in replicates)
    square = np.maximum((interactions**2).mean(axis=0) - variance, 0.0)
    error = _jackknife(moments)
    # What the error of the square is to the root; stays finite where noise left nothing.
    return np.sqrt(square), np.divide(
        error, np.sqrt(square + error) + np.sqrt(square), out=np.zeros_like(error), where=error > 0
    ) + np.where(np.isnan(error), np.nan, 0.0)


def _jackknife(replicates: Floats) -> Floats:
    replicates = replicates - replicates[0]  # exactly zero where nothing moves
    return np.sqrt((GROUPS - 1) / GROUPS * ((replicates - replicates.mean(axis=0)) ** 2).sum(axis=0))


@dataclass(frozen=True, slots=True)
class MeanStrength:
    """Strength over a set of inputs: m contexts, k outputs."""

    contexts: tuple[int, ...]
    inputs: int
    values: Floats
    """Shape (m, k): mean over inputs of the strength, in units of v."""
    std_errors: Floats
    """Shape (m, k): of that mean, over inputs; NaN with a single input."""
    normalised: Floats
    """Shape (m, k): divided by its mean over contexts after averaging over inputs, the published form."""
    normalised_std_errors: Floats
    """Shape (m, k): jackknife over inputs."""


def mean_strength(estimates: Sequence[Estimate]) -> MeanStrength:
    """J^(m) of several inputs: averaged first, then divided by its mean over the measured orders (Deng et al., ICLR 2022, eq. 3).

    `estimates` answer the same question (J or J2, same contexts), one an input. J2 is averaged as its square. Raises SpecError otherwise.
    """
    if not estimates or estimates[0].question.index not in ("J", "J2"):
        raise SpecError("mean_strength takes answers to J or J2, one an input")
    first = estimates[0]
    for number, estimate in enumerate(estimates):
        asked = (estimate.question.index, estimate.question.contexts)
        if asked != (first.question.index, first.question.contexts) or estimate.values.shape != first.values.shape:
            raise SpecError(
                f"mean_strength: input {number} answers {asked[0]} at contexts {asked[1]}, input 0 answers {first.question.index} at "
                f"{first.question.contexts}; ask every input the same contexts and outputs"
            )
    power = 2.0 if first.question.index == "J2" else 1.0
    each = np.stack([estimate.values[0] for estimate in estimates]) ** power
    count = len(each)
    mean = each.mean(axis=0) ** (1 / power)
    without = [] if count < 2 else [(each.sum(axis=0) - one) / (count - 1) for one in each]
    curves = np.array([np.maximum(curve, 0.0) ** (1 / power) for curve in without]).reshape(-1, *mean.shape)
    shapes = normalised_strength(curves) if count > 1 else curves
    return MeanStrength(
        first.question.contexts or (),
        count,
        mean,
        _over_inputs(curves, mean),
        normalised_strength(mean),
        _over_inputs(shapes, mean),
    )


def _over_inputs(replicates: Floats, like: Floats) -> Floats:
    count = len(replicates)
    if count < 2:
        return np.full_like(like, np.nan)
    return np.sqrt((count - 1) / count * ((replicates - replicates.mean(axis=0)) ** 2).sum(axis=0))


def minimum(question: Question, n: int, stochastic: bool = False) -> int:
    """That of `cells` for the interactions."""
    return adjusted.minimum(replace(question, index="MOI"), n, stochastic)


INFO = EstimatorInfo(
    name="strength",
    indices=("J", "J2"),
    orders=(2,),
    designs=("strata",),
    minimum=minimum,
    make=Strength,
    summary="strength per order from the interactions of all pairs: plug-in mean and de-biased root mean square",
    source="Deng et al., ICLR 2022",
    law=lambda question, n: strata_law(replace(question, index="MOI"), n),
    edges=1,
    reads=lambda question, n: read_strata(replace(question, index="MOI"), n),
)
