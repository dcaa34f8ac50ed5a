"""`cube`: all 2^b unions of a random base with players of a random block; every pair of the block at b-1 consecutive orders.

For all pairs at many context sizes: 3.75 second differences an evaluation (b = 6) where `paired` has a quarter. Differences of one cube are
correlated, so their mean over a (cube, pair, context size) is the unit of the standard error. A budget of 2^n is spent on the complete
table instead, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

from xai_ray.coalitions import Cubes
from xai_ray.errors import SpecError
from xai_ray.estimators.differences import PAIR_INDICES, MeanDifferences, asked_fields, least
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.indices import Question


def _design(questions: Sequence[Question], n: int, seed: int, stochastic: bool) -> Cubes:
    fields = asked_fields(questions, n, seed, stochastic)
    if fields["pairs"] is not None:
        raise SpecError(
            f"'cube' takes random blocks of players and answers for all pairs, {len(fields['pairs'])} pairs are given; "
            "use estimator 'star' (or 'paired', 'cells') for given pairs, or leave pairs out"
        )
    return Cubes(**fields)


INFO = EstimatorInfo(
    name="cube",
    indices=PAIR_INDICES,
    orders=(2,),
    designs=("cubes",),
    minimum=lambda question, n, stochastic=False: least(_design([question], n, 0, stochastic), n),
    make=lambda question, design: MeanDifferences(question, design, "cube"),
    summary="all unions of a random base with a random block of players",
    source="after Deng et al., ICLR 2022",
    largest=1_000,
    beyond="It counts pairs one by one: use fewer players (a coarser grid, groups)",
    design=_design,
)
