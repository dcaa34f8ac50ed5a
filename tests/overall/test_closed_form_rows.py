"""Closed forms of many rows: against the game of each row, and against the tree explainers of shap and shapiq."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge

import xai_ray as xr
from xai_ray.closed_forms import closed_form_values
from xai_ray.errors import InputError, SpecError
from xai_ray.games import ColumnGroups, Columns, Marginal, ModelGame, Raw

RNG = np.random.default_rng(1)
X = RNG.normal(size=(150, 6))
Y = X[:, 0] * X[:, 1] + X[:, 2] + X[:, 0] * X[:, 3] * (X[:, 4] > 0)
BACKGROUND = X[:25]
FOREST = RandomForestRegressor(6, max_leaf_nodes=24, random_state=0).fit(X, Y)
CLASSES = RandomForestClassifier(5, max_leaf_nodes=16, random_state=0).fit(X, np.digitize(Y, [-0.5, 0.5]))
MODELS = {"forest": FOREST.predict, "classes": CLASSES.predict_proba, "ridge": Ridge().fit(X, Y).predict}
GROUPS = ColumnGroups({"a": [0, 1], "b": [2, 4], "c": [3], "d": [5]})


@pytest.mark.parametrize("players", [Columns(), GROUPS], ids=["columns", "groups"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(("index", "order"), [("SV", None), ("SII", 2), ("BV", None), ("STII", 2)])
def test_equals_the_game_of_each_row(model, players, index, order):
    """All 2^n coalitions of each row's game."""
    rows = X[40:43]
    found = closed_form_values(model, rows, BACKGROUND, index=index, order=order, players=players)
    for at, row in enumerate(rows):
        game = ModelGame(model, row, players=players, removal=Marginal(BACKGROUND), behaviour=Raw())
        want = xr.explain(game, budget="exact").ask(index, order=order)
        columns = [want.estimates[0].coalitions.index(one) for one in found.coalitions]
        np.testing.assert_allclose(found.values[at], want.estimates[0].values[columns], rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.ends[at], want.ends, rtol=0, atol=1e-9)
    assert not found.std_errors.any()


def test_equals_shap():
    shap = pytest.importorskip("shap")
    masker = shap.maskers.Independent(BACKGROUND, max_samples=len(BACKGROUND))
    want = shap.TreeExplainer(FOREST, masker, feature_perturbation="interventional").shap_values(
        X, check_additivity=False
    )
    found = closed_form_values(FOREST.predict, X, BACKGROUND)
    np.testing.assert_allclose(found.values[:, :, 0], want, rtol=0, atol=1e-6)


def test_probabilities_of_a_linear_classifier_are_refused():
    """What is linear are its log-odds, one number a row, and nobody asked for these."""
    model = LogisticRegression().fit(X, Y > 0)
    with pytest.raises(SpecError, match="give decision_function"):
        closed_form_values(model.predict_proba, X, BACKGROUND)
    assert closed_form_values(model.decision_function, X, BACKGROUND).values.shape == (150, 6, 1)


def test_bad_tables_and_questions():
    with pytest.raises(InputError, match="X has 5 columns, the background 6"):
        closed_form_values(FOREST.predict, X[:, :5], BACKGROUND)
    with pytest.raises(InputError, match="background needs shape"):
        closed_form_values(FOREST.predict, X, np.empty((0, 6)))
    with pytest.raises(InputError, match="X: row 3"):
        closed_form_values(FOREST.predict, np.where(np.arange(150)[:, None] == 3, np.nan, X), BACKGROUND)
    with pytest.raises(SpecError, match="for SII of order 3"):
        closed_form_values(FOREST.predict, X, BACKGROUND, index="SII", order=3)
    with pytest.raises(SpecError, match="for MOI"):
        closed_form_values(FOREST.predict, X, BACKGROUND, index="MOI")
    with pytest.raises(SpecError, match="is neither"):
        closed_form_values(LogisticRegression().fit(X, Y > 0).predict, X, BACKGROUND)
