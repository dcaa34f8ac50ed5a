"""Batched logistic regression against scikit-learn's, converged tightly, on every prefix."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from xai_ray.errors import SpecError
from xai_ray.valuation.logistic import TILE, LogisticFits

R = np.random.default_rng(2)
X, TEST = R.normal(size=(60, 5)), R.normal(size=(200, 5))
Y = (X[:, 0] + 0.7 * R.normal(size=60) > 0).astype(np.int64)


def refit(weights: np.ndarray, C: float, intercept: bool) -> LogisticRegression:
    model = LogisticRegression(C=C, fit_intercept=intercept, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    held = weights > 0
    return model.fit(X[held], Y[held], sample_weight=weights[held])


def check(fits: LogisticFits, weights: np.ndarray, C: float, intercept: bool) -> None:
    found = fits.parameters(weights)
    for row, theta in zip(weights, found, strict=True):
        model = refit(row, C, intercept)
        expected = np.append(model.coef_[0], model.intercept_) if intercept else model.coef_[0]
        np.testing.assert_allclose(theta, expected, rtol=1e-6, atol=1e-6)
        scores = TEST @ theta[:5] + (theta[5] if intercept else 0.0)
        assert np.array_equal(scores > 0, model.predict(TEST) == 1)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("C", [0.1, 1.0, 100.0])
def test_every_prefix_equals_refits(C: float, intercept: bool) -> None:
    order = R.permutation(60)
    weights = np.zeros((60, 60))
    weights[:, order] = np.tril(np.ones((60, 60)))
    fits = LogisticFits(X, Y, C=C, intercept=intercept)
    check(fits, weights[fits.two_classes(weights)], C, intercept)


@pytest.mark.parametrize("tile", [TILE, 7])
@pytest.mark.parametrize("C", [0.1, 100.0])
def test_prefixes_in_one_sweep_equal_refits(C: float, tile: int, monkeypatch) -> None:
    """Those of one class have no fit and are 0; lengths may skip, as those of groups do."""
    monkeypatch.setattr("xai_ray.valuation.logistic.TILE", tile)
    fits = LogisticFits(X, Y, C=C, intercept=True)
    order = np.concatenate(
        [np.flatnonzero(Y == 1)[:5], R.permutation(np.delete(np.arange(60), np.flatnonzero(Y == 1)[:5]))]
    )
    for lengths in (np.arange(1, 61), np.array([2, 4, 9, 10, 31, 60])):
        found = fits.prefix_parameters(order, lengths)
        assert found.shape == (len(lengths), 6)
        for t, theta in zip(lengths, found, strict=True):
            weights = np.zeros(60)
            weights[order[:t]] = 1.0
            if len(set(Y[order[:t]])) == 1:
                assert (theta == 0).all()
                continue
            model = refit(weights, C, True)
            np.testing.assert_allclose(theta, np.append(model.coef_[0], model.intercept_), rtol=1e-6, atol=1e-6)


def test_bootstrap_counts_and_weights_equal_refits() -> None:
    counts = R.multinomial(60, np.full(60, 1 / 60), size=70).astype(np.float64)
    weights = np.concatenate([counts, R.exponential(size=(10, 60))])
    check(LogisticFits(X, Y, C=1.0, intercept=True), weights, 1.0, True)


def test_large_and_separable_features_converge() -> None:
    rows = np.column_stack([np.where(Y > 0, 50.0, -50.0), 30.0 * X[:, 1]])
    weights = (R.random((70, 60)) < 0.1).astype(np.float64)
    fits = LogisticFits(rows, Y, C=1000.0, intercept=True)
    weights = weights[fits.two_classes(weights)]
    theta = fits.parameters(weights)
    chance = 1 / (1 + np.exp(-(theta @ np.column_stack([rows, np.ones(60)]).T)))
    gradient = (weights * (chance - Y)) @ np.column_stack([rows, np.ones(60)])
    gradient[:, :2] += theta[:, :2] / 1000.0
    assert np.abs(gradient).max() < 1e-6


def test_a_row_keeps_its_bits_in_other_company() -> None:
    fits = LogisticFits(X, Y, C=1.0, intercept=True)
    weights = (R.random((2 * TILE, 60)) < 0.6).astype(np.float64)
    whole = fits.parameters(weights)
    assert np.array_equal(fits.parameters(weights[TILE:]), whole[TILE:])
    assert np.array_equal(fits.parameters(weights[:3]), whole[:3])
    mixed = weights.copy()
    mixed[1:TILE:2] = weights[TILE + 1 :: 2]
    assert np.array_equal(fits.parameters(mixed)[0:TILE:2], whole[0:TILE:2])


def test_one_class_and_no_penalty_are_refused() -> None:
    fits = LogisticFits(X, Y, C=1.0, intercept=True)
    weights = np.ones((3, 60))
    weights[1, Y == 1] = 0.0
    with pytest.raises(SpecError, match="weighting 1 holds points of one class"):
        fits.parameters(weights)
    with pytest.raises(SpecError, match="C is a positive number"):
        LogisticFits(X, Y, C=np.inf, intercept=True)


def test_steps_that_halve_gradients_do_not_go_round() -> None:
    """Nine points for which full steps alternate between two places, up in the objective and back."""
    rows, labels = load_breast_cancer(return_X_y=True)
    generator = np.random.default_rng(2)
    order = generator.permutation(len(rows))[:550]
    rows, labels = scale(rows[order[:150]]), labels[order[:150]]
    labels[generator.permutation(150)[:30]] ^= 1
    members = [10, 17, 31, 61, 70, 122, 130, 143, 144]
    weights = np.zeros((1, 150))
    weights[0, members] = 1.0
    theta = LogisticFits(rows, labels, C=1.0, intercept=True).parameters(weights)[0]
    model = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)
    model.fit(rows[members], labels[members])
    np.testing.assert_allclose(theta, np.append(model.coef_[0], model.intercept_), rtol=1e-6, atol=1e-6)
