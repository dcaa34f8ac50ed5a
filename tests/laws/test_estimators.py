"""Laws of estimators: partials merge, estimates are unbiased, intervals cover, errors say what would work."""

import numpy as np
import pytest

import xai_ray as xr
from tests.games import smooth_table
from tests.laws.sampled import whole_correction
from xai_ray.coalitions import Permutations, Strata
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import BudgetTooSmall, NotEnoughSamples, SpecError, UnknownName
from xai_ray.estimators import Ask, Pool, plan
from xai_ray.estimators.table import build
from xai_ray.games import LossGame, Marginal
from xai_ray.indices import Question, exact, resolve

SAMPLED = [
    ("SV", "leverage"),
    ("SV", "permutation"),
    ("SII", "cells"),
    ("STII", "cells"),
    ("BII", "cells"),
    ("CHII", "cells"),
    ("MOI", "cells"),
]


def sample(table, tag, name, budget, seed, **parameters):
    n = int(np.log2(len(table)))
    planned = plan([Ask(Question(tag, **parameters), name)], n, budget, seed)
    draw = planned.design.draw(0, planned.draws)
    return planned, Pool(planned.design, planned.draws, table[pack(draw.coalitions)])


def estimate(table, tag, name, budget, seed, **parameters):
    planned, pool = sample(table, tag, name, budget, seed, **parameters)
    return pool.answer(planned.asks[0].question, name)


@pytest.mark.parametrize(("tag", "name"), SAMPLED)
def test_any_cut_and_order_of_partials_gives_one_answer(tag, name):
    table = smooth_table(8, outputs=2, seed=2)
    planned, pool = sample(table, tag, name, 200, 0)
    estimator = build(name, planned.asks[0].question, planned.design)

    def part(start, stop):
        draw = planned.design.draw(start, stop)
        return estimator.observe(draw, table[pack(draw.coalitions)])

    whole = estimator.finish(part(0, planned.draws))
    a, b, c = part(0, 3), part(3, 5), part(5, planned.draws)
    left = estimator.merge(estimator.merge(a, b), c)
    right = estimator.merge(estimator.empty(), estimator.merge(c, estimator.merge(b, a)))
    for merged in (left, right):
        again = estimator.finish(merged)
        np.testing.assert_allclose(again.values, whole.values, atol=1e-12)
        np.testing.assert_allclose(again.std_errors, whole.std_errors, atol=1e-12)
    np.testing.assert_allclose(pool.answer(planned.asks[0].question, name).values, whole.values, atol=1e-12)


@pytest.mark.parametrize(
    ("tag", "name", "budget", "seeds"),
    [
        ("SV", "leverage", 50, 250),
        ("SV", "leverage", 120, 250),
        ("SV", "leverage", 300, 250),
        ("SV", "permutation", 100, 250),
        ("SV", "permutation", 250, 250),
        ("SII", "cells", 200, 200),
        ("STII", "cells", 200, 200),
        ("BII", "cells", 200, 200),
        ("CHII", "cells", 200, 200),
        ("MOI", "cells", 300, 200),
    ],
)
def test_unbiased_and_intervals_cover(tag, name, budget, seeds):
    """Law 5: nominal 95 % intervals cover 92-98 % over seeds; the mean over seeds is within four standard errors of the truth."""
    table = smooth_table(10, seed=4)
    truth = exact(table, resolve(Question(tag), 10)).values
    found = [estimate(table, tag, name, budget, seed) for seed in range(seeds)]
    inside = np.array([(low - 1e-9 <= truth) & (truth <= high + 1e-9) for low, high in (e.intervals() for e in found)])
    sampled = np.array([e.std_errors for e in found]).max(axis=0) > 0
    assert 0.92 <= inside[:, sampled].mean() <= 0.98, inside[:, sampled].mean()
    if name == "cells":  # its own answer is shrunk, the whole correction is what has no bias
        found = [whole_correction(sample(table, tag, name, budget, seed)[1], Question(tag)) for seed in range(seeds)]
    values = np.array([e.values for e in found])
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(seeds)
    deviation = np.abs(mean - truth)[sampled] / spread[sampled]
    assert np.quantile(deviation, 0.95) < 3.0, deviation
    if (~sampled).any():
        np.testing.assert_allclose(mean[~sampled], truth[~sampled], atol=1e-9)


def test_efficiency_of_leverage_and_permutation():
    table = smooth_table(9, seed=1)
    for name in ("leverage", "permutation"):
        assert estimate(table, "SV", name, 100, 3).values.sum() == pytest.approx(table[-1, 0] - table[0, 0], abs=1e-9)


def test_a_dummy_player_gets_nothing_from_permutations():
    table = np.repeat(smooth_table(6, seed=1), 2, axis=0)  # player 0 changes nothing
    found = estimate(table, "SV", "permutation", 100, 0)
    assert found.values[0, 0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("tag", "name"), SAMPLED)
