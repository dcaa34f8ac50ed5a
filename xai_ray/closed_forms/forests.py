"""Tree ensembles of scikit-learn, LightGBM and XGBoost as sums of trees, of the output that a method gives.

What is a sum of trees: predictions of regressors, probabilities of forests and single trees, decision functions of boosted classifiers.
The probability of a boosted classifier and the log-odds of a forest are not.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from xai_ray.closed_forms.behind import Behind
from xai_ray.closed_forms.forest import Forest, Tree
from xai_ray.errors import SpecError
from xai_ray.types import Floats

_CATEGORIES = "trees that split on categories have no closed form here; encode them as numbers"


def forest_of(found: Behind) -> Forest | None:
    """The forest that a method computes, or None where it is not one."""
    owner, name = found.owner, type(found.owner).__name__
    if name in ("Booster", "LGBMRegressor", "LGBMClassifier") and type(owner).__module__.startswith("lightgbm"):
        raw = found.arguments.get("raw_score", False) or name == "LGBMRegressor"
        scores = name == "LGBMClassifier" and found.method == "predict_proba"
        return _lightgbm(owner) if (found.method == "predict" or scores) and raw else None
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
    trees = [_sklearn_tree(one.tree_, 1.0 / len(estimators), hasattr(owner, "classes_")) for one in estimators]
    return Forest.of(trees, np.float32, np.zeros(trees[0].value.shape[1]))


def _sklearn_tree(tree: Any, weight: float, shares: bool) -> Tree:
    if np.isnan(tree.threshold[tree.children_left >= 0]).any():
        raise SpecError("closed_form: a tree splits on missing values alone; fill them in before training")
    value = np.asarray(tree.value[:, 0, :], dtype=np.float64)
    if shares:
        # Older releases keep counts, newer ones shares.
        value = value / value.sum(axis=1, keepdims=True)
    return Tree(tree.children_left, tree.children_right, tree.feature, tree.threshold, weight * value)


def _boosted(owner: Any) -> Forest:
    stages = owner.estimators_
    m, trees = stages.shape[1], list[Tree]()
    for stage in stages:
        for column, one in enumerate(stage):
            plain = _sklearn_tree(one.tree_, owner.learning_rate, False)
            trees.append(_in_column(plain, column, m))
    return Forest.of(trees, np.float32, np.zeros(m))


def _histogram(owner: Any) -> Forest:
    m, trees = len(owner._predictors[0]), list[Tree]()
    for stage in owner._predictors:
        for column, one in enumerate(stage):
            nodes = one.nodes
            if nodes["is_categorical"].any():
                raise SpecError(f"closed_form: {_CATEGORIES}")
            leaf = nodes["is_leaf"].astype(bool)
            left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
            plain = Tree(
                left, right, nodes["feature_idx"].astype(np.int64), nodes["num_threshold"], nodes["value"][:, None]
            )
            trees.append(_in_column(plain, column, m))
    return Forest.of(trees, np.float64, np.zeros(m))


def _lightgbm(owner: Any) -> Forest:
    booster = getattr(owner, "booster_", owner)
    best = getattr(owner, "best_iteration_", None) or getattr(booster, "best_iteration", None)
    model = booster.dump_model(num_iteration=best if best and best > 0 else None)
    m = int(model["num_tree_per_iteration"])
    # A random forest of LightGBM ("rf") is the mean of its trees.
    share = m / max(1, len(model["tree_info"])) if model.get("average_output") else 1.0
    trees = [
        _in_column(_lightgbm_tree(t["tree_structure"], share), at % m, m) for at, t in enumerate(model["tree_info"])
    ]
    return Forest.of(trees, np.float64, np.zeros(m))


def _lightgbm_tree(root: dict[str, Any], share: float) -> Tree:
    queue, children = [root], list[int]()
    for node in queue:
        inner = "split_feature" in node
        if inner and node["decision_type"] != "<=":
            raise SpecError(f"closed_form: {_CATEGORIES}")
        if inner and node["missing_type"] == "Zero":
            raise SpecError("closed_form: trees that read zeros as missing have no closed form here (zero_as_missing)")
        children.append(len(queue) if inner else -1)
        queue += [node["left_child"], node["right_child"]] if inner else []
    left = np.array(children, dtype=np.int64)
    feature = np.array([node.get("split_feature", -1) for node in queue], dtype=np.int64)
    threshold = np.array([float(node.get("threshold", 0.0)) for node in queue])
    value = np.array([0.0 if "split_feature" in node else float(node["leaf_value"]) for node in queue])
    return Tree(left, np.where(left < 0, -1, left + 1), feature, threshold, share * value[:, None])


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
    trees = [_in_column(_xgboost_tree(json.loads(text), names), at // each % m, m) for at, text in enumerate(texts)]
    return Forest.of(trees, np.float32, np.zeros(m))


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
            raise SpecError(f"closed_form: {_CATEGORIES}")
        left[at], right[at] = node["yes"], node["no"]
        feature[at] = names[node["split"]] if names else int(node["split"][1:])
        # Left is strictly below the cut, in single precision.
        threshold[at] = np.nextafter(np.float32(node["split_condition"]), np.float32(-np.inf))
    return Tree(left, right, feature, threshold, value)


def _in_column(tree: Tree, column: int, m: int) -> Tree:
    value: Floats = np.zeros((len(tree.left), m))
    value[:, column] = tree.value[:, 0]
    return Tree(tree.left, tree.right, tree.feature, tree.threshold, value)
