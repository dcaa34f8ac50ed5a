"""Exact Shapley values of training points for K-nearest-neighbour utilities, in O(m n (d + log n)).

Hard and soft labels: Jia et al., "Efficient task-specific data valuation for nearest neighbor algorithms" (VLDB 2019), with
the recursion corrected for fewer than K points, and Wang and Jia, "A note on 'Towards efficient data valuation...'"
(arXiv:2304.04258). Threshold: Wang et al., "Threshold KNN-Shapley" (NeurIPS 2023).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Floats, Mask
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
    data = labelled(X, y, X_test, y_test)
    if k < 1:
        raise SpecError(f"k is the number of neighbours, at least 1; got {k}")
    if utility not in ("hard", "soft"):
        raise SpecError(f"utility is 'hard' or 'soft', got {utility!r}")
    n = len(data.rows)
    weights = _hard_weights(n, k) if utility == "hard" else _soft_weights(n, k)
    total = np.zeros(n)
    for start, stop in _cuts(data):
        distances = _distances(data, start, stop)
        # Any order of tied points will do, and the default sort is several times faster than a stable one.
        order = np.argsort(distances, axis=1)
        hits = (data.labels.take(order) == data.test_labels[start:stop, None]).astype(np.float64)
        ranked = distances.take(order + n * np.arange(stop - start)[:, None])
        found = _sorted_values(hits, _ties(ranked), weights)
        if utility == "soft":
            found += _soft_constant(hits.sum(axis=1), n, k, len(data.classes))[:, None]
        total += np.bincount(order.ravel(), weights=found.ravel(), minlength=n)
    return total / len(data.test_rows)


def threshold_knn_shapley(
    X: npt.ArrayLike, y: npt.ArrayLike, X_test: npt.ArrayLike, y_test: npt.ArrayLike, *, radius: float
) -> Floats:
    """Shapley values of n training points, shape (n,), averaged over the test points; O(m n d), no sorting.

    For one test point v(S) = share of matching labels among the points of S within Euclidean distance `radius` (inclusive), and
    1 / classes when there is none. Theorem 13 of the paper; its sum over coalition sizes is the harmonic number of the points
    within reach, as the others are dummies.

    Raises InputError for unusable arrays, SpecError for a radius that is not a positive number.
    """
    data = labelled(X, y, X_test, y_test)
    if not (np.isfinite(radius) and radius > 0):
        raise SpecError(f"radius is a positive distance, got {radius}")
    n, chance = len(data.rows), 1.0 / len(data.classes)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, n + 1))])
    total = np.zeros(n)
    for start, stop in _cuts(data):
        distances = _distances(data, start, stop)
        matches = data.test_labels[start:stop, None] == data.labels
        near = distances <= radius * radius
        count = near.sum(axis=1, keepdims=True)
        hits = (matches & near).sum(axis=1, keepdims=True)
        reach, others = np.maximum(count, 1), np.maximum(count - 1, 1)
        later = np.where(count > 1, harmonic[count] - 1.0, 0.0)
        found = (matches - chance) / reach + later * (matches / reach - (hits - matches) / (reach * others))
        total += np.where(near, found, 0.0).sum(axis=0)
    return total / len(data.test_rows)


def _cuts(data: LabelledData) -> list[tuple[int, int]]:
    m, rows = len(data.test_rows), max(1, _ENTRIES // len(data.rows))
    return [(start, min(start + rows, m)) for start in range(0, m, rows)]


def _distances(data: LabelledData, start: int, stop: int) -> Floats:
    """Squared distances of test points [start, stop), shape (t, n)."""
    # Differences, not a matrix product: equal points must get equal bits, or ties would be missed.
    distances = cdist(data.test_rows[start:stop], data.rows, "sqeuclidean")
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
