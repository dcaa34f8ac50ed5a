"""Strength per order over pairs and over inputs; Owen values of flat and nested groupings."""

from itertools import permutations

import numpy as np
import pytest

from tests.games import smooth_table
from tests.laws.sampled import coverage, drawn, estimate, whole_correction
from xai_ray.coalitions import from_description
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import Ask, plan
from xai_ray.estimators.owen import make
from xai_ray.estimators.strength import mean_strength
from xai_ray.indices import Question, exact, normalised_strength, resolve


def test_root_mean_square_strength_covers_and_is_not_biased_by_noise():
    table, question = smooth_table(9, seed=4), Question("J2", contexts=(0, 2, 4, 7))
    covered, _ = coverage(table, question, "strength", 250, 100)
    assert 0.92 <= covered <= 0.98, covered
    truth = exact(table, question).values[0, 1:3, 0]
    squares = np.mean([estimate(table, question, "strength", 150, s).values[0, 1:3, 0] ** 2 for s in range(60)], axis=0)
    moi = Question("MOI", contexts=(2, 4))
    plain = np.mean(
        [(whole_correction(drawn(table, moi, "cells", 150, s), moi).values ** 2).mean(axis=0)[:, 0] for s in range(60)],
        axis=0,
    )
    np.testing.assert_array_less(np.abs(squares - truth**2), 0.35 * np.abs(plain - truth**2))


def test_the_error_of_the_plug_in_counts_its_bias():
    table, question = smooth_table(9, seed=4), Question("J", contexts=(2, 4))
    truth = exact(table, question).values
    found = [estimate(table, question, "strength", 150, seed) for seed in range(60)]
    assert np.mean([e.values - truth for e in found]) > 0
    inside = [(low <= truth) & (truth <= high) for low, high in (e.intervals() for e in found)]
    assert np.mean(inside) >= 0.92


def test_strength_over_inputs_is_normalised_after_averaging():
    answers = [estimate(smooth_table(7, seed=s), Question("J"), "strength", 1 << 7, 0) for s in range(5)]
    over = mean_strength(answers)
    each = np.array([answer.values[0] for answer in answers])
    np.testing.assert_allclose(over.values, each.mean(axis=0))
    np.testing.assert_allclose(over.std_errors, each.std(axis=0, ddof=1) / np.sqrt(5), atol=1e-12)
    np.testing.assert_allclose(over.normalised, normalised_strength(each.mean(axis=0)))
    np.testing.assert_allclose(over.normalised.mean(axis=0), 1.0)
    assert over.contexts == tuple(range(6))
    assert over.inputs == 5
    assert np.isnan(mean_strength(answers[:1]).std_errors).all()
    squared = [estimate(smooth_table(7, seed=s), Question("J2"), "strength", 1 << 7, 0) for s in range(5)]
    np.testing.assert_allclose(
        mean_strength(squared).values, np.sqrt(np.mean([a.values[0] ** 2 for a in squared], axis=0)), atol=1e-12
    )


def test_strength_over_inputs_wants_one_question():
    one = estimate(smooth_table(6), Question("J", contexts=(0, 1)), "strength", 1 << 6, 0)
    other = estimate(smooth_table(6), Question("J", contexts=(0, 2)), "strength", 1 << 6, 0)
    with pytest.raises(SpecError, match="input 1 answers J at contexts"):
        mean_strength([one, other])
    with pytest.raises(SpecError, match="answers to J or J2"):
        mean_strength([])


NESTED = (((0, 3), (1,), 5), (2, (4, 6)))
FLAT = ((0, 3), (1, 5), (2, 4, 6))


def _together(order, group):
    """Whether the players of a group, and of the groups in it, follow one another."""
    players = [p for part in group for p in (_players(part) if isinstance(part, tuple) else [part])]
    at = sorted(order.index(player) for player in players)
    return at == list(range(at[0], at[0] + len(at))) and all(_together(order, g) for g in group if isinstance(g, tuple))


def _players(group):
    return [p for part in group for p in (_players(part) if isinstance(part, tuple) else [part])]


@pytest.mark.parametrize("groups", [FLAT, NESTED, (tuple(range(7)),), tuple((i,) for i in range(7))])
def test_owen_values_are_means_over_the_orders_that_keep_groups_together(groups):
    n, table = 7, smooth_table(7, outputs=2, seed=3)
    allowed = [o for o in permutations(range(n)) if all(_together(o, group) for group in groups)]
    truth = np.zeros((n, 2))
    for order in allowed:
        rows = np.cumsum([0, *(1 << player for player in order)])
        truth[list(order)] += np.diff(table[rows], axis=0) / len(allowed)
    np.testing.assert_allclose(exact(table, Question("Owen", groups=groups)).values, truth, atol=1e-10)


@pytest.mark.parametrize("groups", [FLAT, NESTED])
def test_sampled_owen_values_are_unbiased_and_cover(groups):
    question = Question("Owen", groups=groups)
    covered, deviation = coverage(smooth_table(7, seed=4), question, "owen", 100, 250)
    assert 0.92 <= covered <= 0.98, covered
    assert deviation.max() < 4.0, deviation
    planned = plan([Ask(question, "owen")], 7, 100, 3)
    orders = planned.design.orders(np.arange(2_000))
    assert all(_together(order, group) for order in orders.tolist() for group in groups)
    again = from_description(planned.design.describe())
    assert again == planned.design
    assert estimate(smooth_table(7), question, "owen", 100, 0).values.sum() == pytest.approx(
        smooth_table(7)[-1, 0] - smooth_table(7)[0, 0], abs=1e-9
    )


def test_owen_refuses_groupings_that_do_not_fit():
    for groups, says in [
        (((0, 1), (1, 2)), "player 1 is in groups more than once"),
        (((0, (1, 2)), (2,)), "player 2 is in groups more than once"),
        (((0, 1),), "groups miss players"),
        (((0, 1, ()), (2,)), "a group is empty"),
        (((0, 1), 2), "got player 2 by itself"),
        (((0, 1), (2, (7,))), "name player 7"),
    ]:
        with pytest.raises(SpecError, match=says):
            resolve(Question("Owen", groups=groups), 3)
    with pytest.raises(SpecError, match="one set of at least two players"):
        resolve(Question("MVI", groups=((0, (1, 2)),)), 3)
    with pytest.raises(SpecError, match="one grouping"):
        plan([Ask(Question("Owen", groups=g), "owen") for g in (FLAT, NESTED)], 7, 110, 0)
    design = plan([Ask(Question("Owen", groups=FLAT), "owen")], 7, 100, 0).design
    with pytest.raises(NotEnoughSamples, match="keep other groups together"):
        make(resolve(Question("Owen", groups=NESTED), 7), design)
