"""Interactions of groups of data: SII and STII of order 2 of a training game against their sums over all coalitions."""

from itertools import combinations
from math import comb, factorial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier

import xai_ray as xr
from xai_ray.valuation import TrainingGame

GROUPS, EACH = 8, 5
R = np.random.default_rng(2)
X, TEST = R.normal(size=(GROUPS * EACH, 4)), R.normal(size=(60, 4))
OWNER = np.repeat(np.arange(GROUPS), EACH)
Y, TEST_Y = (X[:, 0] + 0.5 * R.normal(size=len(X)) > 0).astype(int), (TEST[:, 0] > 0).astype(int)
# The last group says what the first says.
X[OWNER == GROUPS - 1], Y[OWNER == GROUPS - 1] = X[OWNER == 0], Y[OWNER == 0]


def game_of(estimator) -> TrainingGame:
    return TrainingGame(estimator, X, Y, TEST, TEST_Y, scores=("accuracy",), groups=OWNER)


def enumerated(game: TrainingGame) -> dict[str, np.ndarray]:
    """Both indices of all pairs, from the definition (Grabisch and Roubens 1999; Sundararajan et al. 2020)."""
    n = game.n_players
    rows = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1 == 1
    v = game.values(rows, np.zeros(1 << n, dtype=np.int64))[:, 0]
    out = {"SII": [], "STII": []}
    for i, j in combinations(range(n), 2):
        a, b = 1 << i, 1 << j
        rest = [T for T in range(1 << n) if not T & (a | b)]
        change = np.array([v[T | a | b] - v[T | a] - v[T | b] + v[T] for T in rest])
        size = [bin(T).count("1") for T in rest]
        out["SII"].append(change @ [factorial(t) * factorial(n - t - 2) / factorial(n - 1) for t in size])
        out["STII"].append(change @ [2 / n / comb(n - 1, t) for t in size])
    return {name: np.array(values) for name, values in out.items()}


def pairs_of(result: xr.Result) -> tuple[np.ndarray, np.ndarray]:
    estimate = result.estimates[0]
    rows = [at for at, coalition in enumerate(estimate.coalitions) if len(coalition) == 2]
    assert [estimate.coalitions[at] for at in rows] == list(combinations(range(GROUPS), 2))
    return estimate.values[rows, 0], estimate.std_errors[rows, 0]


@pytest.mark.parametrize("estimator", [LogisticRegression(), RidgeClassifier()], ids=["logistic", "ridge"])
@pytest.mark.parametrize("index", ["SII", "STII"])
def test_all_coalitions_give_the_definition(index: str, estimator) -> None:
    game = game_of(estimator)
    found, errors = pairs_of(xr.explain(game, index, order=2, budget="exact", seed=0))
    np.testing.assert_allclose(found, enumerated(game)[index], atol=1e-10)
    assert (errors == 0).all()
    # What is said twice is worth less the second time, and both who say it are one to the others.
    pair = dict(zip(combinations(range(GROUPS), 2), found, strict=True))
    assert pair[0, GROUPS - 1] < -0.05
    for other in range(1, GROUPS - 1):
        assert abs(pair[0, other] - pair[other, GROUPS - 1]) < 1e-9


@pytest.mark.parametrize("index", ["SII", "STII"])
def test_sampled_interactions_agree_within_their_errors(index: str) -> None:
    game = game_of(RidgeClassifier())
    result = xr.explain(game, index, order=2, budget=160, seed=3)
    found, errors = pairs_of(result)
    assert result.evaluations <= 160
    assert (np.abs(found - enumerated(game)[index]) <= 5 * errors + 1e-9).all()
    assert 0 < errors.max() < 0.1
