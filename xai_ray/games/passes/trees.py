"""What is known of scikit-learn's trees, and of ensembles of them, before they are called.

They round what they are given to single precision before all else, so they may be given it in that. Each row walks through the trees by
itself, so its bits hang on no other row and on no place in a batch (with `n_jobs` above 1 on which thread is ready first, as everywhere).
And a call costs as much a tree as thousands of rows do, so batches are large.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xai_ray.games.passes.backend import Array

_FORESTS = {
    "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor",
    "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor",
}  # fmt: skip
_BOOSTED = {"GradientBoostingClassifier", "GradientBoostingRegressor"}
_NUMBERS, _LARGEST_BATCH = 1 << 21, 1 << 16


def of_trees(model: Callable[..., Any]) -> bool:
    """Whether this is a method of scikit-learn's own that adds up leaves; of a subclass nothing is known."""
    owner = getattr(model, "__self__", None)
    kind, method = type(owner), getattr(model, "__name__", "")
    if not kind.__module__.startswith(("sklearn.ensemble.", "sklearn.tree.")):
        return False
    if kind.__name__ in _BOOSTED:
        # Another estimator to begin with may do anything with a batch.
        return method in ("predict", "decision_function") and getattr(owner, "init", None) in (None, "zero")
    return kind.__name__ in _FORESTS and method in ("predict", "predict_proba")


def rounded(array: Array) -> Array:
    """Real numbers in single precision; those that it cannot hold are infinite, which the model refuses as it would have."""
    if array.dtype.kind not in "fiub":
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def batch_of_trees(numbers: int) -> int:
    """Model rows of a forward pass for rows of so many numbers, a power of two."""
    return min(1 << max(1, _NUMBERS // max(1, numbers)).bit_length() - 1, _LARGEST_BATCH)
