"""The three data sets of the valuation protocols: training points with wrong labels, and clean points to value and to test by."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from valuation_data import Array, Numbers, Problem, breast_cancer, digits

JOBS = Path(__file__).parents[1] / "jobs"


@dataclass(frozen=True)
class Split:
    """Values are found with the validation points; curves are drawn with the test points, which no method sees."""

    problem: Problem
    """Training points, and validation points as its test set."""
    X_test: Array
    y_test: Numbers
    estimator: Any

    @property
    def arrays(self) -> tuple[Array, Numbers, Array, Numbers]:
        p = self.problem
        return p.X, p.y, p.X_test, p.y_test

    @property
    def test_arrays(self) -> tuple[Array, Numbers, Array, Numbers]:
        return self.problem.X, self.problem.y, self.X_test, self.y_test

    @property
    def classes(self) -> int:
        return int(self.problem.y.max()) + 1


def split(whole: Problem, validation: int, estimator: Any) -> Split:
    """The first `validation` test points become validation points."""
    cut = slice(None, validation), slice(validation, None)
    held, test = ((whole.X_test[part], whole.y_test[part]) for part in cut)
    return Split(Problem(whole.X, whole.y, *held, whole.flipped), *test, estimator)


def tumours(seed: int) -> Split:
    return split(breast_cancer(seed, n=150, tests=400), 100, LogisticRegression())


def pictures(seed: int) -> Split:
    return split(digits(seed, n=250, tests=800), 300, RidgeClassifier(random_state=0))


def reviews(seed: int) -> Split:
    """Embeddings of film-review snippets, by their 24 leading components over the training points."""
    sys.path.insert(0, str(JOBS))
    try:
        from value_reviews import CLASSES, noisy_reviews
    finally:
        sys.path.remove(str(JOBS))
    found = noisy_reviews(points=200, tests=200, flipped=0.2, seed=seed)
    leading = PCA(24, random_state=0).fit(found["X"])
    scale = leading.transform(found["X"]).std()
    rows, tests = (leading.transform(found[name]) / scale for name in ("X", "X_test"))
    labels, truth = (np.searchsorted(CLASSES, found[name]).astype(np.int64) for name in ("y", "y_test"))
    flipped = np.array([name.startswith("not ") for name in found["names"]])
    return split(Problem(rows, labels, tests, truth, flipped), 80, LogisticRegression())


DATA: dict[str, tuple[Callable[[int], Split], str]] = {
    "tumours": (
        tumours,
        "breast cancer, 150 training, 100 validation and 300 test points, 30 features, logistic regression",
    ),
    "pictures": (pictures, "digits in ten classes, 250, 300 and 500 points, 64 pixels, ridge classifier"),
    "reviews": (
        reviews,
        "film reviews, 200, 80 and 120 points, 24 components of MiniLM embeddings, logistic regression",
    ),
}
"""Name -> the split of a seed, and what it is. One label in five is wrong."""
