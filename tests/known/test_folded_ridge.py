"""Ridge regressions without a fold, all from one factorisation, against one explicit regression a fold."""

import numpy as np
import pytest

from xai_ray.estimators.folded_ridge import Trend, chosen_penalty, leave_out
from xai_ray.estimators.quadratic_fit import Products, Singles

FOLDS = [slice(1, 12), slice(12, 20), slice(20, 31)]
"""Row 0 is in every fit."""


def drawn(n, seed=0):
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(31, n))
    at = signs.sum(axis=1) / n
    return signs, np.stack([np.ones(31), at**2], axis=1), rng.normal(size=(31, 2)) + 1.0


def explicit(columns, target, trend, fold, penalty):
    kept = np.ones(len(target), dtype=bool)
    kept[fold] = False
    first = np.linalg.lstsq(trend[kept], target[kept], rcond=None)[0]
    X, y = columns[kept], (target - trend @ first)[kept]
    return first, np.linalg.solve(X.T @ X + penalty * np.eye(X.shape[1]), X.T @ y)


@pytest.mark.parametrize(
    ("n", "kind", "share", "close"),
    [
        (5, Singles, 0.3, 1e-10),  # the Gram matrix of the features
        (40, Singles, 1e-4, 1e-8),  # the kernel of the rows, in double precision
        (40, Singles, 0.1, 2e-5),  # in single precision
        (5, Products, 0.3, 1e-10),
        (9, Products, 1e-4, 1e-8),
        (9, Products, 0.1, 2e-5),
    ],
)
def test_each_fold_is_left_out_as_by_a_regression_of_its_own(n, kind, share, close):
    signs, trend, target = drawn(n)
    features = kind(signs)
    columns, penalty = features.columns(slice(None)), share * features.count
    found = list(leave_out(features, target, Trend(trend), FOLDS, penalty))
    assert len(found) == len(FOLDS)
    for fold, (first, coefficients) in zip(FOLDS, found, strict=True):
        expected_first, expected = explicit(columns, target, trend, fold, penalty)
        np.testing.assert_allclose(first, expected_first, atol=1e-12)
        np.testing.assert_allclose(coefficients, features.arranged(expected), atol=close)


@pytest.mark.parametrize("n", [5, 9, 40])
def test_kernels_are_products_of_the_features(n):
    for kind in (Singles, Products):
        features = kind(drawn(n)[0])
        columns = features.columns(slice(None))
        assert columns.shape[1] == features.count
        np.testing.assert_allclose(features.kernel(np.float64), columns @ columns.T, atol=1e-12)
        weights = np.random.default_rng(1).normal(size=(31, 2))
        np.testing.assert_allclose(features.combined(weights), features.arranged(columns.T @ weights), atol=1e-12)


@pytest.mark.parametrize(("n", "kind"), [(5, Singles), (40, Singles), (5, Products), (9, Products)])
def test_the_penalty_is_that_of_least_leave_one_out_error(n, kind):
    """Of one clear minimum: the explicit errors of thirty-one regressions each."""
    signs, _, noise = drawn(n, seed=3)
    features = kind(signs)
    columns = features.columns(slice(None))
    target = columns @ np.random.default_rng(2).normal(size=(features.count, 2)) + 3.0 * noise
    penalties = features.count * 10.0 ** np.arange(-4.0, 3.0)
    losses = []
    for penalty in penalties:
        left = [
            target[r] - columns[r] @ explicit(columns, target, np.zeros((31, 1)), slice(r, r + 1), penalty)[1]
            for r in range(31)
        ]
        losses.append(((np.array(left) ** 2).mean(axis=0) / target.var(axis=0)).sum())
    losses = np.array(losses)
    alike = np.flatnonzero(losses <= 1.01 * losses.min())
    assert chosen_penalty(features, target, penalties) == penalties[alike[-1]]
