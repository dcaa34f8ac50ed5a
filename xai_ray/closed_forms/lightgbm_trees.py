"""Trees of LightGBM, read from the text of the model, which has one line an array of a tree.

A child at or above 0 is a split, one below is leaf -1 - child. Numbers have 17 digits, so they are those of the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.closed_forms.forest import Forest
from xai_ray.closed_forms.nodes import Tree, in_columns, joined, one_tree
from xai_ray.errors import SpecError
from xai_ray.types import Ints

CATEGORIES = "trees that split on categories have no closed form here; encode them as numbers"
_CATEGORICAL = 1
"""Bits of a decision type: whether it is a set of categories, then, from the third bit, what is missing."""
_MISSING, _ZEROS = 2, 1


def lightgbm_forest(owner: Any) -> Forest:
    """Raw scores of a Booster or an estimator. Raises SpecError for categories and for zeros that are read as missing."""
    booster = getattr(owner, "booster_", owner)
    best = getattr(owner, "best_iteration_", None) or getattr(booster, "best_iteration", None)
    text: str = booster.model_to_string(num_iteration=best if best and best > 0 else None)
    head, *parts = text.split("\nend of trees")[0].split("\nTree=")
    lines = head.splitlines()
    m = next(int(line.partition("=")[2]) for line in lines if line.startswith("num_tree_per_iteration="))
    # A random forest of LightGBM ("rf") is the mean of its trees.
    share = m / max(1, len(parts)) if "average_output" in lines else 1.0
    trees = [_tree(dict(line.split("=", 1) for line in part.splitlines() if "=" in line)) for part in parts]
    sizes = np.array([len(tree.value) for tree in trees], dtype=np.int64)
    value = in_columns(share * np.concatenate([tree.value[:, 0] for tree in trees]), sizes, m)
    nodes = joined(trees, value)
    return Forest.of(nodes, np.float64, np.zeros(m))


def _tree(said: dict[str, str]) -> Tree:
    """Splits first, then leaves."""
    leaves = _numbers(said["leaf_value"], np.float64)
    types = _numbers(said.get("decision_type", ""), np.int64)
    if (types & _CATEGORICAL).any():
        raise SpecError(f"closed_form: {CATEGORIES}")
    if ((types >> _MISSING) == _ZEROS).any():
        raise SpecError("closed_form: trees that read zeros as missing have no closed form here (zero_as_missing)")
    splits = len(leaves) - 1
    none = np.full(len(leaves), -1, dtype=np.int64)
    left, right = (_children(_numbers(said.get(side, ""), np.int64), splits) for side in ("left_child", "right_child"))
    feature, threshold = (
        _numbers(said.get("split_feature", ""), np.int64),
        _numbers(said.get("threshold", ""), np.float64),
    )
    return one_tree(
        np.concatenate([left, none]),
        np.concatenate([right, none]),
        np.concatenate([feature, none]),
        np.concatenate([threshold, np.zeros(len(leaves))]),
        np.concatenate([np.zeros(splits), leaves])[:, None],
    )


def _children(found: Ints, splits: int) -> Ints:
    return np.where(found < 0, splits - 1 - found, found)


def _numbers(text: str, kind: Any) -> npt.NDArray[Any]:
    return np.array(text.split(), dtype=kind)
