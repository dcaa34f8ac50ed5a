"""Regressions over pairs: intervals that cover, oracles written out, budgets that do not determine the answer."""

import numpy as np
import pytest

from tests.games import smooth_table
from tests.laws.sampled import coverage, estimate
from xai_ray.coalitions import Permutations, Strata
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import BudgetTooSmall, NotEnoughSamples, SpecError
from xai_ray.estimators import Ask, Pool, plan
from xai_ray.estimators.large_leverage import LargeLeverage
from xai_ray.estimators.leverage import Leverage
from xai_ray.estimators.table import build
from xai_ray.indices import Question, exact, resolve


@pytest.mark.parametrize(
    ("question", "name", "budget", "seeds"),
    [
        (Question("SV"), "kernel", 50, 200),
        (Question("SV"), "kernel", 200, 200),
        (Question("FSII", order=1), "faith", 60, 200),
        (Question("FSII"), "faith", 150, 200),
        (Question("FSII"), "faith", 400, 200),
        (Question("FBII"), "faith", 200, 200),
        (Question("FSII", order=3), "faith", 500, 200),
        (Question("FBII", order=3), "faith", 500, 200),
    ],
)
def test_intervals_cover(question, name, budget, seeds):
    covered, _ = coverage(smooth_table(10, seed=4), question, name, budget, seeds)
    assert 0.92 <= covered <= 0.98, covered


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("tag", ["FSII", "FBII"])
@pytest.mark.parametrize("n", [3, 6, 7])
def test_faithful_indices_on_all_coalitions_are_their_definition(tag, order, n):
    """By the regression itself, on strata that ran out."""
    table = smooth_table(n, outputs=2, seed=n)
    design, question = Strata(n, 1, uniform_law(n)), resolve(Question(tag, order=order), n)
    draw = design.draw(0, design.capacity)
    estimator = build("faith", question, design)
    found = estimator.finish(estimator.observe(draw, table[pack(draw.coalitions)]))
    truth = exact(table, question)
    assert found.coalitions == truth.coalitions
    np.testing.assert_allclose(found.values, truth.values, atol=1e-9)
    assert (found.std_errors == 0).all()


def test_faith_shap_is_the_constrained_regression_written_out():
    """Oracle: every row by itself in the basis of unanimity games, the constraints as Lagrange multipliers."""
    n, table, question = 7, smooth_table(7, seed=8), Question("FSII")
    planned = plan([Ask(question, "faith")], n, 90, 3)
    draw = planned.design.draw(0, planned.draws)
    found = Pool(planned.design, planned.draws, table[pack(draw.coalitions)]).answer(question, "faith")
    rows, values = draw.coalitions[2:], table[pack(draw.coalitions[2:])][:, 0]
    sizes = rows.sum(axis=1)
    weight = 1.0 / (sizes * (n - sizes) * np.bincount(sizes, minlength=n + 1)[sizes])
    sets = [(), *found.coalitions]
    columns = np.array([[float(row[list(one)].all()) for one in sets] for row in rows])
    held = np.array([[float(one == ()) for one in sets], np.ones(len(sets))])
    gram = columns.T @ (weight[:, None] * columns)
    system = np.block([[gram, held.T], [held, np.zeros((2, 2))]])
    right = np.concatenate([columns.T @ (weight * values), table[[0, -1], 0]])
    expected = np.linalg.solve(system, right)[1 : len(sets)]
    np.testing.assert_allclose(found.values[:, 0], expected, atol=1e-9)
    assert found.values.sum() == pytest.approx(table[-1, 0] - table[0, 0], abs=1e-9)


def test_faith_answers_given_pairs_only():
    table = smooth_table(8, seed=1)
    whole = estimate(table, Question("FBII"), "faith", 150, 0)
    some = estimate(table, Question("FBII", pairs=((1, 4), (0, 7))), "faith", 150, 0)
    assert some.coalitions[8:] == ((0, 7), (1, 4))
    at = [whole.coalitions.index(one) for one in some.coalitions]
    np.testing.assert_allclose(some.values, whole.values[at], atol=1e-12)
    np.testing.assert_allclose(some.std_errors, whole.std_errors[at], atol=1e-12)


