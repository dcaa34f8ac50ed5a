"""Batched softmax regression against scikit-learn's, on every prefix, with absent classes."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from xai_ray.errors import SpecError
from xai_ray.valuation.softmax import SOFTMAX_TILE, SoftmaxFits

R = np.random.default_rng(8)
X, TEST = R.normal(size=(40, 3)), R.normal(size=(150, 3))
Y = np.digitize(X[:, 0] + 0.5 * R.normal(size=40), [-0.8, 0.0, 0.8])
HELD = (Y[:, None] == np.arange(4)).astype(np.float64)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("C", [0.1, 1.0, 100.0])
def test_every_prefix_equals_refits(C: float, intercept: bool) -> None:
    order = R.permutation(40)
    coalitions = np.argsort(order)[None, :] < np.arange(1, 41)[:, None]
    fits = SoftmaxFits(X, HELD, C=C, intercept=intercept)
    coalitions = coalitions[fits.classes(coalitions).sum(axis=1) > 1]
    sizes = set()
    for row, theta in zip(coalitions, fits.parameters(coalitions), strict=True):
        model = LogisticRegression(C=C, fit_intercept=intercept, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        model.fit(X[row], Y[row])
        held = model.classes_
        sizes.add(len(held))
        found = theta[held, :3] if len(held) > 2 else (theta[held[1:], :3] - theta[held[:1], :3])
        np.testing.assert_allclose(found, model.coef_, rtol=1e-6, atol=1e-6)
        logits = TEST @ theta[held, :3].T + (theta[held, 3] if intercept else 0.0)
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(chances, model.predict_proba(TEST), rtol=0, atol=1e-7)
        assert np.array_equal(held[logits.argmax(axis=1)], model.predict(TEST))
        assert (np.delete(theta, held, axis=0) == 0).all()
    assert sizes == {2, 3, 4}


def test_a_row_keeps_its_bits_in_other_company() -> None:
    fits = SoftmaxFits(X, HELD, C=1.0, intercept=True)
    coalitions = R.random((2 * SOFTMAX_TILE, 40)) < 0.6
    whole = fits.parameters(coalitions)
    assert np.array_equal(fits.parameters(coalitions[SOFTMAX_TILE:]), whole[SOFTMAX_TILE:])
    assert np.array_equal(fits.parameters(coalitions[:3]), whole[:3])
    mixed = coalitions.copy()
    mixed[1:SOFTMAX_TILE:2] = coalitions[SOFTMAX_TILE + 1 :: 2]
    assert np.array_equal(fits.parameters(mixed)[0:SOFTMAX_TILE:2], whole[0:SOFTMAX_TILE:2])


def test_one_class_is_refused() -> None:
    with pytest.raises(SpecError, match="coalition 0 holds points of one class"):
        SoftmaxFits(X, HELD, C=1.0, intercept=True).parameters((Y == 2)[None])


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(SpecError, match=r"2,004 parameters.*refit=True"):
        SoftmaxFits(R.normal(size=(40, 500)), HELD, C=1.0, intercept=True)
