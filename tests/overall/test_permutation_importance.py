"""Permutation importance: against scikit-learn on the same permutations, and standard errors that cover the population's value."""

import numpy as np
import pytest
from sklearn.inspection import permutation_importance as theirs
from sklearn.linear_model import LogisticRegression, Ridge

import xai_ray as xr
from xai_ray.errors import InputError, SpecError
from xai_ray.games import ColumnGroups, LossGame, Marginal

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = X[:, 0] + 0.5 * X[:, 1] * X[:, 2] + 0.1 * RNG.normal(size=60)


def shuffles(seed, repeats, rows):
    """As scikit-learn deals them: one seed for all columns, each repeat shuffles the column as the one before left it."""
    random = np.random.RandomState(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    order, column, out = np.arange(rows), np.arange(rows), []
    for _ in range(repeats):
        random.shuffle(order)
        column = column[order]
        out.append(column)
    return np.array(out)


@pytest.mark.parametrize("classes", [False, True])
def test_equals_scikit_learn_on_the_same_permutations(classes):
    labels = np.where(Y > 0, "yes", "no") if classes else Y
    model = LogisticRegression().fit(X, labels) if classes else Ridge().fit(X, labels)
    scoring = "neg_log_loss" if classes else "neg_mean_squared_error"
    want = theirs(model, X, labels, scoring=scoring, n_repeats=5, random_state=3)
    found = xr.permutation_importance(
        model.predict_proba if classes else model.predict, X, labels, loss="cross_entropy" if classes else "squared_error",
        outputs="probabilities" if classes else "raw", classes=model.classes_.tolist() if classes else None,
        permutations=shuffles(3, 5, 60),
    )  # fmt: skip
    np.testing.assert_allclose(found.values[:, 0], want.importances_mean, atol=1e-12)
    np.testing.assert_allclose(found.repeats[:, :, 0].T, want.importances, atol=1e-12)
    np.testing.assert_allclose(
        found.repeat_std_errors[:, 0], want.importances.std(axis=1, ddof=1) / np.sqrt(5), atol=1e-12
    )


def test_many_repeats_come_to_the_loss_game():
    """All pairs of rows: v(N) - v(N without i) of the loss game with loss then mean; rows drawn as their own partners included."""
    model = Ridge().fit(X, Y).predict
    game = LossGame(model, X, Y, removal=Marginal(X), loss="squared_error", convention="loss_then_mean")
    ends = game.values(np.concatenate([np.ones((1, 4), bool), ~np.eye(4, dtype=bool)]), np.zeros(5, dtype=np.int64))[
        :, 0
    ]
    found = xr.permutation_importance(model, X, Y, loss="squared_error", repeats=400)
    np.testing.assert_allclose(found.values[:, 0], ends[0] - ends[1:], atol=4.5 * found.repeat_std_errors.max())


@pytest.mark.parametrize("repeats", [1, 3])
def test_standard_errors_cover_the_population(repeats):
    """Rows drawn anew each time: y = x0 + x1 x2 + noise, a model that knows it; x uniform on (-1, 1)."""
    want = np.array([2 / 3, 2 / 9, 2 / 9, 0.0])  # E (x0 - x0')^2, E x2^2 (x1 - x1')^2
    covered, errors, values = [], [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        rows = rng.uniform(-1, 1, size=(200, 4))
        truth = rows[:, 0] + rows[:, 1] * rows[:, 2] + 0.3 * rng.normal(size=200)
        found = xr.permutation_importance(
            lambda x: x[:, 0] + x[:, 1] * x[:, 2], rows, truth, loss="squared_error", repeats=repeats, seed=seed
        )
        covered.append(np.abs(found.values[:, 0] - want) <= 1.96 * found.std_errors[:, 0] + 1e-12)
        errors.append(found.std_errors[:, 0])
        values.append(found.values[:, 0])
    rate = np.mean(covered, axis=0)
    assert ((rate >= 0.92) & (rate <= 0.98))[:3].all(), rate
    np.testing.assert_allclose(
        np.sqrt(np.mean(np.square(errors), axis=0)), np.std(values, axis=0), rtol=0.15, atol=1e-9
    )


def test_groups_several_losses_and_bad_arguments():
    model = Ridge().fit(X, Y).predict
    found = xr.permutation_importance(
        model, X, Y, loss=("squared_error", lambda f, t: np.abs(f - t)[:, 0]), outputs="raw", repeats=2,
        players=ColumnGroups({"a": [0, 1], "b": [2, 3]}),
    )  # fmt: skip
    assert found.values.shape == (2, 2)
    assert found.player_names == ("a", "b")
    with pytest.raises(SpecError, match="repeats must be at least 1"):
        xr.permutation_importance(model, X, Y, loss="squared_error", repeats=0)
    with pytest.raises(InputError, match=r"every row 0\.\.59 once"):
        xr.permutation_importance(model, X, Y, loss="squared_error", permutations=np.zeros((2, 60), dtype=int))
