"""`paired`: the protocol of the papers on multi-order interactions, kept as the reference to beat.

For every asked pair and context size, random contexts of that size and four evaluations each: Deng, Ren, Zhang, Zhang (ICLR 2022); Ren et
al. (NeurIPS 2021). Contexts are drawn without replacement, so the answer is exact once all are there.
"""

from __future__ import annotations

from collections.abc import Sequence

from xai_ray.coalitions import PairedContexts
from xai_ray.estimators.differences import PAIR_INDICES, MeanDifferences, asked_fields, least
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.indices import Question


def _design(questions: Sequence[Question], n: int, seed: int, stochastic: bool) -> PairedContexts:
    return PairedContexts(**asked_fields(questions, n, seed, stochastic))


INFO = EstimatorInfo(
    name="paired",
    indices=PAIR_INDICES,
    orders=(2,),
    designs=("paired",),
    minimum=lambda question, n, stochastic=False: least(_design([question], n, 0, stochastic), n),
    make=lambda question, design: MeanDifferences(question, design, "paired"),
    summary="random contexts for each pair and context size, four evaluations each",
    source="Deng et al., ICLR 2022",
    largest=1_000,
    beyond="It counts pairs one by one: use fewer players (a coarser grid, groups)",
    design=_design,
)
