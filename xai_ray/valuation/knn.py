"""Exact Shapley values of training points for K-nearest-neighbour utilities, in O(m n (d + log n)).

Hard and soft labels: Jia et al., "Efficient task-specific data valuation for nearest neighbor algorithms" (VLDB 2019), with
the recursion corrected for fewer than K points, and Wang and Jia, "A note on 'Towards efficient data valuation...'"
(arXiv:2304.04258). Threshold: Wang et al., "Threshold KNN-Shapley" (NeurIPS 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Floats, Ints, Mask
from xai_ray.valuation.data import LabelledData, labelled

_ENTRIES = 1 << 14
"""Distances held at a time: as many as stay in a processor's cache. Fixed, since it may decide the rounding of sums."""


def knn_shapley(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    X_test: npt.ArrayLike,
    y_test: npt.ArrayLike,
    *,
    k: int = 5,
    utility: Literal["hard", "soft"] = "hard",
) -> Floats:
    """Shapley values of n training points, shape (n,), averaged over the test points, in units of accuracy.

    For one test point `hard` is v(S) = (matching labels among the min(k, |S|) nearest of S) / k, and v of the empty set is 0;
    `soft` divides by min(k, |S|) instead, and v of the empty set is 1 / classes. Distances are Euclidean. Tied points: v is
    the mean over all orders of the tied points, so that equal points have equal values.

    Raises InputError for unusable arrays, SpecError for k < 1 or an unknown utility.
    """
    values = NeighbourValues(labelled(X, y, X_test, y_test), k, utility)
    data = values.data
    total = np.zeros(len(data.rows))
    for tests in cuts(data, np.arange(len(data.test_rows))):
        order, found = values.by_distance(tests)
        total += np.bincount(order.ravel(), weights=found.ravel(), minlength=len(total))
    return total / len(data.test_rows)


class NeighbourValues:
    """Values of the points for one test point each. Raises SpecError for k < 1 or an unknown utility."""

    def __init__(self, data: LabelledData, k: int, utility: str) -> None:
        if k < 1:
            raise SpecError(f"k is the number of neighbours, at least 1; got {k}")
        if utility not in ("hard", "soft"):
            raise SpecError(f"utility is 'hard' or 'soft', got {utility!r}")
        n = len(data.rows)
        self.data, self._k, self._soft = data, k, utility == "soft"
        self._weights = _soft_weights(n, k) if self._soft else _hard_weights(n, k)

    def by_distance(self, tests: Ints) -> tuple[Ints, Floats]:
        """Points by their distance from each test point, and their values, each (t, n)."""
        data, n = self.data, len(self.data.rows)
        distances = _distances(data, tests)
        # Any order of tied points will do, and the default sort is several times faster than a stable one.
        order = np.argsort(distances, axis=1)
        hits = (data.labels.take(order) == data.test_labels[tests, None]).astype(np.float64)
        ranked = distances.take(order + n * np.arange(len(tests))[:, None])
        found = _sorted_values(hits, _ties(ranked), self._weights)
        if self._soft:
            found += _soft_constant(hits.sum(axis=1), n, self._k, len(data.classes))[:, None]
        return order, found

    def samples(self, tests: Ints) -> Floats:
        """Values of the points for each test point, shape (t, n)."""
        order, found = self.by_distance(tests)
        out = np.empty_like(found)
        np.put_along_axis(out, order, found, axis=1)
        return out


def threshold_knn_shapley(
    X: npt.ArrayLike, y: npt.ArrayLike, X_test: npt.ArrayLike, y_test: npt.ArrayLike, *, radius: float
) -> Floats:
    """Shapley values of n training points, shape (n,), averaged over the test points; O(m n d), no sorting.

    For one test point v(S) = share of matching labels among the points of S within Euclidean distance `radius` (inclusive), and
    1 / classes when there is none. Theorem 13 of the paper; its sum over coalition sizes is the harmonic number of the points
    within reach, as the others are dummies.

    Raises InputError for unusable arrays, SpecError for a radius that is not a positive number.
    """
    values = ThresholdValues(labelled(X, y, X_test, y_test), radius)
    total = np.zeros(len(values.data.rows))
    for tests in cuts(values.data, np.arange(len(values.data.test_rows))):
        total += values.samples(tests).sum(axis=0)
    return total / len(values.data.test_rows)


