"""Class-wise Shapley against enumeration of all contexts and coalitions."""

from itertools import product
from math import exp

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from xai_ray.errors import SpecError
from xai_ray.indices.exact import exact
from xai_ray.indices.question import Question
from xai_ray.valuation.class_wise import class_wise_shapley

R = np.random.default_rng(9)
X, TEST = R.normal(size=(6, 2)), R.normal(size=(30, 2))
Y, TEST_Y = np.array([0, 1, 0, 1, 0, 1]), (TEST[:, 0] + TEST[:, 1] > 0).astype(int)


def value(estimator, members: list[int], own: int) -> float:
    labels = set(Y[members])
    if not labels:
        inside = np.mean(own == TEST_Y)
        return inside / 2 * exp((1 - inside) / 2)
    predicted = np.full(30, Y[members[0]]) if len(labels) == 1 else estimator.fit(X[members], Y[members]).predict(TEST)
    right = predicted == TEST_Y
    return float(np.mean(right & (own == TEST_Y)) * exp(np.mean(right & (own != TEST_Y))))


def enumerated(estimator) -> np.ndarray:
    out = np.zeros(6)
    for own in (0, 1):
        mine, others = np.flatnonzero(own == Y), np.flatnonzero(own != Y)
        for context in product([False, True], repeat=len(others)):
            members = others[list(context)].tolist()
            table = [value(estimator, [*members, *mine[(s >> np.arange(3)) & 1 == 1]], own) for s in range(8)]
            out[mine] += exact(np.array(table)[:, None], Question("SV")).values[:, 0] / 8
    return out


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(tol=1e-10), RidgeClassifier(), DecisionTreeClassifier(random_state=0)], ids=repr
)
def test_meets_enumeration_within_its_standard_errors(estimator) -> None:
    permutations = 100 if isinstance(estimator, DecisionTreeClassifier) else 800
    found = class_wise_shapley(estimator, X, Y, TEST, TEST_Y, permutations=permutations, seed=1)
    gaps = np.abs(found.values - enumerated(estimator)) / found.std_errors
    assert gaps.max() < 4
    assert found.std_errors.max() < 0.06
    for own in (0, 1):
        assert found.facts["grand"][own] == pytest.approx(value(estimator, list(range(6)), own))


def test_three_classes_and_the_same_bits() -> None:
    y, y_test = np.arange(24) % 3, np.arange(30) % 3
    rows, test_rows = (
        R.normal(size=(24, 2)) + 4 * np.eye(3)[y][:, :2],
        R.normal(size=(30, 2)) + 4 * np.eye(3)[y_test][:, :2],
    )
    bad = y.copy()
    bad[:3] = (bad[:3] + 1) % 3
    run = [
        class_wise_shapley(KNeighborsClassifier(1), rows, bad, test_rows, y_test, permutations=60, seed=2)
        for _ in range(2)
    ]
    assert np.array_equal(run[0].values, run[1].values)
    assert run[0].values[:3].mean() < run[0].values[3:].mean()
    with pytest.raises(SpecError, match="permutations is a whole number"):
        class_wise_shapley(KNeighborsClassifier(1), rows, bad, test_rows, y_test, permutations=0)
