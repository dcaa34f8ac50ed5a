"""Semivalues from permutations: the mean over all orders is the exact answer, intervals cover, one store answers all of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from tests.games import smooth_table
from tests.laws.sampled import coverage, drawn
from xai_ray.coalitions import Permutations
from xai_ray.coalitions.exhaustive import pack, unpack
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import Ask, Pool, plan
from xai_ray.estimators.permutation import Permutation
from xai_ray.indices import Question, exact, resolve
from xai_ray.types import Ints

ASKED = [
    Question("SV"),
    Question("BV"),
    Question("WBV", p=0.3),
    Question("BETA", alpha=4.0, beta=1.0),
    Question("BETA", alpha=1.0, beta=16.0),
    Question("SEMI", weights=(0.5, 0.0, 0.25, 0.0, 0.25)),
]


@dataclass(frozen=True)
class AllOrders(Permutations):
    """Every order once, instead of random ones."""

    def orders(self, items: Ints) -> Ints:
        """Lexicographic."""
        return np.array(list(itertools.permutations(range(self.n_players))), dtype=np.int64)[items]


@pytest.mark.parametrize("question", ASKED, ids=lambda q: f"{q.index} {q.p or q.alpha or ''}")
@pytest.mark.parametrize("stochastic", [False, True])
def test_the_mean_over_all_orders_is_the_exact_answer(question: Question, stochastic: bool) -> None:
    n, table = 5, smooth_table(5, outputs=2, seed=7)
    design = AllOrders(n, 0, stochastic)
    draw = design.draw(0, 121)
    estimator = Permutation(resolve(question, n), design)
    found = estimator.finish(estimator.observe(draw, table[pack(draw.coalitions)] + 3.0))
    np.testing.assert_allclose(found.values, exact(table, resolve(question, n)).values, atol=1e-12)


@pytest.mark.parametrize("name", ["permutation", "levelled"])
@pytest.mark.parametrize(
    ("question", "budget"),
    [
        (Question("BV"), 250),
        (Question("BETA", alpha=4.0, beta=1.0), 250),
        (Question("BETA", alpha=1.0, beta=4.0), 400),
    ],
    ids=lambda v: v.index if isinstance(v, Question) else str(v),
)
def test_unbiased_and_intervals_cover(question: Question, budget: int, name: str) -> None:
    inside, deviation = coverage(smooth_table(10, seed=4), question, name, budget, 250)
    assert 0.92 <= inside <= 0.98, inside
    assert np.quantile(deviation, 0.95) < 3.0


def learning_curve(n: int) -> np.ndarray:
    """Points of different worth under a concave score, and some roughness: shape (2^n, 1)."""
    worth = unpack(np.arange(1 << n), n) @ np.linspace(0.5, 1.5, n)
    return 1 - np.exp(-worth[:, None] / 2) + 0.02 * smooth_table(n, seed=1)


@pytest.mark.parametrize(("question", "less"), [(Question("SV"), 0.5), (Question("BETA", alpha=4.0, beta=1.0), 0.2)])
def test_levels_take_the_learning_curve_out(question: Question, less: float) -> None:
    """Squared errors over seeds beside `permutation` from the same values; efficient all the same; intervals cover."""
    n, table = 10, learning_curve(10)
    truth = exact(table, resolve(question, n)).values
    squared: dict[str, list[float]] = {"permutation": [], "levelled": []}
    for seed in range(60):
        pool = drawn(table, question, "permutation", 560, seed)
        for name, found in squared.items():
            estimate = pool.answer(question, name)
            found.append(float(((estimate.values - truth) ** 2).mean()))
            if question.index == "SV":
                assert estimate.values.sum() == pytest.approx(table[-1, 0] - table[0, 0], abs=1e-12)
    assert np.mean(squared["levelled"]) < less * np.mean(squared["permutation"])
    inside, deviation = coverage(table, question, "levelled", 400, 200)
    assert 0.92 <= inside <= 0.98, inside
    assert np.quantile(deviation, 0.95) < 3.0


def test_levels_leave_additive_games_exact() -> None:
    table = (unpack(np.arange(1 << 8), 8) @ np.arange(1.0, 9.0))[:, None]
    pool = drawn(table, Question("SV"), "permutation", 200, 0)
    found = pool.answer(Question("SV"), "levelled")
    np.testing.assert_allclose(found.values[:, 0], np.arange(1.0, 9.0), atol=1e-9)
    assert found.std_errors.max() < 1e-9


def test_an_even_beta_is_the_shapley_value() -> None:
    pool = drawn(smooth_table(8, seed=1), Question("SV"), "permutation", 200, 3)
    even, shapley = pool.answer(Question("BETA", alpha=1.0, beta=1.0)), pool.answer(Question("SV"))
    np.testing.assert_allclose(even.values, shapley.values, atol=1e-12)
    np.testing.assert_allclose(even.std_errors, shapley.std_errors, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_players(n: int) -> None:
    table = smooth_table(n, seed=2)
    design = Permutations(n, 1)
    draws = 1 if n == 1 else 40
    pool = Pool(design, draws, table[pack(design.draw(0, draws).coalitions)])
    for question in (Question("BV"), Question("BETA", alpha=2.0, beta=3.0)):
        found, truth = pool.answer(question), exact(table, resolve(question, n))
        assert (np.abs(found.values - truth.values) <= 5 * found.std_errors + 1e-12).all()


def test_a_semivalue_beyond_msr_is_sampled_by_permutations_and_within_it_is_not() -> None:
    small = plan([Ask(Question("BV"))], 2_000, 50_000, 0)
    large = plan([Ask(Question("BV"))], 6_000, 50_000, 0)
    assert (small.asks[0].estimator, large.asks[0].estimator) == ("msr", "levelled")


def test_what_permutations_cannot_answer() -> None:
    pool = drawn(smooth_table(8), Question("SV"), "permutation", 200, 0)
    with pytest.raises(NotEnoughSamples, match="strata"):
        pool.answer(Question("PHIM"))
