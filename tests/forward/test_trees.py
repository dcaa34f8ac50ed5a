"""Trees of scikit-learn round what they are given: in single precision from the start they give the same bits."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import ensemble, tree
from sklearn.linear_model import LinearRegression

import xai_ray as xr
from xai_ray.errors import ModelOutputError
from xai_ray.games import Marginal, ModelGame, Raw, RowsGame
from xai_ray.games.passes.trees import of_trees, rounded

N = 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, N)) * 1e3
Y = X[:, 0] * X[:, 1] + X[:, 2] > 0

METHODS = [
    (ensemble.RandomForestClassifier, "predict_proba"),
    (ensemble.RandomForestRegressor, "predict"),
    (ensemble.ExtraTreesClassifier, "predict_proba"),
    (ensemble.ExtraTreesRegressor, "predict"),
    (tree.DecisionTreeClassifier, "predict_proba"),
    (tree.DecisionTreeRegressor, "predict"),
    (tree.ExtraTreeClassifier, "predict_proba"),
    (tree.ExtraTreeRegressor, "predict"),
    (ensemble.GradientBoostingClassifier, "decision_function"),
    (ensemble.GradientBoostingRegressor, "predict"),
]


def fitted(kind: Any) -> Any:
    few = {"n_estimators": 7} if "n_estimators" in inspect.signature(kind).parameters else {}
    return kind(random_state=0, **few).fit(X, Y)


def both(kind: Any, method: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The method, and one of which nothing is known."""
    own = getattr(fitted(kind), method)
    return own, lambda given: own(given) + 0


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_values_have_the_bits_of_double_precision(kind: Any, method: str) -> None:
    coalitions = RNG.random((60, N)) < 0.5
    none, removal = np.full(60, -1), Marginal(X[:9])
    known, unknown = both(kind, method)
    assert of_trees(known)
    assert not of_trees(unknown)
    one = [
        ModelGame(model, X[20], players=xr.Columns(), removal=removal, behaviour=Raw()).values(coalitions, none)
        for model in (known, unknown)
    ]
    assert np.isfinite(one[0][:, 0]).any()
    np.testing.assert_array_equal(one[0], one[1])
    rows = RNG.integers(0, 40, 60)
    many = [
        RowsGame(model, X[:40], players=xr.Columns(), removal=removal, behaviour=Raw()).row_values(
            rows, coalitions, none
        )
        for model in (known, unknown)
    ]
    np.testing.assert_array_equal(many[0], many[1])


class Seen(ensemble.RandomForestRegressor):
    """Does something else with its input first."""

    def predict(self, X: Any) -> Any:
        return super().predict(np.sin(X))


@pytest.mark.parametrize(
    "model",
    [
        fitted(Seen).predict,
        fitted(ensemble.HistGradientBoostingRegressor).predict,
        fitted(ensemble.RandomForestRegressor).apply,
        fitted(ensemble.BaggingRegressor).predict,
        fitted(ensemble.GradientBoostingClassifier).predict_proba,
        fitted(ensemble.RandomForestClassifier).predict_log_proba,
        ensemble.GradientBoostingRegressor(init=LinearRegression(), n_estimators=3).fit(X, Y).predict,
        np.sum,
        fitted(ensemble.RandomForestRegressor),
    ],
)
def test_of_others_nothing_is_known(model: Any) -> None:
    assert not of_trees(model)


def test_the_trees_see_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    inner = ensemble.RandomForestRegressor.predict
    own = fitted(ensemble.RandomForestRegressor)

    def predict(self: Any, given: Any) -> Any:
        seen.add(given.dtype)
        return inner(self, given)

    predict.__name__ = "predict"
    monkeypatch.setattr(ensemble.RandomForestRegressor, "predict", predict)
    game = ModelGame(own.predict, X[20], players=xr.Columns(), removal=Marginal(X[:9]), behaviour=Raw())
    game.values(np.ones((1, N), dtype=bool), np.array([-1]))
    assert seen == {np.dtype(np.float32)}


def test_numbers_that_single_precision_cannot_hold_are_refused_as_ever() -> None:
    beyond = X[20].copy()
    beyond[1] = 1e60
    said = []
    for model, warned in zip(both(ensemble.RandomForestRegressor, "predict"), ("error", "ignore"), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter(warned)
            with pytest.raises(ModelOutputError, match="too large for dtype") as told:
                ModelGame(model, beyond, players=xr.Columns(), removal=Marginal(X[:9]), behaviour=Raw())
        said.append(str(told.value).split("ValueError")[1])
    assert said[0] == said[1]


def test_only_real_numbers_are_rounded() -> None:
    assert rounded(np.arange(3)).dtype == np.float32
    assert rounded(np.array(["a"])).dtype.kind == "U"
    single = np.ones(3, dtype=np.float32)
    assert rounded(single) is single


def test_passes_are_cut_evenly_and_padding_costs_nothing() -> None:
    own, asked = fitted(ensemble.RandomForestRegressor), []
    game = ModelGame(own.predict, X[20], players=xr.Columns(), removal=Marginal(X[:9]), behaviour=Raw(), batch=90)
    inner = own.estimators_[0].predict
    own.estimators_[0].predict = lambda given, **more: (asked.append(len(given)), inner(given, **more))[1]
    some = RNG.permutation(32)[:21, None] >> np.arange(N) & 1 == 1
    padded = np.concatenate([some, np.repeat(some[:1], 9, axis=0)])
    values = game.values(padded, np.full(30, -1))
    assert game.block == 10
    assert asked == [7 * 9] * 3
    np.testing.assert_array_equal(values[21:], np.repeat(values[:1], 9, axis=0))


def test_a_stop_rule_costs_little_more_than_its_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, asked = RNG.normal(size=(60, 20)), list[int]()
    inner = tree.DecisionTreeRegressor(max_depth=4).fit(rows, rows[:, 0] * rows[:, 1]).predict
    game = ModelGame(inner, rows[0], players=xr.Columns(), removal=Marginal(rows[:20]), behaviour=Raw())
    assert (game.batch, game.block) == (65_536, 64)
    monkeypatch.setattr(game._backend, "_model", lambda given: (asked.append(len(given)), inner(given))[1])
    found = xr.explain(game, budget=4_000, std_error=10.0)
    assert found.evaluations < 200
    assert sum(asked) <= 20 * (found.evaluations + 2 * game.block)


def test_default_batches() -> None:
    def batch(columns: int) -> tuple[int, int]:
        rows = RNG.normal(size=(60, columns))
        model = tree.DecisionTreeRegressor(max_depth=2).fit(rows, rows[:, 0]).predict
        given = {"players": xr.Columns(), "removal": Marginal(rows[:9]), "behaviour": Raw()}
        return ModelGame(model, rows[0], **given).batch, RowsGame(model, rows, **given).batch

    assert batch(4) == (65_536, 65_536)
    assert batch(2100) == (512, 512)
