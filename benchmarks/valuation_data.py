"""The problems of the data valuation benchmark, as arrays that both sides read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """Standardised features, labels of which a share is flipped, and a clean test set."""

    X: Array
    y: Numbers
    X_test: Array
    y_test: Numbers
    flipped: npt.NDArray[np.bool_]

    def save(self, path: Path) -> None:
        np.savez(path, X=self.X, y=self.y, X_test=self.X_test, y_test=self.y_test, flipped=self.flipped)


def breast_cancer(seed: int, *, n: int = 150, tests: int = 400, share: float = 0.2) -> Problem:
    """n training points with `share` of their labels flipped; 30 features, two classes."""
    from sklearn.datasets import load_breast_cancer

    return _problem(*load_breast_cancer(return_X_y=True), n, tests, share, seed)


def digits(seed: int, *, n: int = 1200, tests: int = 500, share: float = 0.2) -> Problem:
    """n training images with `share` of their labels changed; 64 features, ten classes."""
    from sklearn.datasets import load_digits

    return _problem(*load_digits(return_X_y=True), n, tests, share, seed)


def _problem(X: Array, y: Numbers, n: int, tests: int, share: float, seed: int) -> Problem:
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(X))[: n + tests]
    train, test = order[:n], order[n:]
    middle, spread = X[train].mean(axis=0), X[train].std(axis=0)
    scaled = (X - middle) / np.where(spread > 0, spread, 1.0)
    flipped = np.zeros(n, dtype=np.bool_)
    flipped[generator.permutation(n)[: round(share * n)]] = True
    classes = int(y.max()) + 1
    other = (y[train] + generator.integers(1, classes, n)) % classes
    return Problem(scaled[train], np.where(flipped, other, y[train]), scaled[test], y[test], flipped)