def test_a_constant_shift_changes_nothing(tag, name):
    table = smooth_table(8, seed=6)
    a, b = estimate(table, tag, name, 150, 0), estimate(table + 1000.0, tag, name, 150, 0)
    np.testing.assert_allclose(a.values, b.values, atol=1e-6)


def test_additive_games_have_no_interactions():
    from xai_ray.coalitions.exhaustive import unpack

    table = (unpack(np.arange(1 << 10), 10) @ np.arange(1.0, 11.0))[:, None]
    found = estimate(table, "SII", "cells", 150, 0)
    assert np.abs(found.values).max() < 0.02
    assert (np.abs(found.values) <= 5 * found.std_errors + 1e-9).all()


def test_leverage_equals_kernel_regression_written_out():
    """Oracle: the paired weighted least squares with both rows of every pair and the efficiency constraint by elimination."""
    n, table = 7, smooth_table(7, seed=8)
    planned, pool = sample(table, "SV", "leverage", 60, 2)
    draw = planned.design.draw(0, planned.draws)
    rows, values = draw.coalitions[2:].astype(float), table[pack(draw.coalitions[2:])][:, 0]
    sizes = rows.sum(axis=1).astype(int)
    drawn = np.bincount(sizes, minlength=n + 1)
    weight = 1.0 / (sizes * (n - sizes) * drawn[sizes])
    total = table[-1, 0] - table[0, 0]
    target = values - table[0, 0] - rows[:, -1] * total
    columns = rows[:, :-1] - rows[:, -1:]
    head = np.linalg.lstsq(columns * np.sqrt(weight)[:, None], target * np.sqrt(weight), rcond=None)[0]
    expected = np.append(head, total - head.sum())
    np.testing.assert_allclose(pool.answer(Question("SV"), "leverage").values[:, 0], expected, atol=1e-10)


@pytest.mark.parametrize(("name", "budget"), [("leverage", 300), ("permutation", 400), ("levelled", 400)])
def test_stochastic_games_keep_their_noise_in_the_standard_errors(name, budget):
    """v(S) plus noise of the context that grows with |S|: intervals cover the noiseless answer."""
    n, table = 10, smooth_table(10, seed=3)
    truth = exact(table, resolve(Question("SV"), n)).values
    inside, quiet, noisy = [], [], []
    for seed in range(200):
        law = uniform_law(n)
        design = Strata(n, seed, law, stochastic=True) if name == "leverage" else Permutations(n, seed, stochastic=True)
        draws = design.affordable(budget)
        draw = design.draw(0, draws)
        clean = table[pack(draw.coalitions)]
        noise = np.random.default_rng(seed).normal(size=(10_000, 2))[draw.context] * (draw.context >= 0)[:, None]
        # The empty coalition has its full expectation; otherwise the noise is that of two players' background values.
        added = (noise * ~draw.coalitions[:, :2]).sum(axis=1, keepdims=True)
        found = Pool(design, draws, clean + added).answer(Question("SV"), name)
        low, high = found.intervals()
        inside.append((low <= truth) & (truth <= high))
        noisy.append(found.std_errors.max())
        quiet.append(Pool(design, draws, clean).answer(Question("SV"), name).std_errors.max())
    assert 0.92 <= np.mean(inside) <= 0.98, np.mean(inside)
    assert np.mean(noisy) > 1.5 * np.mean(quiet)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_cells_of_a_stochastic_game_are_unbiased(noise):
    """A small stratum is drawn many times over; folds must not be tied to coalitions."""
    n, table = 6, smooth_table(6, seed=5)
    truth = exact(table, resolve(Question("SII"), n)).values
    found, inside = [], []
    for seed in range(200):
        planned = plan([Ask(Question("SII"), "cells")], n, 600, seed, stochastic=True)
        draw = planned.design.draw(0, planned.draws)
        own = np.random.default_rng(seed).normal(size=(planned.draws, 1))[draw.context] * (draw.context >= 0)[:, None]
        values = table[pack(draw.coalitions)] + noise * own * ~draw.coalitions[:, :1]
        answer = whole_correction(Pool(planned.design, planned.draws, values), Question("SII"))
        low, high = answer.intervals()
        found.append(answer.values)
        inside.append((low <= truth) & (truth <= high))
    deviation = (np.mean(found, axis=0) - truth) / (np.std(found, axis=0, ddof=1) / np.sqrt(200))
    assert np.abs(deviation).max() < 4.5, deviation
    assert 0.92 <= np.mean(inside) <= 0.98


def test_one_player_and_two_players():
    single = np.array([[1.0], [4.0]])
    for name in ("leverage", "permutation"):
        design = Strata(1, 0, ()) if name == "leverage" else Permutations(1, 0)
        found = build(name, resolve(Question("SV"), 1), design)
        draw = design.draw(0, 1)
        answer = found.finish(found.observe(draw, single[pack(draw.coalitions)]))
        assert answer.values.tolist() == [[3.0]]
        assert answer.std_errors.tolist() == [[0.0]]


