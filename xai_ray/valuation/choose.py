"""Which engine trains an estimator: by its exact class and parameters; one that cannot be reproduced is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Floats, Ints
from xai_ray.valuation.data import LabelledData, NumericData
from xai_ray.valuation.engine import LogisticEngine, RidgeEngine, SoftmaxEngine, TrainingEngine, one_hot
from xai_ray.valuation.logistic import LogisticFits
from xai_ray.valuation.neighbours import NeighbourEngine
from xai_ray.valuation.refit import RefitEngine
from xai_ray.valuation.ridge import LinearRidgeFits, RidgeFits
from xai_ray.valuation.softmax import SoftmaxFits


def choose_engine(
    estimator: Any, data: LabelledData | NumericData, *, probabilities: bool, refit: bool
) -> TrainingEngine:
    """The engine for a scikit-learn estimator; `refit` asks for one fit a coalition whatever the estimator.

    Raises SpecError for a parameter that the engine of that class does not reproduce, a classifier on numbers or a regression on
    labels, and an estimator whose randomness has no seed; InputError for an object that is no estimator.
    """
    from sklearn.base import is_classifier, is_regressor

    if not (hasattr(estimator, "get_params") and hasattr(estimator, "fit") and hasattr(estimator, "predict")):
        raise InputError(
            f"{type(estimator).__name__} is no scikit-learn estimator: it needs get_params, fit and predict"
        )
    if is_classifier(estimator) != isinstance(data, LabelledData) or is_regressor(estimator) == is_classifier(
        estimator
    ):
        wanted = "classifier" if isinstance(data, LabelledData) else "regression"
        raise SpecError(f"{type(estimator).__name__} is not a {wanted}, which these scores need")
    if probabilities and not hasattr(estimator, "predict_proba"):
        raise SpecError(f"neg_log_loss needs probabilities, and {type(estimator).__name__} has no predict_proba")
    make = None if refit else _ENGINES.get(f"{type(estimator).__module__.split('.')[0]}.{type(estimator).__name__}")
    if make is not None:
        return make(estimator, data)
    _check_seeded(estimator)
    return RefitEngine(estimator, data, probabilities=probabilities)


def _logistic(estimator: Any, data: Any) -> TrainingEngine:
    p = estimator.get_params()
    _demand(estimator, "l1_ratio", p.get("l1_ratio") in (0, 0.0, None))
    _demand(estimator, "penalty", p.get("penalty") in ("l2", "deprecated", "warn"))
    _demand(estimator, "class_weight", p["class_weight"] is None)
    _demand(estimator, "solver", p["solver"] != "liblinear")
    _demand(estimator, "dual", not p["dual"])
    if len(data.classes) > 2:
        held = one_hot(data.labels, len(data.classes))
        many = SoftmaxFits(data.rows, held, C=float(p["C"]), intercept=bool(p["fit_intercept"]))
        return SoftmaxEngine(many, data.test_rows)
    fits = LogisticFits(data.rows, data.labels, C=float(p["C"]), intercept=bool(p["fit_intercept"]))
    return LogisticEngine(fits, data.test_rows)


def _ridge(estimator: Any, data: Any) -> TrainingEngine:
    p = estimator.get_params()
    _demand(estimator, "positive", not p["positive"])
    _demand(estimator, "alpha", np.ndim(p["alpha"]) == 0)
    if isinstance(data, LabelledData):
        _demand(estimator, "class_weight", p["class_weight"] is None)
    alpha, intercept = float(p["alpha"]), bool(p["fit_intercept"])
    labels, classes, targets = _targets(data)
    if data.rows.shape[1] < len(data.rows):
        linear = LinearRidgeFits(data.rows, data.test_rows, targets, alpha=alpha, intercept=intercept)
        return RidgeEngine(linear, labels, classes)
    with np.errstate(over="ignore"):
        kernel, cross = data.rows @ data.rows.T, data.test_rows @ data.rows.T
    return RidgeEngine(RidgeFits(kernel, cross, targets, alpha=alpha, intercept=intercept), labels, classes)


def _kernel_ridge(estimator: Any, data: Any) -> TrainingEngine:
    from sklearn.metrics.pairwise import pairwise_kernels

    p = estimator.get_params()
    _demand(estimator, "alpha", np.ndim(p["alpha"]) == 0)
    _demand(estimator, "kernel", isinstance(p["kernel"], str) and p["kernel"] != "precomputed")
    settings = {key: p[key] for key in ("gamma", "degree", "coef0")}
    kernel = pairwise_kernels(data.rows, data.rows, metric=p["kernel"], filter_params=True, **settings)
    cross = pairwise_kernels(data.test_rows, data.rows, metric=p["kernel"], filter_params=True, **settings)
    fits = RidgeFits(kernel, cross, data.targets[:, None], alpha=float(p["alpha"]), intercept=False)
    return RidgeEngine(fits, None, 1)


def _neighbours(estimator: Any, data: Any) -> TrainingEngine:
    p = estimator.get_params()
    _demand(estimator, "weights", p["weights"] == "uniform")
    _demand(estimator, "metric", p["metric"] == "euclidean" or (p["metric"] == "minkowski" and p["p"] == 2))
    return NeighbourEngine(data, int(p["n_neighbors"]))


_ENGINES: dict[str, Callable[[Any, Any], TrainingEngine]] = {
    "sklearn.LogisticRegression": _logistic,
    "sklearn.Ridge": _ridge,
    "sklearn.RidgeClassifier": _ridge,
    "sklearn.KernelRidge": _kernel_ridge,
    "sklearn.KNeighborsClassifier": _neighbours,
}
"""Package and class -> engine; every other class is trained once a coalition."""


def _targets(data: LabelledData | NumericData) -> tuple[Ints | None, int, Floats]:
    if isinstance(data, NumericData):
        return None, 1, data.targets[:, None]
    classes = len(data.classes)
    targets = 2.0 * one_hot(data.labels, classes) - 1.0
    return data.labels, classes, targets[:, 1:] if classes == 2 else targets


def _demand(estimator: Any, what: str, fine: bool) -> None:
    if fine:
        return
    given = f"{type(estimator).__name__}({what}={estimator.get_params().get(what)!r})"
    raise SpecError(f"no batched engine reproduces {given}; ask for refit=True, one fit a coalition")


def _check_seeded(estimator: Any) -> None:
    loose = [
        k for k, v in estimator.get_params().items() if k.split("__")[-1] == "random_state" and not isinstance(v, int)
    ]
    if loose:
        raise SpecError(
            f"{type(estimator).__name__} may draw at random; set {loose[0]} to a whole number so that values repeat"
        )
