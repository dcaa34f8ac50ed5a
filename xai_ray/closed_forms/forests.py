"""Tree ensembles of scikit-learn, LightGBM and XGBoost as sums of trees, of the output that a method gives.

What is a sum of trees: predictions of regressors, probabilities of forests and single trees, decision functions of boosted classifiers.
The probability of a boosted classifier and the log-odds of a forest are not.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from xai_ray.closed_forms.behind import Behind
from xai_ray.closed_forms.forest import Forest
from xai_ray.closed_forms.lightgbm_trees import CATEGORIES, lightgbm_forest
from xai_ray.closed_forms.nodes import Tree, in_columns, joined, one_tree
from xai_ray.errors import SpecError
from xai_ray.types import Floats, Ints


def forest_of(found: Behind) -> Forest | None:
    """The forest that a method computes, or None where it is not one."""
    owner, name = found.owner, type(found.owner).__name__
    if name in ("Booster", "LGBMRegressor", "LGBMClassifier") and type(owner).__module__.startswith("lightgbm"):
        raw = found.arguments.get("raw_score", False) or name == "LGBMRegressor"
        scores = name == "LGBMClassifier" and found.method == "predict_proba"
        return lightgbm_forest(owner) if (found.method == "predict" or scores) and raw else None
    if name in ("XGBRegressor", "XGBClassifier"):
        raw = found.arguments.get("output_margin", False) or name == "XGBRegressor"
        return _xgboost(owner) if found.method == "predict" and raw else None
    if name.startswith("HistGradientBoosting"):
        return _histogram(owner) if found.method == _raw_method(owner) else None
    if name.startswith("GradientBoosting"):
        return _boosted(owner) if found.method == _raw_method(owner) else None
    wanted = "predict_proba" if hasattr(owner, "classes_") else "predict"
    if found.method != wanted:
        return None
    if name.startswith(("RandomForest", "ExtraTrees")):
        return _averaged(owner.estimators_, owner)
    if name.startswith(("DecisionTree", "ExtraTree")):
        return _averaged([owner], owner)
    return None


def _raw_method(owner: Any) -> str:
    return "decision_function" if hasattr(owner, "classes_") else "predict"


def _averaged(estimators: list[Any], owner: Any) -> Forest | None:
    if owner.n_outputs_ != 1:
        return None
    trees = [one.tree_ for one in estimators]
    value = np.concatenate([tree.value[:, 0, :] for tree in trees]).astype(np.float64)
    if hasattr(owner, "classes_"):
        # Older releases keep counts, newer ones shares.
        value = value / value.sum(axis=1, keepdims=True)
    return Forest.of(_sklearn(trees, value / len(trees)), np.float32, np.zeros(value.shape[1]))


def _sklearn(trees: list[Any], value: Floats) -> Tree:
    each = [one_tree(t.children_left, t.children_right, t.feature, t.threshold, value) for t in trees]
    found = joined(each, value)
    if np.isnan(found.threshold[found.left >= 0]).any():
        raise SpecError("closed_form: a tree splits on missing values alone; fill them in before training")
    return found


def _boosted(owner: Any) -> Forest:
    stages = owner.estimators_
    m, trees = stages.shape[1], [one.tree_ for stage in stages for one in stage]
    value = owner.learning_rate * np.concatenate([tree.value[:, 0, 0] for tree in trees])
    return Forest.of(_sklearn(trees, in_columns(value, _nodes(trees), m)), np.float32, np.zeros(m))


def _nodes(trees: list[Any]) -> Ints:
    return np.array([tree.node_count for tree in trees], dtype=np.int64)


def _histogram(owner: Any) -> Forest:
    m, each = len(owner._predictors[0]), [one.nodes for stage in owner._predictors for one in stage]
    sizes, nodes = np.array([len(one) for one in each], dtype=np.int64), np.concatenate(each)
    if nodes["is_categorical"].any():
        raise SpecError(f"closed_form: {CATEGORIES}")
    leaf, roots = nodes["is_leaf"].astype(bool), np.cumsum(sizes) - sizes
    shift = np.repeat(roots, sizes)
    left, right = (np.where(leaf, -1, nodes[side].astype(np.int64) + shift) for side in ("left", "right"))
    feature, value = nodes["feature_idx"].astype(np.int64), in_columns(nodes["value"], sizes, m)
    return Forest.of(Tree(left, right, feature, nodes["num_threshold"], value, roots), np.float64, np.zeros(m))


def _xgboost(owner: Any) -> Forest:
    if (
        owner.get_params().get("booster") == "gblinear"
        or owner.get_params().get("multi_strategy") == "multi_output_tree"
    ):
        raise SpecError(
            "closed_form: of XGBoost, trees with one number a leaf; booster='gblinear' and multi_output_tree have none here"
        )
    booster = owner.get_booster()
    best = getattr(owner, "best_iteration", None) if owner.early_stopping_rounds else None
    booster = booster if best is None else booster[: best + 1]
    learner = json.loads(booster.save_config())["learner"]["learner_model_param"]
    texts, m = booster.get_dump(dump_format="json"), max(1, int(learner["num_class"]), int(learner["num_target"]))
    names = {name: at for at, name in enumerate(booster.feature_names or [])}
    each = owner.get_params().get("num_parallel_tree") or 1
    trees = [_xgboost_tree(json.loads(text), names) for text in texts]
    sizes = np.array([len(tree.value) for tree in trees], dtype=np.int64)
    # The trees of one output and round stand together.
    together = np.add.reduceat(sizes, np.arange(0, len(sizes), each)) if each > 1 else sizes
    value = in_columns(np.concatenate([tree.value[:, 0] for tree in trees]), together, m)
    nodes = joined(trees, value)
    return Forest.of(nodes, np.float32, np.zeros(m))


def _xgboost_tree(root: dict[str, Any], names: dict[str, int]) -> Tree:
    nodes: dict[int, dict[str, Any]] = {}
    queue = [root]
    for node in queue:
        nodes[node["nodeid"]] = node
        queue += node.get("children", [])
    count = max(nodes) + 1
    left, right, feature = (np.full(count, -1, dtype=np.int64) for _ in range(3))
    threshold, value = np.zeros(count), np.zeros((count, 1))
    for at, node in nodes.items():
        if "leaf" in node:
            value[at] = node["leaf"]
            continue
        if not isinstance(node["split_condition"], (int, float)):
            raise SpecError(f"closed_form: {CATEGORIES}")
        left[at], right[at] = node["yes"], node["no"]
        feature[at] = names[node["split"]] if names else int(node["split"][1:])
        # Left is strictly below the cut, in single precision.
        threshold[at] = np.nextafter(np.float32(node["split_condition"]), np.float32(-np.inf))
    return one_tree(left, right, feature, threshold, value)