@pytest.mark.parametrize("name", ["auto", "leverage", "kernel", "permutation", "levelled", "msr", "stacked"])
def test_one_player_of_a_stochastic_game(name):
    """The ends are expectations, and designs that draw contexts have the noise in their standard errors."""
    X = np.random.default_rng(0).normal(size=(9, 1))
    settings = {"removal": Marginal(X), "loss": "squared_error"}
    empty, grand = LossGame(lambda x: x[:, 0], X, 2 * X[:, 0], **settings).values(
        np.array([[False], [True]]), np.zeros(2, dtype=np.int64)
    )
    found = xr.explain(LossGame(lambda x: x[:, 0], X, 2 * X[:, 0], rows=2, **settings), budget=400, estimator=name)
    drawn = name in ("permutation", "levelled")
    assert (found.std_errors > 0).all() == drawn
    assert abs(found.values[0] - (grand - empty)[0]) <= 4 * found.std_errors[0] + 1e-9
    assert found.evaluations == (400 if drawn else 2)


def test_strata_of_one_player_have_one_draw():
    design = Strata(1, 0, (), stochastic=True)
    assert (design.capacity, design.affordable(100)) == (1, 1)
    draw = design.draw(0, 1)
    assert draw.coalitions.tolist() == [[False], [True]]
    assert draw.context.tolist() == [-1, -1]


WRONG = [
    ({"index": "SVV"}, "auto", 100, UnknownName, "SV"),
    ({"index": "SV"}, "leverag", 100, UnknownName, "leverage"),
    ({"index": "SII"}, "leverage", 100, SpecError, "cells"),
    ({"index": "AND"}, "auto", 100, SpecError, "exact"),
    ({"index": "SII", "order": 4}, "cells", 100, SpecError, "exact"),
    ({"index": "SV"}, "exact", 100, BudgetTooSmall, "1,024"),
    ({"index": "SV"}, "leverage", 10, BudgetTooSmall, "50"),
    ({"index": "SV"}, "permutation", 30, BudgetTooSmall, "56"),
    ({"index": "SV"}, "auto", 1, BudgetTooSmall, "at least 2"),
]


@pytest.mark.parametrize(("question", "name", "budget", "kind", "says"), WRONG)
def test_what_does_not_go_together_is_refused_with_the_remedy(question, name, budget, kind, says):
    with pytest.raises(kind, match=says):
        plan([Ask(Question(**question), name)], 10, budget, 0)


def test_exact_for_many_players_says_what_it_would_cost():
    with pytest.raises(SpecError, match=r"2\^40 = 1\.1e\+12"):
        plan([Ask(Question("SV"), "exact")], 40, None, 0)


def test_two_designs_in_one_job_are_refused():
    with pytest.raises(SpecError, match="one design"):
        plan([Ask(Question("SV"), "permutation"), Ask(Question("SII"), "cells")], 10, 200, 0)


def test_a_design_that_cannot_answer_says_so():
    table = smooth_table(8)
    _, pool = sample(table, "SV", "permutation", 120, 0)
    with pytest.raises(NotEnoughSamples, match="needs the design 'strata'"):
        pool.answer(Question("SII"))


def test_contexts_that_were_not_drawn_are_missing_not_zero():
    table = smooth_table(10)
    design = Strata(10, 0, (1.0, 1.0, 1e-9, 1e-9, 1e-9), edges=1)
    draws = 30
    pool = Pool(design, draws, table[pack(design.draw(0, draws).coalitions)])
    found = pool.answer(Question("MOI"), "cells")
    drawn = [0, 8]
    assert np.isfinite(found.values[:, drawn]).all()
    assert np.isnan(np.delete(found.values, drawn, axis=1)).all()
    assert np.isnan(np.delete(found.std_errors, drawn, axis=1)).all()
    assert found.largest_std_error == np.inf
    with pytest.raises(NotEnoughSamples, match="no coalition of size 3, 4, 5"):
        pool.answer(Question("MOI", contexts=(3,)), "cells")


def test_a_budget_that_misses_a_size_is_refused_before_it_is_spent():
    asks = [Ask(Question("SII"), "cells"), Ask(Question("MOI", contexts=(0,)), "cells")]
    needs = None
    for budget in range(80, 600, 2):
        try:
            planned = plan(asks, 24, budget, 0)
        except BudgetTooSmall as error:
            needs = int(str(error).split("needs at least ")[1].split()[0])
            continue
        assert needs is None or planned.evaluations >= needs - 2
        assert set(range(13)) <= set(planned.design.dealt(planned.draws).tolist())
        break
    assert needs is not None


def test_too_many_sets_are_refused_before_anything_is_spent():
    with pytest.raises(SpecError, match=r"sets of 3.*limit is.*smaller order"):
        plan([Ask(Question("SII", order=3), "cells")], 900, 20_000, 0)
    with pytest.raises(SpecError, match="fewer contexts"):
        plan([Ask(Question("MOI"), "auto")], 1_000, 20_000, 0)
    plan([Ask(Question("SII", pairs=((0, 1), (5, 6))), "cells")], 1_000, 20_000, 0)
