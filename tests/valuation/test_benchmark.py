"""The benchmark of data valuation: what it measures on our side is what it says, and without a peer it says so."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from xai_ray.valuation import TrainingGame

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def valuation(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import valuation

    return valuation


def test_problems_hold_the_share_of_flipped_labels(valuation) -> None:
    problem = valuation.breast_cancer(3)
    assert problem.X.shape == (150, 30)
    assert problem.flipped.sum() == 30
    np.testing.assert_allclose(problem.X.mean(axis=0), 0, atol=1e-12)
    clean = valuation.breast_cancer(3, share=0.0)
    assert np.array_equal(clean.y != problem.y, problem.flipped)
    digits = valuation.digits(0, n=100, tests=50)
    assert (digits.y != valuation.digits(0, n=100, tests=50, share=0.0).y).sum() == 20


def test_permutations_meet_the_sum_and_the_mean_of_marginals(valuation) -> None:
    problem = valuation.breast_cancer(0, n=12, tests=30)
    game = valuation.game_of(valuation.METHODS["ridge"], problem)
    values, errors = valuation.by_permutations(game, 9, seed=1)
    ends = game.values(np.array([[False] * 12, [True] * 12]), np.zeros(2, dtype=np.int64))[:, 0]
    assert values.sum() == pytest.approx(ends[1] - ends[0], abs=1e-12)
    generator = np.random.default_rng(1)
    orders = [generator.permutation(12) for _ in range(9)]
    marginals = np.zeros((9, 12))
    for row, order in enumerate(orders):
        for place, player in enumerate(order):
            pair = np.zeros((2, 12), dtype=bool)
            pair[0, order[:place]] = pair[1, order[: place + 1]] = True
            low, high = game.values(pair, np.zeros(2, dtype=np.int64))[:, 0]
            marginals[row, player] = high - low
    np.testing.assert_allclose(values, marginals.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(errors, marginals.std(axis=0, ddof=1) / 3, atol=1e-12)


def test_the_network_of_both_sides_is_the_same(valuation) -> None:
    from valuation_network import TorchNetwork

    problem = valuation.few_digits(0)
    arrays = problem.X, problem.y, problem.X_test, problem.y_test
    game = TrainingGame(valuation.network(), *arrays, scores=("accuracy",))
    rows = np.random.default_rng(0).random((4, 150)) < 0.5
    found = game.values(rows, np.zeros(4, dtype=np.int64))[:, 0]
    models = [TorchNetwork().fit(problem.X[row], problem.y[row]) for row in rows]
    expected = [model.score(problem.X_test, problem.y_test) for model in models]
    np.testing.assert_allclose(found, expected, atol=1 / 400 + 1e-12)


def test_without_a_peer_it_says_what_is_missing(valuation, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["valuation.py", "--methods", "ridge"])
    valuation.main()
    told = json.loads(capsys.readouterr().out)
    assert told == {"figure": "ridge", "skipped": "no interpreter with pydvl 0.10: give --peers-python"}


def test_a_round_compares_and_a_table_shows_it(valuation) -> None:
    problem = valuation.breast_cancer(0, n=40)
    mine = valuation.ours(valuation.METHODS["ridge"], problem, 3, seed=0)
    assert mine["evaluations"] == 120
    other = mine | {"seconds": 3 * mine["seconds"], "versions": {}}
    found = valuation._round(problem, mine, other)
    assert found["ratio"] == pytest.approx(3.0)
    assert found["largest_difference"] == 0
    assert found["auroc"] == found["peer_auroc"]
    with pytest.raises(RuntimeError, match="pyDVL made 7 evaluations, ours are 120"):
        valuation._round(problem, mine, other | {"evaluations": 7})
    row = {"figure": "ridge", "ratio": 3.0, "least": 3.0, "most": 3.0, "reach": 250.0} | found
    assert "| ridge | 3.0 (3.0 to 3.0) | 250 |" in valuation.markdown([row, {"figure": "no ratio"}])
