"""Leave-one-out values against refits, for engines and for the closed form of ridge regression."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from tests.valuation.test_training_game import GAMES
from xai_ray.errors import InputError, SpecError, UnknownName
from xai_ray.valuation import TrainingGame
from xai_ray.valuation.leave_one_out import leave_one_out_values, ridge_leave_one_out

R = np.random.default_rng(4)
X, TEST = R.normal(size=(20, 3)), R.normal(size=(30, 3))
REAL, REAL_TEST = X @ [1.0, 2.0, 0.0] + 4.0 + R.normal(size=20), TEST @ [1.0, 2.0, 0.0] + 4.0


@pytest.mark.parametrize("name", GAMES)
def test_every_engine_equals_refits(name: str) -> None:
    game = GAMES[name]()
    n = game.n_players
    found = leave_one_out_values(game)
    refitted = game.refit_values(np.vstack([~np.eye(n, dtype=bool), np.ones((1, n), dtype=bool)]))
    np.testing.assert_allclose(found.values, refitted[n] - refitted[:n], rtol=0, atol=1e-7)
    assert found.facts["evaluations"] == n + 1
    assert (found.std_errors == 0).all()


def test_blocks_do_not_matter(monkeypatch) -> None:
    game = TrainingGame(Ridge(), X, REAL, TEST, REAL_TEST, scores=("r2", "neg_mean_squared_error"))
    whole = leave_one_out_values(game).values
    monkeypatch.setattr("xai_ray.valuation.leave_one_out._ENTRIES", 20)
    np.testing.assert_allclose(leave_one_out_values(game).values, whole, rtol=0, atol=1e-12)
    closed = ridge_leave_one_out(X, REAL, TEST, REAL_TEST, alpha=1.0, scores=("r2", "neg_mean_squared_error"))
    np.testing.assert_allclose(closed.values, whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("columns", [3, 60])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("alpha", [1e-3, 10.0])
def test_closed_form_equals_refits(alpha: float, intercept: bool, columns: int) -> None:
    rows, test_rows = (
        np.hstack([a, np.sin(np.outer(a[:, 0], np.arange(1, columns - 2)))]) if columns > 3 else a for a in (X, TEST)
    )
    model = Ridge(alpha, fit_intercept=intercept)
    found = ridge_leave_one_out(
        rows, REAL, test_rows, REAL_TEST, alpha=alpha, intercept=intercept, scores=("neg_mean_squared_error", "r2")
    )
    whole = model.fit(rows, REAL).predict(test_rows)
    for i in range(20):
        kept = np.arange(20) != i
        model.fit(rows[kept], REAL[kept])
        without = model.predict(test_rows)
        error = np.mean((REAL_TEST - without) ** 2) - np.mean((REAL_TEST - whole) ** 2)
        fit = r2_score(REAL_TEST, whole) - r2_score(REAL_TEST, without)
        np.testing.assert_allclose(found.values[i], [error, fit], rtol=1e-6, atol=1e-9)
        residual = REAL[i] - model.predict(rows[i : i + 1])[0]
        assert found.facts["residuals"][i] == pytest.approx(residual, rel=1e-6)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="at least two"):
        ridge_leave_one_out(X[:1], REAL[:1], TEST, REAL_TEST, alpha=1.0)
    with pytest.raises(SpecError, match="alpha is a positive number"):
        ridge_leave_one_out(X, REAL, TEST, REAL_TEST, alpha=0.0)
    with pytest.raises(SpecError, match="scores a classifier"):
        ridge_leave_one_out(X, REAL, TEST, REAL_TEST, alpha=1.0, scores=("accuracy",))
    with pytest.raises(UnknownName, match="did you mean 'r2'"):
        ridge_leave_one_out(X, REAL, TEST, REAL_TEST, alpha=1.0, scores=("r3",))
    with pytest.raises(InputError, match="overflow"):
        ridge_leave_one_out(X * 1e200, REAL, TEST, REAL_TEST, alpha=1.0)