def test_faith_refuses_what_does_not_determine_the_interactions():
    with pytest.raises(BudgetTooSmall, match=r"'faith' needs at least 138 for FSII"):
        plan([Ask(Question("FSII"), "faith")], 10, 90, 0)
    with pytest.raises(SpecError, match=r"161,800 coefficients .* Ask for order 2 or less"):
        plan([Ask(Question("FBII", order=3), "faith")], 100, 10**6, 0)
    table = smooth_table(10)
    design = Strata(10, 0, uniform_law(10))
    pool = Pool(design, 40, table[pack(design.draw(0, 40).coalitions)])
    with pytest.raises(NotEnoughSamples, match=r"80 evaluations drawn do not determine the 46 coefficients .* extend"):
        pool.answer(Question("FSII"), "faith")


@pytest.mark.parametrize(("tag", "budget"), [("SII", 140), ("SII", 300), ("k-SII", 200)])
def test_intervals_of_kernel_iq_cover(tag, budget):
    covered, _ = coverage(smooth_table(10, seed=4), Question(tag), "kernel_iq", budget, 200)
    assert 0.92 <= covered <= 0.98, covered


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("tag", ["SII", "k-SII"])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 8])
def test_kernel_iq_on_all_coalitions_is_exact(tag, order, n):
    table = smooth_table(n, outputs=2, seed=n)
    design, question = Strata(n, 1, uniform_law(n)), resolve(Question(tag, order=order), n)
    draw = design.draw(0, design.capacity)
    estimator = build("kernel_iq", question, design)
    found = estimator.finish(estimator.observe(draw, table[pack(draw.coalitions)]))
    truth = exact(table, question)
    assert found.coalitions == truth.coalitions
    np.testing.assert_allclose(found.values, truth.values, atol=1e-9)
    assert (found.std_errors == 0).all()


def test_kernel_iq_meets_the_singles_exactly():
    """sum_j I(i,j) is known from the singles and their complements, at any budget."""
    n, table = 9, smooth_table(9, seed=2)
    truth = exact(table, Question("SII")).values[:, 0]
    found = estimate(table, Question("SII"), "kernel_iq", 130, 4)
    for player in range(n):
        with_player = [player in pair for pair in found.coalitions]
        assert found.values[with_player, 0].sum() == pytest.approx(truth[with_player].sum(), abs=1e-9)
    some = estimate(table, Question("SII", pairs=((2, 5), (0, 8))), "kernel_iq", 130, 4)
    at = [found.coalitions.index(pair) for pair in some.coalitions]
    np.testing.assert_allclose(some.values, found.values[at], atol=1e-12)


def test_kernel_iq_says_what_it_needs():
    with pytest.raises(BudgetTooSmall, match=r"'kernel_iq' needs at least 128 for SII"):
        plan([Ask(Question("SII"), "kernel_iq")], 10, 100, 0)
    with pytest.raises(SpecError, match="cells"):
        plan([Ask(Question("SII"), "kernel_iq")], 10, 500, 0, stochastic=True)
    table = smooth_table(10)
    design = Strata(10, 0, uniform_law(10))
    pool = Pool(design, 20, table[pack(design.draw(0, 20).coalitions)])
    with pytest.raises(NotEnoughSamples, match=r"every single player, \d of 10 were not drawn"):
        pool.answer(Question("SII"), "kernel_iq")


def _sum_of_products(n, terms, seed):
    """A sum of unanimity games of one to four players, as a function on rows, with its Shapley values."""
    rng = np.random.default_rng(seed)
    shapley, games = np.zeros(n), []
    for size in (1, 2, 3, 4):
        sets, scale = rng.integers(0, n, size=(terms, size)), rng.normal(size=terms)
        sets = np.array([rng.choice(n, size, replace=False) for _ in sets])
        np.add.at(shapley, sets.ravel(), np.repeat(scale / size, size))
        games.append((sets, scale))
    return lambda rows: sum(rows[:, sets].all(axis=2) @ scale for sets, scale in games)[:, None], shapley


