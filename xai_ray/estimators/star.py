"""`star`: many pairs share a context: S, S+i and S+ij give every pair of a block a second difference at exactly order |S|.

The protocol of `paired` at 1.3 to 2 evaluations a second difference instead of four; its strength is a few context sizes, and given
pairs such as neighbouring patches. Pairs of one star share their context, so errors are correlated across pairs, never within
a pair. A budget of 2^n is spent on the complete table instead, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

from xai_ray.coalitions import Stars
from xai_ray.estimators.differences import PAIR_INDICES, MeanDifferences, asked_fields, least
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.indices import Question


def _design(questions: Sequence[Question], n: int, seed: int, stochastic: bool) -> Stars:
    return Stars(**asked_fields(questions, n, seed, stochastic))


INFO = EstimatorInfo(
    name="star",
    indices=PAIR_INDICES,
    orders=(2,),
    designs=("stars",),
    minimum=lambda question, n, stochastic=False: least(_design([question], n, 0, stochastic), n),
    make=lambda question, design: MeanDifferences(question, design, "star"),
    summary="contexts shared by the pairs of a block: S, S+i, S+ij",
    source="after Deng et al., ICLR 2022",
    largest=1_000,
    beyond="It counts pairs one by one: use fewer players (a coarser grid, groups)",
    design=_design,
)
