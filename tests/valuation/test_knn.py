"""KNN-Shapley against enumeration of all coalitions, with and without ties."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from xai_ray.errors import InputError, SpecError
from xai_ray.indices.exact import exact
from xai_ray.indices.question import Question
from xai_ray.valuation import knn_shapley, threshold_knn_shapley


def problem(n: int, seed: int, *, tied: bool = False, classes: int = 3, m: int = 4):
    generator = np.random.default_rng(seed)
    X, X_test = generator.normal(size=(n, 2)), generator.normal(size=(m, 2))
    if tied:
        X, X_test = np.round(X), np.round(X_test)
    y = np.concatenate([np.arange(min(classes, n)), generator.integers(0, classes, max(n - classes, 0))])
    return X, y, X_test, generator.integers(0, min(classes, n), m)


def enumerated(X, y, X_test, y_test, utility: Callable[[np.ndarray, np.ndarray], float]) -> np.ndarray:
    """Brute force: `utility(distances, matches)` of the members, averaged over the test points."""
    n = len(X)
    table = np.zeros(2**n)
    for x, label in zip(X_test, y_test, strict=True):
        far, hit = ((X - x) ** 2).sum(axis=1), y == label
        for row in range(2**n):
            members = [i for i in range(n) if row >> i & 1]
            table[row] += utility(far[members], hit[members]) / len(X_test)
    return exact(table[:, None], Question("SV")).values[:, 0]


def nearest_hits(far: np.ndarray, hit: np.ndarray, k: int) -> float:
    """Expected matches among the k nearest, over all orders of tied points."""
    if len(far) <= k:
        return float(hit.sum())
    edge = np.sort(far)[k - 1]
    inside, on_edge = far < edge, far == edge
    return float(hit[inside].sum() + hit[on_edge].mean() * (k - inside.sum()))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 1), (6, 3), (7, 5), (6, 9), (10, 4)])
def test_hard_equals_enumeration(n: int, k: int, tied: bool) -> None:
    data = problem(n, seed=n + k, tied=tied)
    expected = enumerated(*data, lambda far, hit: nearest_hits(far, hit, k) / k)
    np.testing.assert_allclose(knn_shapley(*data, k=k), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 1), (6, 3), (7, 5), (6, 9), (10, 4)])
def test_soft_equals_enumeration(n: int, k: int, tied: bool) -> None:
    data = problem(n, seed=n + k, tied=tied)
    chance = 1 / len(np.unique(data[1]))

    def utility(far: np.ndarray, hit: np.ndarray) -> float:
        return nearest_hits(far, hit, k) / min(k, len(far)) if len(far) else chance

    np.testing.assert_allclose(knn_shapley(*data, k=k, utility="soft"), enumerated(*data, utility), rtol=0, atol=1e-10)


@pytest.mark.parametrize("radius", [0.3, 1.0, 1.5, 10.0])
@pytest.mark.parametrize("n", [2, 6, 10])
def test_threshold_equals_enumeration(n: int, radius: float) -> None:
    data = problem(n, seed=n, tied=radius == 1.0)
    chance = 1 / len(np.unique(data[1]))

    def utility(far: np.ndarray, hit: np.ndarray) -> float:
        near = far <= radius**2
        return float(hit[near].mean()) if near.any() else chance

    found = threshold_knn_shapley(*data, radius=radius)
    np.testing.assert_allclose(found, enumerated(*data, utility), rtol=0, atol=1e-10)


def test_tied_points_average_the_orders_of_a_tie() -> None:
    """Nudging the tied points into each order and averaging gives the value of the tie."""
    y, X_test, y_test = np.array([0, 1, 1, 0]), np.array([[0.0]]), np.array([0])
    tied = np.array([[0.5], [1.0], [1.0], [1.0]])
    nudged = []
    for order in permutations(range(3)):
        X = tied.copy()
        X[1:, 0] += 1e-6 * np.array(order)
        nudged.append(knn_shapley(X, y, X_test, y_test, k=2))
    np.testing.assert_allclose(knn_shapley(tied, y, X_test, y_test, k=2), np.mean(nudged, axis=0), atol=1e-12)


@pytest.mark.parametrize("utility", ["hard", "soft"])
def test_duplicates_share_value(utility) -> None:
    X, y, X_test, y_test = problem(40, seed=3, m=30)
    X[17], y[17] = X[4], y[4]
    found = knn_shapley(X, y, X_test, y_test, k=3, utility=utility)
    assert found[17] == pytest.approx(found[4], abs=1e-15)


def test_chunks_of_test_points_do_not_matter(monkeypatch) -> None:
    data = problem(30, seed=1, m=25, tied=True)
    whole = knn_shapley(*data, k=3), threshold_knn_shapley(*data, radius=0.8)
    monkeypatch.setattr("xai_ray.valuation.knn._ENTRIES", 100)
    np.testing.assert_allclose(knn_shapley(*data, k=3), whole[0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(threshold_knn_shapley(*data, radius=0.8), whole[1], rtol=0, atol=1e-15)


def test_bad_input_is_refused() -> None:
    X, y, X_test, y_test = problem(6, seed=0)
    with pytest.raises(SpecError, match="at least 1"):
        knn_shapley(X, y, X_test, y_test, k=0)
    with pytest.raises(SpecError, match="'hard' or 'soft'"):
        knn_shapley(X, y, X_test, y_test, utility="firm")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="positive distance"):
        threshold_knn_shapley(X, y, X_test, y_test, radius=0.0)
    with pytest.raises(InputError, match="5 entries for 6 rows"):
        knn_shapley(X, y[:5], X_test, y_test)
    with pytest.raises(InputError, match="no training point has"):
        knn_shapley(X, y, X_test, y_test + 7)
    with pytest.raises(InputError, match="needs two classes"):
        knn_shapley(X, np.zeros(6), X_test, np.zeros(4))
    X[2, 1] = np.nan
    with pytest.raises(InputError, match=r"X\[2, 1\] is nan"):
        knn_shapley(X, y, X_test, y_test)
