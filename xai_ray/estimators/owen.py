"""`owen`: the Owen value as the mean marginal contribution over orders that keep groups together, and their reverses.

Owen, "Values of games with a priori unions" (1977); groups of groups: Winter (1989). Unbiased for any budget; standard errors by
delete-a-group jackknife, as `permutation`.
"""

from __future__ import annotations

from collections.abc import Sequence

from xai_ray.coalitions.owen_orders import OwenOrders
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.permutation import Permutation, minimum
from xai_ray.indices import Question
from xai_ray.indices.grouping import levels


def make(question: Question, design: OwenOrders) -> Permutation:
    """Raises NotEnoughSamples when the orders keep other groups together."""
    if levels(question.groups or (), design.n_players) != design.levels:
        raise NotEnoughSamples(
            f"owen: this job's orders keep other groups together than {question.groups}; run a job that asks for these groups"
        )
    return Permutation(question, design, "owen")


def _orders(questions: Sequence[Question], n: int, seed: int, stochastic: bool) -> OwenOrders:
    groupings = {levels(question.groups or (), n) for question in questions}
    if len(groupings) > 1:
        raise SpecError(
            "owen draws orders for one grouping of the players; ask for the other groupings in jobs of their own"
        )
    return OwenOrders(n, seed, stochastic, groupings.pop())


INFO = EstimatorInfo(
    name="owen",
    indices=("Owen",),
    orders=(1,),
    designs=("owen_orders",),
    minimum=lambda question, n, stochastic=False: minimum(n, stochastic),
    make=make,
    summary="mean marginal contribution over antithetic pairs of orders that keep groups together",
    source="Owen 1977; Winter 1989",
    design=_orders,
)
