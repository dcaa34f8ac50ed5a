"""Ridge on coalitions and on prefixes against refits with scikit-learn."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from xai_ray.errors import InputError, SpecError
from xai_ray.valuation.ridge import LinearRidgeFits, RidgeFits

R = np.random.default_rng(5)
X, TEST, Y = R.normal(size=(23, 4)), R.normal(size=(9, 4)), R.normal(size=(23, 2)) + 3.0
COALITIONS = R.random((40, 23)) < R.random((40, 1))
COALITIONS = COALITIONS[COALITIONS.any(axis=1)]


def refit(members: np.ndarray, alpha: float, intercept: bool) -> np.ndarray:
    return Ridge(alpha=alpha, fit_intercept=intercept).fit(X[members], Y[members]).predict(TEST)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
def test_coalitions_equal_refits(alpha: float, intercept: bool) -> None:
    expected = np.stack([refit(row, alpha, intercept) for row in COALITIONS])
    dual = RidgeFits(X @ X.T, TEST @ X.T, Y, alpha=alpha, intercept=intercept)
    linear = LinearRidgeFits(X, TEST, Y, alpha=alpha, intercept=intercept)
    np.testing.assert_allclose(dual.predictions(COALITIONS), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(linear.predictions(COALITIONS), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("entries", [1 << 22, 100])
@pytest.mark.parametrize("intercept", [True, False])
def test_prefixes_equal_refits(intercept: bool, entries: int, monkeypatch) -> None:
    monkeypatch.setattr("xai_ray.valuation.ridge.ENTRIES", entries)
    fits = RidgeFits(X @ X.T, TEST @ X.T, Y, alpha=0.5, intercept=intercept)
    order = R.permutation(23)
    seen = 0
    for first, block in fits.prefixes(order):
        assert first == seen + 1
        for found in block:
            seen += 1
            np.testing.assert_allclose(found, refit(order[:seen], 0.5, intercept), rtol=0, atol=1e-9)
    assert seen == 23


@pytest.mark.parametrize("block", [5, 23, 64])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.01, 10.0])
def test_blocks_of_prefixes_equal_refits(alpha: float, intercept: bool, block: int, monkeypatch) -> None:
    monkeypatch.setattr("xai_ray.valuation.ridge._BLOCK", block)
    order = R.permutation(23)
    found = list(LinearRidgeFits(X, TEST, Y, alpha=alpha, intercept=intercept).prefixes(order))
    assert [first for first, _ in found] == list(range(1, 24, block))
    expected = np.stack([refit(order[:t], alpha, intercept) for t in range(1, 24)])
    np.testing.assert_allclose(np.concatenate([part for _, part in found]), expected, rtol=0, atol=1e-9)


def test_kernel_ridge_equals_refits() -> None:
    def rbf(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-0.3 * ((a[:, None] - b[None]) ** 2).sum(axis=2))

    fits = RidgeFits(rbf(X, X), rbf(TEST, X), Y, alpha=0.1, intercept=False)
    model = KernelRidge(alpha=0.1, kernel="rbf", gamma=0.3)
    expected = np.stack([model.fit(X[row], Y[row]).predict(TEST) for row in COALITIONS])
    np.testing.assert_allclose(fits.predictions(COALITIONS), expected, rtol=0, atol=1e-9)
    order = R.permutation(23)
    found = np.concatenate([block for _, block in fits.prefixes(order)])
    expected = np.stack([model.fit(X[order[:t]], Y[order[:t]]).predict(TEST) for t in range(1, 24)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("intercept", [True, False])
def test_the_empty_coalition_predicts_zero(intercept: bool) -> None:
    none = np.zeros((1, 23), dtype=bool)
    for fits in (
        RidgeFits(X @ X.T, TEST @ X.T, Y, alpha=1.0, intercept=intercept),
        LinearRidgeFits(X, TEST, Y, alpha=1.0, intercept=intercept),
    ):
        assert (fits.predictions(none) == 0).all()


def test_bad_penalties_and_kernels_are_refused() -> None:
    with pytest.raises(SpecError, match="alpha is a positive number"):
        RidgeFits(X @ X.T, TEST @ X.T, Y, alpha=0.0, intercept=True)
    indefinite = RidgeFits(-X @ X.T, TEST @ X.T, Y, alpha=0.1, intercept=True)
    with pytest.raises(InputError, match="not positive definite"):
        next(indefinite.prefixes(np.arange(23)))