class ThresholdValues:
    """Values of the points for one test point each. Raises SpecError for a radius that is not a positive number."""

    def __init__(self, data: LabelledData, radius: float) -> None:
        if not (np.isfinite(radius) and radius > 0):
            raise SpecError(f"radius is a positive distance, got {radius}")
        self.data, self._radius = data, radius
        self._harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, len(data.rows) + 1))])

    def samples(self, tests: Ints) -> Floats:
        """Values of the points for each test point, shape (t, n)."""
        data, chance = self.data, 1.0 / len(self.data.classes)
        matches = data.test_labels[tests, None] == data.labels
        near = _distances(data, tests) <= self._radius * self._radius
        count = near.sum(axis=1, keepdims=True)
        hits = (matches & near).sum(axis=1, keepdims=True)
        reach, others = np.maximum(count, 1), np.maximum(count - 1, 1)
        later = np.where(count > 1, self._harmonic[count] - 1.0, 0.0)
        found = (matches - chance) / reach + later * (matches / reach - (hits - matches) / (reach * others))
        return np.where(near, found, 0.0)


def cuts(data: LabelledData, tests: Ints) -> Iterator[Ints]:
    """These test points, some at a time."""
    rows = max(1, _ENTRIES // len(data.rows))
    yield from (tests[start : start + rows] for start in range(0, len(tests), rows))


def _distances(data: LabelledData, tests: Ints) -> Floats:
    """Squared distances of test points, shape (t, n)."""
    # Differences, not a matrix product: equal points must get equal bits, or ties would be missed.
    distances = cdist(data.test_rows[tests], data.rows, "sqeuclidean")
    if not np.isfinite(distances).all():
        raise InputError("distances overflow; scale the features")
    return distances


def _hard_weights(n: int, k: int) -> Floats:
    return 1.0 / np.maximum(k, np.arange(1, n + 1))


def _soft_weights(n: int, k: int) -> Floats:
    k = min(k, n)
    if n == 1:
        return np.ones(1)
    rank = np.arange(1, n + 1)
    harmonic = _harmonic(k)
    weights = (harmonic + (np.minimum(rank, k) * (n - 1) / rank - k) / k) / (n - 1)
    weights[-1] = harmonic / n + (harmonic - 1) / (n * (n - 1))
    return weights


def _soft_constant(hits: Floats, n: int, k: int, classes: int) -> Floats:
    spread = (_harmonic(min(k, n)) - 1) / (n * (n - 1)) if n > 1 else 0.0
    return -hits * spread - 1.0 / (classes * n)


def _harmonic(k: int) -> float:
    return float((1.0 / np.arange(1, k + 1)).sum())


def _ties(distances: Floats) -> Mask | None:
    """Whether a place of a sorted row (t, n) is the first of its distance; None when no two distances are equal."""
    first = np.ones(distances.shape, dtype=np.bool_)
    np.not_equal(distances[:, 1:], distances[:, :-1], out=first[:, 1:])
    return None if first.all() else first


def _sorted_values(hits: Floats, first: Mask | None, weights: Floats) -> Floats:
    """s_i = w_i h_i + sum over j > i of (w_j - w_{j-1}) h_j for rows of hits (t, n) by distance.

    The recursions s_i = s_{i+1} + w_i (h_i - h_{i+1}) of both papers, summed. They are linear in h, so the mean over all orders
    of tied points replaces h and w by their means over the tie, and h of the others by the mean of the others.
    """
    terms = hits * np.diff(weights, prepend=0.0)
    if first is None:
        return hits * weights + _after(terms)
    # Only tied places are treated apart: they are few, and everything else is one pass over the rows.
    tied = ~first
    tied[:, :-1] |= ~first[:, 1:]
    places = np.flatnonzero(tied)
    starts = np.flatnonzero(first.ravel()[places])
    sizes = np.diff(starts, append=len(places))
    size, last = np.repeat(sizes, sizes), np.repeat(starts + sizes - 1, sizes)
    hit, weight = hits.ravel()[places], weights[places % hits.shape[1]]
    total = np.repeat(np.add.reduceat(hit, starts), sizes)
    mean_weight = np.repeat(np.add.reduceat(weight, starts) / sizes, sizes)
    terms.ravel()[places] = total / size * np.diff(weights, prepend=0.0)[places % hits.shape[1]]
    later = _after(terms)
    out = hits * weights + later
    others = (total - hit) / (size - 1)
    out.ravel()[places] = hit * mean_weight + others * (weight[last] - mean_weight) + later.ravel()[places[last]]
    return out


def _after(terms: Floats) -> Floats:
    """Sum of the later entries of each row."""
    sums = np.cumsum(terms, axis=1)
    return np.subtract(sums[:, -1:].copy(), sums, out=sums)
