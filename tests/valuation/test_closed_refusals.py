"""What closed forms and one-run methods refuse, in words, and before any work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier

import xai_ray as xr
from tests.valuation.closed_data import DATA, LABELS, NETWORK, RIDGE, N, X, perceptron, valued
from xai_ray.errors import BudgetTooSmall, InputError, NotEnoughSamples, SpecError, UnknownName
from xai_ray.valuation import Network
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.methods import valuation_game

WRONG: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("knn", {"estimator": RIDGE}, SpecError, r"knn values points for a KNeighborsClassifier, got RidgeClassifier"),
    ("knn", {"estimator": KNeighborsClassifier(3, weights="distance")}, SpecError, "votes that count alike"),
    (
        "knn",
        {"estimator": KNeighborsClassifier(3), "settings": {"utilty": "soft"}},
        UnknownName,
        "did you mean 'utility'",
    ),
    ("knn", {"estimator": KNeighborsClassifier(3), "settings": {"utility": "mild"}}, SpecError, "utility = 'mild'"),
    ("knn", {"estimator": KNeighborsClassifier(3), "settings": ["utility"]}, SpecError, "names with values"),
    ("knn", {"estimator": KNeighborsClassifier(3), "budget": 20.5}, SpecError, "a whole number; got 20.5"),
    ("knn", {"estimator": KNeighborsClassifier(3), "score": "f1"}, SpecError, "does not take scores"),
    ("knn", {"estimator": KNeighborsClassifier(3), "budget": 1}, BudgetTooSmall, "test points"),
    ("threshold_knn", {"estimator": RadiusNeighborsClassifier(-1.0)}, SpecError, "radius is a positive distance"),
    ("data_oob", {"estimator": LogisticRegression(), "settings": {"draws": "many"}}, SpecError, "draws = 'many'"),
    ("data_oob", {"estimator": LogisticRegression(), "settings": {"draws": 0}}, SpecError, "draws is a whole number"),
    ("data_oob", {"estimator": LogisticRegression(), "budget": 1}, BudgetTooSmall, "at least 2"),
    ("data_oob", {"estimator": Ridge(random_state=0), "budget": 9}, BudgetTooSmall, "at least 10"),
    ("in_run", {"estimator": RIDGE}, SpecError, "follows the training of a torch network, got RidgeClassifier"),
    ("in_run", {"estimator": NETWORK, "settings": {"order": 3}}, SpecError, "order = 3"),
    ("in_run", {"estimator": NETWORK, "std_error": 0.1}, SpecError, "nothing stops it earlier"),
    ("in_run", {"estimator": NETWORK, "refit": True}, SpecError, "does not take refit"),
    (
        "tracin",
        {"estimator": Network(perceptron, optimiser="adam")},
        SpecError,
        "plain gradient descent; give a Network with optimiser='sgd'",
    ),
    ("tracin", {"estimator": NETWORK, "settings": {"checkpoints": 0}}, SpecError, "checkpoints = 0: .*equal to 1"),
    ("influence", {"estimator": NETWORK, "settings": {"damping": -1.0}}, SpecError, "damping = -1.0: .*equal to 0"),
    ("influence", {"estimator": NETWORK, "settings": {"damping": np.inf}}, SpecError, "damping = inf: .*finite"),
    ("lava", {"estimator": None, "settings": {"label_weight": -0.5}}, SpecError, "label_weight = -0.5: .*equal to 0"),
    ("lava", {"estimator": None, "settings": {"regularisation": 0.0}}, SpecError, "regularisation = 0.0: .*than 0"),
    ("data_oob", {"estimator": NETWORK}, SpecError, "scikit-learn estimator once a bootstrap, got a Network"),
    ("tracin", {"estimator": Network(perceptron, batch=N + 1)}, SpecError, "larger than the 40 training points"),
    ("influence", {"estimator": RIDGE}, SpecError, "give LogisticRegression or a Network"),
    ("influence", {"estimator": LogisticRegression(solver="liblinear")}, SpecError, "liblinear"),
    ("gradient_shapley", {"estimator": NETWORK, "score": "f1"}, UnknownName, "unknown score 'f1'"),
    ("gradient_shapley", {"estimator": NETWORK, "budget": 8}, BudgetTooSmall, "at least 16"),
    ("lava", {"estimator": RIDGE}, SpecError, "leave the estimator out"),
    ("truncated", {"estimator": RIDGE, "settings": {"go_on": 2.0}}, SpecError, "go_on is a probability"),
    ("class_wise", {"estimator": Ridge()}, SpecError, "not a classifier"),
    ("loo", {"estimator": RIDGE, "p": 0.3}, SpecError, "does not take p"),
]


@pytest.mark.parametrize(("method", "asked", "kind", "words"), WRONG, ids=[f"{w[0]}-{i}" for i, w in enumerate(WRONG)])
def test_refusals(method: str, asked: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        valued(method, **asked)


@pytest.mark.parametrize(
    ("method", "estimator", "settings"),
    [
        ("influence", NETWORK, {"damping": -1.0}),
        ("lava", None, {"label_weight": -1.0}),
        ("lava", None, {"regularisation": np.nan}),
        ("data_oob", NETWORK, {}),
    ],
)
def test_refusals_come_before_any_work(method: str, estimator: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        valuation_game(Asked(method, estimator, *DATA), settings)


def test_refusals_of_data() -> None:
    with pytest.raises(SpecError, match="give X_test and y_test"):
        xr.value(None, X, LABELS, method="lava")
    with pytest.raises(InputError, match="not finite"):
        valued("knn", (np.where(X > 2, np.nan, X), *DATA[1:]), estimator=KNeighborsClassifier(3))
    with pytest.raises(NotEnoughSamples, match="bootstraps"):
        valued("data_oob", estimator=LogisticRegression(), budget=2)
    made = valuation_game(Asked("lava", None, *DATA), {})
    with pytest.raises(SpecError, match="has no scores of coalitions"):
        made.values(np.ones((1, N), dtype=bool), np.zeros(1, dtype=np.int64))
