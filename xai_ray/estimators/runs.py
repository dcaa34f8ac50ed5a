"""`runs`: multivariate interactions of an ordered set A from contexts that all blocks of A share.

Zhang et al., "Interpreting multivariate Shapley interactions in DNNs" (AAAI 2021). phi([C] | N_C) of each block C is the mean over the
sizes of the outside context of v(S + C) - v(S), unbiased for any budget and exact once all contexts are seen; MVI is linear in them.
BMAX and BMIN come by dynamic programming over the estimated runs, exact over contiguous partitions given the contexts.

Standard errors: the spread of draws within bands of neighbouring context sizes, with finite-population factors. For BMAX and BMIN it
is carried through the dynamic programme by normal replicates of the runs' values, so that partitions that nearly tie count. Their
values are biased outward by noise (the largest of noisy sums is too large on average); the error counts that bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.coalitions.run_contexts import RunContexts, first_order
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed, Rows
from xai_ray.estimators.run_spread import Spread
from xai_ray.indices import Question
from xai_ray.indices.grouping import members
from xai_ray.indices.multivariate import best_partition
from xai_ray.types import Floats

FEWEST = 8
"""Draws with a context by lot below which there is no usable standard error."""

REPLICATES = 256
"""Normal replicates of the runs' values that a largest or smallest sum is taken of, for its standard error."""


@dataclass(frozen=True, slots=True)
class Runs(KeepsRows):
    """Standard errors with Satterthwaite's degrees of freedom."""

    question: Question
    design: RunContexts
    name: str = "runs"

    def finish(self, partial: Observed) -> Estimate:
        """Raises NotEnoughSamples below `FEWEST` draws."""
        design = self.design
        seen = sum(len(draw) for draw, _ in partial.parts.values())
        least = fewest(design)
        if seen < least or 0 not in partial.parts:
            raise NotEnoughSamples(
                f"{self.name} needs {least} draws of contexts ({design.evaluations(least)} evaluations), has {seen}"
            )
        rows = partial.rows()
        spread = Spread(design, rows.stratum)
        gains = block_gains(design, rows)
        contrast = gains[:, 0] - gains[:, self._singles()].sum(axis=1)
        errors, freedom = spread.errors(contrast)
        values = spread.weights @ contrast
        if self.question.index != "MVI":
            values, errors = self._extreme(gains, spread, errors)
        sets = (tuple(sorted(design.members)),)
        return Estimate(self.question, sets, values[None], errors[None], self.name, len(rows.values), freedom)

    def _singles(self) -> list[int]:
        """The blocks that are single players."""
        return [at for at, (first, last) in enumerate(self.design.runs) if first == last]

    def _extreme(self, gains: Floats, spread: Spread, contrast: Floats) -> tuple[Floats, Floats]:
        """Value and standard error, each of shape (k,); `contrast` is the standard error of MVI."""
        phi = np.einsum("d,dbk->bk", spread.weights, gains)
        blocks, outputs = phi.shape
        values = self._best(phi)
        words = random_words(self.design.seed, Stream.RUN_CONTEXTS, 1, np.arange(REPLICATES), blocks)
        normal = ndtri((words.astype(np.float64) + 0.5) / 2.0**64)
        noise = np.einsum("kbc,rc->bkr", spread.root(gains), normal)
        drawn = self._best((phi[:, :, None] + noise).reshape(blocks, -1)).reshape(outputs, REPLICATES)
        # The contrast counts as one replicate more: where none moved, what was not seen is small but not nothing.
        squares = ((drawn - values[:, None]) ** 2).sum(axis=1) + contrast**2
        return values, np.sqrt(squares / (REPLICATES + 1))

    def _best(self, phi: Floats) -> Floats:
        return best_partition(phi, self.design.runs, self.design.members, self.question.index == "BMAX").values


def block_gains(design: RunContexts, rows: Rows) -> Floats:
    """Mean over the two contexts of each draw of v(S + C) - v(S), shape (d, blocks, k)."""
    k, first = rows.values.shape[1], design.first_rows
    ends = rows.values[:first][first_order(design)].reshape(1, -1, 1 + len(design.runs), k)
    rest = rows.values[first:].reshape(-1, 2, 1 + len(design.runs), k)
    return np.concatenate([(part[:, :, 1:] - part[:, :, :1]).mean(axis=1) for part in (ends, rest)])


def fewest(design: RunContexts) -> int:
    """Draws below which nothing is answered."""
    return FEWEST + 1 if design.capacity is None else min(FEWEST + 1, design.capacity)


def make(question: Question, design: RunContexts) -> Runs:
    """Raises NotEnoughSamples when the contexts are those of another set, or lack runs that the question needs."""
    asked = _ordered(question)
    if set(asked) != set(design.members):
        raise NotEnoughSamples(
            f"runs: this job's contexts are outside players {design.members}, the question is about {asked}; "
            "run a job that asks about this set"
        )
    if question.index != "MVI" and len(asked) > 2 and not (design.every_run and asked == design.members):
        lack = f"in the order {design.members}" if design.every_run else "for single players and the whole set only"
        raise NotEnoughSamples(f"runs: this job evaluated runs {lack}; run a job that asks {question.index} of {asked}")
    return Runs(question, design)


def _ordered(question: Question) -> tuple[int, ...]:
    return members((question.groups or ((),))[0])


def _contexts(questions: Sequence[Question], n: int, seed: int, stochastic: bool) -> RunContexts:
    extremes = list(dict.fromkeys(_ordered(q) for q in questions if q.index != "MVI"))
    asked = extremes + [_ordered(q) for q in questions]
    if len({frozenset(one) for one in asked}) > 1:
        raise SpecError(
            "runs draws contexts for one set of players; ask about the other sets in jobs of their own: "
            + ", ".join(map(str, dict.fromkeys(asked)))
        )
    if len(extremes) > 1:
        raise SpecError(
            f"runs cuts a set into runs in one order of its players, got {extremes[0]} and {extremes[1]}; "
            "ask about the other order in a job of its own"
        )
    return RunContexts(n, seed, asked[0], bool(extremes), stochastic)


def _minimum(question: Question, n: int, stochastic: bool = False) -> int:
    design = _contexts([question], n, 0, stochastic)
    return design.evaluations(fewest(design))


INFO = EstimatorInfo(
    name="runs",
    indices=("MVI", "BMAX", "BMIN"),
    orders=None,
    designs=("run_contexts",),
    minimum=_minimum,
    make=make,
    summary="contexts outside a set, shared by all its runs; best partitions by dynamic programming",
    source="Zhang et al., AAAI 2021",
    design=_contexts,
)
