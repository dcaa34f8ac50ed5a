"""Closed forms against brute force on the game itself: every model, removal, behaviour and index that has one; refusals of the rest."""

from functools import partial

import lightgbm
import numpy as np
import pytest
import torch
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import xai_ray as xr
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.games import (
    ColumnGroups,
    Columns,
    Constant,
    Logit,
    LogOdds,
    Marginal,
    Mean,
    ModelGame,
    Probability,
    Raw,
    Uniform,
    Zeros,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6))
Y = X[:, 0] * X[:, 1] + X[:, 2] + 0.5 * (X[:, 3] > 0) * X[:, 4]
TWO = (Y > 0).astype(int)
THREE = np.digitize(Y, [-0.5, 0.5])
BACKGROUND = X[:17]
ROW = X[31]
ASKS = [("SV", None), ("SII", 2), ("STII", 2), ("k-SII", 2), ("BV", None), ("MOI", None), ("FSII", 3), ("PHIM", None)]


def game_of(model, behaviour=None, **more):
    arguments = {"players": Columns(), "removal": Marginal(BACKGROUND), "behaviour": behaviour or Raw(), "batch": 64}
    return ModelGame(model, ROW, **{**arguments, **more})


def agrees(game, asks=ASKS, tolerance=1e-9):
    """Closed form and all 2^n coalitions."""
    table = xr.explain(game, budget="exact")
    for index, order in asks:
        closed = xr.explain(game, index, order=order, budget="exact", estimator="closed_form")
        want = table.ask(index, order=order)
        np.testing.assert_allclose(closed.values, want.values, rtol=0, atol=tolerance)
        assert closed.estimates[0].coalitions == want.estimates[0].coalitions
        assert closed.evaluations == 0
        assert closed.estimates[0].evaluations == 0
        assert not closed.std_errors.any()
        np.testing.assert_allclose(closed.ends, table.ends, rtol=0, atol=tolerance)


def boosted(kind, labels, keyword):
    return partial(kind.fit(X, labels).predict, **{keyword: True})


REGRESSORS = [
    DecisionTreeRegressor(max_depth=6, random_state=0),
    RandomForestRegressor(4, max_leaf_nodes=20, random_state=0),
    ExtraTreesRegressor(4, max_depth=6, random_state=0),
    GradientBoostingRegressor(n_estimators=8, random_state=0),
    HistGradientBoostingRegressor(max_iter=8, max_leaf_nodes=12, random_state=0),
    lightgbm.LGBMRegressor(n_estimators=8, verbosity=-1, n_jobs=1),
    lightgbm.LGBMRegressor(n_estimators=6, verbosity=-1, n_jobs=1, boosting_type="rf", subsample=0.5, subsample_freq=1),
    LinearRegression(),
    make_pipeline(StandardScaler(), MinMaxScaler(), Ridge()),
]


@pytest.mark.parametrize("model", REGRESSORS, ids=lambda m: type(m).__name__)
def test_regressors(model):
    agrees(game_of(model.fit(X, Y).predict))


def shares(model, behaviour, **more):
    return game_of(model.predict_proba, behaviour, outputs="probabilities", **more)


def small_forest(labels):
    return RandomForestClassifier(4, max_leaf_nodes=16, random_state=0).fit(X, labels)


def few_steps(labels):
    return GradientBoostingClassifier(n_estimators=5, random_state=0).fit(X, labels)


def few_histograms(labels):
    return HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=12, random_state=0).fit(X, labels)


def logistic(labels):
    return LogisticRegression().fit(X, labels)


LIGHT = lightgbm.LGBMClassifier(n_estimators=5, verbosity=-1, n_jobs=1)
CLASSIFIERS = {
    "forest": lambda: shares(small_forest(THREE), Probability("all")),
    "forest raw": lambda: game_of(small_forest(TWO).predict_proba, Raw(1)),
    "boosted": lambda: game_of(few_steps(THREE).decision_function, Logit(2)),
    "boosted, two": lambda: game_of(few_steps(TWO).decision_function, Logit("all")),
    "histogram": lambda: game_of(few_histograms(THREE).decision_function, Raw()),
    "lightgbm": lambda: game_of(boosted(LIGHT, THREE, "raw_score"), Raw()),
    "lightgbm scores": lambda: game_of(partial(LIGHT.fit(X, THREE).predict_proba, raw_score=True), Raw()),
    "log-odds": lambda: shares(logistic(TWO), LogOdds("all"), order="behaviour_then_mean"),
    "log-odds at zeros": lambda: game_of(logistic(TWO).decision_function, LogOdds(1), removal=Zeros()),
    "log-odds of two logits": lambda: game_of(torch.nn.Linear(6, 2).double(), LogOdds("all"), removal=Constant(0.3)),
    "logits": lambda: game_of(logistic(THREE).decision_function, Logit("all")),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name):
    agrees(CLASSIFIERS[name](), ASKS[:3])


def test_xgboost():
    xgboost = pytest.importorskip("xgboost")
    agrees(game_of(xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(X, Y).predict), ASKS[:2], 1e-5)
    three = boosted(xgboost.XGBClassifier(n_estimators=5, n_jobs=1), THREE, "output_margin")
    agrees(game_of(three, Logit(0)), ASKS[:2], 1e-5)
    two = xgboost.XGBRegressor(n_estimators=4, n_jobs=1, num_parallel_tree=2).fit(X, np.stack([Y, Y**2], axis=1))
    agrees(game_of(two.predict), ASKS[:2], 1e-5)
    joint = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
    for other, labels in (({"booster": "gblinear"}, Y), (joint, np.stack([Y, Y**2], axis=1))):
        model = xgboost.XGBRegressor(n_estimators=4, n_jobs=1, **other).fit(X, labels)
        with pytest.raises(SpecError, match="one number a leaf"):
            xr.explain(game_of(model.predict), budget=100, estimator="closed_form")


