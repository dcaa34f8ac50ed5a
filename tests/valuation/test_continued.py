"""20 permutations and 20 more are 40 at one go: values, counts and standard errors, for every sampling method of `value`."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier

import xai_ray as xr
from xai_ray.coalitions import Permutations
from xai_ray.valuation import TrainingGame

N = 14
R = np.random.default_rng(8)
X, TEST = R.normal(size=(N, 3)), R.normal(size=(50, 3))
LABELS = np.where(R.random(N) < 0.2, X[:, 0] < 0, X[:, 0] > 0).astype(int)
DATA = (X, LABELS, TEST, (TEST[:, 0] > 0).astype(int))
SAMPLED: dict[str, dict[str, Any]] = {
    "shapley": {},
    "beta": {"alpha": 4.0},
    "banzhaf": {},
    "weighted_banzhaf": {"p": 0.3},
}
HALF, WHOLE = (Permutations(N, 0).evaluations(count) for count in (20, 40))


def same(one: xr.Result, other: xr.Result) -> None:
    assert one.values.tobytes() == other.values.tobytes()
    assert one.std_errors.tobytes() == other.std_errors.tobytes()
    assert one.evaluations == other.evaluations


@pytest.mark.parametrize("estimator", [RidgeClassifier(), LogisticRegression()], ids=["chains", "logistic"])
@pytest.mark.parametrize("method", SAMPLED)
def test_twenty_and_twenty_are_forty(method: str, estimator: Any, tmp_path: Any) -> None:
    asked: dict[str, Any] = {"method": method, "seed": 5} | SAMPLED[method]
    store = f"file://{tmp_path}"
    half = xr.value(estimator, *DATA, budget=HALF, store=store, **asked)
    continued = xr.value(estimator, *DATA, budget=WHOLE, store=store, **asked)
    straight = xr.value(estimator, *DATA, budget=WHOLE, **asked)
    same(continued, straight)
    assert half.evaluations <= HALF < continued.evaluations <= WHOLE
    # New draws, not the old ones again: other values, and errors that fall by about the root of two.
    assert not np.allclose(half.values, continued.values, atol=1e-6)
    assert 0.5 < np.median(continued.std_errors) / np.median(half.std_errors) < 0.95


@pytest.mark.parametrize("estimator", ["permutation", "levelled", "msr", "leverage"])
def test_so_are_the_estimators_themselves(estimator: str, tmp_path: Any) -> None:
    game = TrainingGame(RidgeClassifier(), *DATA, scores=("accuracy",))
    store = f"file://{tmp_path}"
    for budget in (HALF, WHOLE):
        continued = xr.explain(game, "SV", estimator=estimator, budget=budget, seed=5, store=store)
    same(continued, xr.explain(game, "SV", estimator=estimator, budget=WHOLE, seed=5))


def test_three_legs_and_other_questions(tmp_path: Any) -> None:
    store = f"file://{tmp_path}"
    for budget in (HALF, HALF + 37, WHOLE):
        continued = xr.value(RidgeClassifier(), *DATA, budget=budget, store=store, seed=1)
    straight = xr.value(RidgeClassifier(), *DATA, budget=WHOLE, seed=1)
    same(continued.ask("BETA", alpha=4, beta=1), straight.ask("BETA", alpha=4, beta=1))
