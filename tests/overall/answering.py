"""One answer from one pool, without a job around it: what tests of many seeds need."""

from xai_ray.estimators import Ask, Estimate, Pool, plan
from xai_ray.games import Game
from xai_ray.indices import Question


def shapley_estimate(game: Game, estimator: str, budget: int, seed: int) -> Estimate:
    """Shapley values of a game by an estimator."""
    planned = plan([Ask(Question("SV"), estimator)], game.n_players, budget, seed, game.stochastic)
    draw = planned.design.draw(0, planned.draws)
    pool = Pool(planned.design, planned.draws, game.values(draw.coalitions, draw.context))
    return pool.answer(Question("SV"), estimator)