@pytest.mark.parametrize(
    "removal",
    [Zeros(), Constant(0.4), Mean(BACKGROUND), Marginal(BACKGROUND[:1]), Marginal(X[:60])],
    ids=lambda r: type(r).__name__,
)
def test_removals_and_groups(removal):
    forest = RandomForestRegressor(4, max_leaf_nodes=16, random_state=0).fit(X, Y).predict
    agrees(game_of(forest, removal=removal), ASKS[:2])
    groups = ColumnGroups({"a": [0, 1], "b": [2, 4], "c": [3], "d": [5]})
    agrees(game_of(forest, removal=removal, players=groups), ASKS[:2])
    agrees(game_of(Ridge().fit(X, Y).predict, removal=removal, players=groups), ASKS[:2])


def test_a_large_forest_in_blocks_of_leaves(monkeypatch):
    """As in one block, whose conditions a forest of some hundred leaves does not fill."""
    game = game_of(RandomForestRegressor(6, random_state=0).fit(X, Y).predict)
    whole = xr.explain(game, "SII", budget=100, estimator="closed_form").values
    monkeypatch.setattr("xai_ray.closed_forms.forest.HELD", 1 << 12)
    parts = xr.explain(game, "SII", budget=100, estimator="closed_form").values
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-12)
    np.testing.assert_allclose(xr.explain(game, "SII", budget="exact").values, whole, rtol=0, atol=1e-9)


def test_sampled_fillings_are_answered_by_their_expectation():
    """Where a game draws fillings, the answer is that of all of them."""
    model = Ridge().fit(X, Y).predict
    whole = xr.explain(game_of(model), budget="exact", estimator="closed_form")
    drawn = xr.explain(game_of(model, removal=Marginal(BACKGROUND, 3)), budget="exact", estimator="closed_form")
    np.testing.assert_array_equal(whole.values, drawn.values)
    points = Uniform(-1.0, 1.0, 4)
    game = game_of(model, removal=points)
    expectation = (
        game.values(np.eye(6, dtype=bool), np.full(6, -1))[:, 0]
        - game.values(np.zeros((1, 6), bool), np.full(1, -1))[0]
    )
    np.testing.assert_allclose(xr.explain(game, budget="exact", estimator="closed_form").values, expectation, atol=1e-9)


def test_batch_norm_and_single_precision():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(6), torch.nn.Linear(6, 4), torch.nn.Dropout(), torch.nn.Linear(4, 2))
    net(torch.from_numpy(X).float())
    agrees(game_of(net, Logit("all")), ASKS[:2], 1e-5)
    assert net.training


def test_several_questions_in_one_job(tmp_path):
    game = game_of(RandomForestRegressor(3, max_leaf_nodes=16, random_state=0).fit(X, Y).predict)
    asks = [xr.Ask(xr.Question(index, order), "closed_form") for index, order in ASKS]
    result = xr.explain(game, asks=asks, budget=1, store=f"file://{tmp_path}")
    table = xr.explain(game, budget="exact")
    for estimate, (index, order) in zip(result.estimates, ASKS, strict=True):
        np.testing.assert_allclose(estimate.values, table.ask(index, order=order).estimates[0].values, atol=1e-9)
    again = xr.open_result(result.job, f"file://{tmp_path}")
    assert again.evaluations == 0
    np.testing.assert_array_equal(again.values, result.values)
    np.testing.assert_array_equal(again.ask("SII").values, result.estimates[1].values[:, 0])
    with pytest.raises(NotEnoughSamples, match="run a job that asks BII"):
        result.ask("BII")


class RandomForestOfSquares(RandomForestRegressor):
    def predict(self, X):
        return super().predict(X) ** 2


REFUSED = {
    "log-odds of a forest": (lambda: shares(small_forest(TWO), LogOdds()), "is not linear"),
    "log-odds of a mean": (lambda: game_of(logistic(TWO).decision_function, LogOdds()), "behaviour_then_mean"),
    "probability": (lambda: shares(logistic(TWO), Probability()), "is not linear"),
    "three classes": (lambda: shares(logistic(THREE), LogOdds()), "3 classes"),
    "a function": (lambda: game_of(lambda x: x[:, 0]), "cannot be looked into"),
    "boosted probabilities": (lambda: game_of(few_steps(TWO).predict_proba), "is neither"),
    "a network": (lambda: game_of(torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.ReLU())), "is neither"),
    "a forest of its own": (
        lambda: game_of(RandomForestOfSquares(5).fit(X, Y).predict),
        "differs from what it returns",
    ),
    "another game": (lambda: xr.TableGame(np.zeros(8)), "TableGame has no such form"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_none_is_refused(name):
    make, match = REFUSED[name]
    with pytest.raises(SpecError, match=match) as told:
        xr.explain(make(), budget=100, estimator="closed_form")
    assert "\n" not in str(told.value)


def test_questions_and_rules_that_do_not_go_together():
    game = game_of(Ridge().fit(X, Y).predict)
    with pytest.raises(SpecError, match="does not answer J"):
        xr.explain(game, "J", budget=100, estimator="closed_form")
    with pytest.raises(SpecError, match="two jobs"):
        xr.explain(game, asks=[xr.Ask(xr.Question("SV"), "closed_form"), xr.Ask(xr.Question("SII"))], budget=100)
    with pytest.raises(SpecError, match="nothing stops it earlier"):
        xr.explain(game, budget=100, estimator="closed_form", std_error=0.1)
