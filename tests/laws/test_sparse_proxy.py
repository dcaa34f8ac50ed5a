"""`sparse_proxy`: what it lists, what it says of it, and what it refuses."""

import numpy as np
import pytest

from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import Ask, Pool, Stop, plan
from xai_ray.indices import Question

PLANTED = {(0, 1): 2.0, (5, 40): -1.5, (17, 90): 1.0, (33, 34): -2.0, (60, 118): 1.5}
TRIPLE = (7, 70, 100)


def planted(coalitions, triple=0.0):
    """120 players: main effects, five pairs and a triple."""
    z = coalitions.astype(float)
    slopes = np.random.default_rng(0).normal(size=z.shape[1]) * 0.1
    pairs = sum(value * z[:, i] * z[:, j] for (i, j), value in PLANTED.items())
    return (z @ slopes + pairs + triple * z[:, TRIPLE].prod(axis=1))[:, None]


def asked(question, budget, game, n=120, seed=0):
    planned = plan([Ask(question, "sparse_proxy")], n, budget, seed)
    draw = planned.design.draw(0, planned.draws)
    return Pool(planned.design, planned.draws, game(draw.coalitions)).answer(question, "sparse_proxy")


def test_planted_pairs_are_listed_with_their_values_and_most_others_are_not():
    found = asked(Question("SII"), 4_000, planted)
    assert set(PLANTED) <= set(found.coalitions)
    assert list(found.coalitions) == sorted(found.coalitions)
    assert len(found.coalitions) < 0.2 * 120 * 119 / 2
    low, high = found.intervals()
    truth = np.array([PLANTED.get(pair, 0.0) for pair in found.coalitions])
    assert ((low[:, 0] <= truth) & (truth <= high[:, 0])).mean() > 0.9
    strongest = np.argsort(-np.abs(found.values[:, 0]))[: len(PLANTED)]
    assert {found.coalitions[at] for at in strongest} == set(PLANTED)


def test_sets_of_every_size_up_to_the_order_have_their_own_list():
    found = asked(Question("k-SII", order=3), 3_000, lambda rows: planted(rows, triple=6.0))
    sizes = [len(players) for players in found.coalitions]
    assert sizes.count(1) == 120
    assert sizes == sorted(sizes)
    assert TRIPLE in found.coalitions
    assert 1 <= sizes.count(3) < 120 * 119 * 118 / 6 / 100


def test_a_game_without_interactions_is_said_to_show_none():
    with pytest.raises(NotEnoughSamples, match=r"no set of 2 players is in the trees of 3 of 5 folds.*Extend"):
        asked(Question("SII"), 400, lambda rows: np.ones((len(rows), 1)), n=20)


def test_three_players_of_a_thousand_would_not_fit_and_the_listed_ones_do():
    question = Question("SII", order=3)
    with pytest.raises(SpecError, match="Ask for less"):
        plan([Ask(question, "proxy")], 1_000, 8_000, 0)
    assert plan([Ask(question, "sparse_proxy")], 1_000, 8_000, 0).evaluations <= 8_000


@pytest.mark.parametrize("rule", [{"top": 3}, {"ranking": 0.5}])
def test_ranks_among_all_sets_are_not_settled_by_a_list(rule):
    planned = plan([Ask(Question("SII"), "sparse_proxy")], 20, 400, 0)
    with pytest.raises(SpecError, match=f"budget.{next(iter(rule))}: sparse_proxy lists the sets that it finds"):
        Stop(**rule).check(planned.asks, 20, "budget.")
    Stop(std_error=0.1).check(planned.asks, 20)


def test_named_pairs_and_single_players_are_for_others():
    with pytest.raises(SpecError, match="finds the pairs itself"):
        asked(Question("SII", pairs=((0, 1), (0, 2))), 4_000, planted)
    with pytest.raises(SpecError, match="does not answer SV"):
        asked(Question("SV"), 400, planted)