def _answers_of(estimator, design, draws, value):
    partial = estimator.empty()
    for start in range(0, draws, 200):
        draw = design.draw(start, min(start + 200, draws))
        partial = estimator.merge(partial, estimator.observe(draw, value(draw.coalitions)))
    return estimator.finish(partial)


def test_leverage_without_a_matrix_is_leverage():
    n = 120
    value, shapley = _sum_of_products(n, 200, 0)
    both = lambda rows: np.concatenate([value(rows), np.cos(value(rows))], axis=1)  # noqa: E731
    design, question = Strata(n, 3, uniform_law(n)), resolve(Question("SV"), n)
    dense = _answers_of(Leverage(question, design), design, 400, both)
    packed = _answers_of(LargeLeverage(question, design), design, 400, both)
    np.testing.assert_allclose(packed.values, dense.values, atol=1e-9)
    ratio = packed.std_errors / dense.std_errors
    assert 0.9 < ratio.mean() < 1.1
    assert 0.08 < ratio.std() < 0.2  # 32 random signs know a standard error to an eighth
    assert packed.degrees_of_freedom == 32
    np.testing.assert_allclose(packed.values[:, 0].sum(), shapley.sum(), atol=1e-9)


def test_intervals_of_leverage_without_a_matrix_cover():
    n = 80
    value, shapley = _sum_of_products(n, 150, 1)
    inside = []
    for seed in range(40):
        design = Strata(n, seed, uniform_law(n))
        found = _answers_of(LargeLeverage(resolve(Question("SV"), n), design), design, 400, value)
        low, high = found.intervals()
        inside.append((low[:, 0] <= shapley) & (shapley <= high[:, 0]))
    assert 0.92 <= np.mean(inside) <= 0.98, np.mean(inside)


def test_leverage_without_a_matrix_is_exact_on_all_coalitions_and_refuses_too_few():
    table = smooth_table(7, seed=1)
    design, question = Strata(7, 0, uniform_law(7)), resolve(Question("SV"), 7)
    lookup = lambda rows: table[pack(rows)]  # noqa: E731
    found = _answers_of(LargeLeverage(question, design), design, design.capacity, lookup)
    np.testing.assert_allclose(found.values, exact(table, question).values, atol=1e-9)
    assert (found.std_errors == 0).all()
    with pytest.raises(NotEnoughSamples, match="do not determine 7 players; extend the budget to 35"):
        _answers_of(LargeLeverage(question, design), design, 4, lookup)


def test_leverage_goes_without_a_matrix_above_two_thousand_players():
    question = resolve(Question("SV"), 2_001)
    assert isinstance(build("leverage", question, Strata(2_001, 0, uniform_law(2_001))), LargeLeverage)
    assert isinstance(build("leverage", resolve(Question("SV"), 50), Strata(50, 0, uniform_law(50))), Leverage)


def test_permutations_of_many_players_are_folded_a_few_at_a_time():
    n = 1_500
    value, shapley = _sum_of_products(n, n, 2)
    design = Permutations(n, 0)
    draws = 1 + 6
    values = np.concatenate([value(design.draw(j, j + 1).coalitions) for j in range(draws)])
    found = Pool(design, draws, values).answer(Question("SV"), "permutation")
    low, high = found.intervals()
    assert 0.92 <= np.mean((low[:, 0] <= shapley) & (shapley <= high[:, 0])) <= 0.98
    whole = build("permutation", resolve(Question("SV"), n), design)
    at_once = whole.finish(whole.observe(design.draw(0, draws), values))
    np.testing.assert_allclose(found.values, at_once.values, atol=1e-10)
