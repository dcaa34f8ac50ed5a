"""How much memory each training engine takes, from the shapes of its data alone. Checked against measured peaks.

Counted are the arrays of the engine's largest moment, in float64 unless said. n points, d features, m test points, C columns of
decisions (classes, or 1), b models of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from xai_ray.valuation.gram import LARGEST_TABLE
from xai_ray.valuation.memory import Need

_WORD = 8
_SUBSET = "value a subset of the points, or a smaller test set"
_KERNEL = (
    "value groups of points on a subset, take Ridge or RidgeClassifier with fewer features than points (which needs no n x n matrix), "
    "or a subset of the points"
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Shapes of a training game."""

    points: int
    features: int
    """With the constant column, if there is one."""
    tests: int
    columns: int
    """Classes, or 1 for a regression."""
    targets: int = 1
    """Right sides of a ridge system."""

    @property
    def data(self) -> tuple[str, int]:
        """Rows as they came and as the engine keeps them."""
        return "data", 2 * _WORD * (self.points + self.tests) * (self.features + 1)

    @property
    def decided(self) -> int:
        """Decisions of one model and what scoring makes of them."""
        return _WORD * self.tests * (4 * self.columns + 4)

    @property
    def pairs(self) -> int:
        """Products of two columns."""
        return self.features * (self.features + 1) // 2

    @property
    def tabled(self) -> bool:
        """Whether the products of all rows are kept, see `WeightedGram`."""
        return self.points * self.pairs <= LARGEST_TABLE


def logistic_need(sizes: Sizes, models: int) -> Need:
    """Two classes by Newton steps; with the chains of prefixes, whose rows and products are copied in their order."""
    n, d = sizes.points, sizes.features
    orders = _WORD * n * (2 * d + 6)
    parts = (sizes.data, ("products of the features", _products(sizes, 2)), ("a permutation", orders))
    return Need(parts, _WORD * (9 * n + 4 * d * d) + n + sizes.decided, models, _SUBSET)


def softmax_need(sizes: Sizes, models: int) -> Need:
    """Three classes or more by Newton steps on all of a model's parameters."""
    n, d, c = sizes.points, sizes.features, sizes.columns
    pairs = c * (c + 1) // 2
    gram = pairs * ((sizes.pairs if sizes.tabled else 0) + 2 * d * d)
    each = _WORD * (n * (4 * pairs + 7 * c + 3) + gram + 4 * (c * d) ** 2) + n + sizes.decided
    return Need((sizes.data, ("products of the features", _products(sizes, 1))), each, models, _SUBSET)


def linear_ridge_need(sizes: Sizes, models: int) -> Need:
    """Systems of the size of the features."""
    n, d, q = sizes.points, sizes.features, sizes.targets
    block = _WORD * d * (q + 2)
    each = _WORD * (2 * n + 3 * d * d) + block + sizes.decided + _WORD * 2 * sizes.tests * q + n
    orders = _WORD * n * (2 * d + 2 * q + 3)
    parts = (
        sizes.data,
        ("products of the features", _products(sizes, 1) + _WORD * n * d * q),
        ("a permutation", orders),
    )
    return Need(parts, each, models, _SUBSET)


def kernel_ridge_need(sizes: Sizes, models: int, entries: int) -> Need:
    """Kernel matrices of the points; `entries` predictions are held at a time along a permutation."""
    n, m, q = sizes.points, sizes.tests, sizes.targets
    parts = (
        sizes.data,
        ("kernel matrix", _WORD * n * (n + m)),
        ("factor of a permutation", _WORD * n * (3 * n + 3 * (m + q + 1))),
        ("predictions", _WORD * 4 * min(entries, n * m * (q + 1)) + sizes.decided),
    )
    # A batch is solved while no permutation is.
    each = _WORD * (2 * n * n + 3 * n * (q + 1)) + sizes.decided
    return Need(parts, each, models, _KERNEL)


def neighbours_need(sizes: Sizes, models: int) -> Need:
    """Ranks of all points from all test points."""
    n, m, c = sizes.points, sizes.tests, sizes.columns
    parts = (sizes.data, ("ranks of the points", _WORD * m * n * (2 + c)))
    advice = "take knn_shapley (method='knn'), which holds a few test points at a time, fewer test points, or a subset of the points"
    return Need(parts, 15 * m * n + sizes.decided + n, models, advice)


def refit_need(sizes: Sizes) -> Need:
    """The data and one model's rows; what the estimator itself takes is not known beforehand."""
    rows = _WORD * (sizes.points + sizes.tests) * (sizes.features + 1)
    return Need((sizes.data, ("rows of one fit", rows)), sizes.decided, 1, _SUBSET)


def _products(sizes: Sizes, copies: int) -> int:
    """The table of all rows, or the weighted rows of one model at a time."""
    return _WORD * sizes.points * (sizes.pairs * copies if sizes.tabled else sizes.features)
