"""Which engine trains an estimator: by its exact class and parameters; one that cannot be reproduced is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Floats, Ints
from xai_ray.valuation.class_weights import class_weight_of
from xai_ray.valuation.data import LabelledData, NumericData
from xai_ray.valuation.engine import LogisticEngine, RidgeEngine, SoftmaxEngine, TrainingEngine, one_hot
from xai_ray.valuation.engine_memory import (
    Sizes,
    kernel_ridge_need,
    linear_ridge_need,
    logistic_need,
    neighbours_need,
    refit_need,
    softmax_need,
)
from xai_ray.valuation.logistic import TILE, LogisticFits
from xai_ray.valuation.memory import Need
from xai_ray.valuation.neighbours import NeighbourEngine
from xai_ray.valuation.network import Network
from xai_ray.valuation.refit import RefitEngine
from xai_ray.valuation.ridge import ENTRIES, LinearRidgeFits, RidgeFits
from xai_ray.valuation.softmax import SOFTMAX_TILE, SoftmaxFits

SMALL_TILE = 16
"""Models of one batch of the engines whose models are large: kernel ridge and neighbours."""


def classifies(estimator: Any) -> bool:
    """Whether an estimator predicts labels. Raises InputError for an object that is no estimator."""
    from sklearn.base import is_classifier

    if isinstance(estimator, Network):
        return estimator.kind == "classifier"
    _check_estimator(estimator)
    return bool(is_classifier(estimator))


def choose_engine(
    estimator: Any,
    data: LabelledData | NumericData,
    *,
    probabilities: bool,
    refit: bool,
    order: bool = False,
    models: int | None = None,
) -> TrainingEngine:
    """The engine for a scikit-learn estimator or a `Network`; `refit` asks for one fit a coalition whatever the estimator.
    `probabilities` and `order` say what the scores need, see `Score`; `models` are trained at once, as many as `engine_need` says if
    left out, and rounding depends on it.

    Raises SpecError for a parameter that the engine of that class does not reproduce, a classifier on numbers or a regression on
    labels, an estimator whose randomness has no seed, and a pipeline unless `refit`; InputError for an object that is no estimator.
    """
    from sklearn.base import is_classifier, is_regressor

    if isinstance(estimator, Network):
        cut = estimator if models is None else replace(estimator, models=models)
        return _network(cut, data, refit=refit)
    _check_estimator(estimator)
    if is_classifier(estimator) != isinstance(data, LabelledData) or is_regressor(estimator) == is_classifier(
        estimator
    ):
        wanted = "classifier" if isinstance(data, LabelledData) else "regression"
        raise SpecError(f"{type(estimator).__name__} is not a {wanted}, which these scores need")
    _check_answers(estimator, data, probabilities=probabilities, order=order)
    make = None if refit else _ENGINES.get(_kind(estimator))
    if make is not None:
        return make(estimator, data, engine_need(estimator, data, refit=False).models if models is None else models)
    if not refit:
        _check_no_pipeline(estimator)
    _check_seeded(estimator)
    return RefitEngine(estimator, data, probabilities=probabilities, order=order)


def engine_need(estimator: Any, data: LabelledData | NumericData, *, refit: bool) -> Need:
    """The memory that the engine of `choose_engine` takes, from shapes alone, and the batch that it takes if nothing cuts it.

    Of an estimator that is fitted once a coalition it counts the data, not what the estimator itself takes.
    """
    (n, d), m = data.rows.shape, len(data.test_rows)
    columns = len(data.classes) if isinstance(data, LabelledData) else 1
    sizes = Sizes(n, d, m, columns)
    if isinstance(estimator, Network):
        from xai_ray.valuation.network_memory import network_need

        return refit_need(sizes) if refit else network_need(estimator, sizes)
    kind = "" if refit else _kind(estimator)
    intercept = int(bool(getattr(estimator, "fit_intercept", False)))
    widened = replace(sizes, features=d + intercept, targets=columns if columns > 2 else 1)
    match kind:
        case "sklearn.LogisticRegression":
            return logistic_need(widened, TILE) if columns == 2 else softmax_need(widened, SOFTMAX_TILE)
        case "sklearn.Ridge" | "sklearn.RidgeClassifier" if d < n:
            return linear_ridge_need(widened, TILE)
        case "sklearn.Ridge" | "sklearn.RidgeClassifier" | "sklearn.KernelRidge":
            return kernel_ridge_need(widened, SMALL_TILE, ENTRIES)
        case "sklearn.KNeighborsClassifier":
            return neighbours_need(sizes, SMALL_TILE)
        case _:
            return refit_need(sizes)


def refit_engine(
    estimator: Any, data: LabelledData | NumericData, *, probabilities: bool, order: bool
) -> TrainingEngine:
    """The estimator itself, trained once a coalition: what the engine that was chosen for it is to reproduce."""
    if isinstance(estimator, Network):
        return _network(estimator, data, refit=True)
    return RefitEngine(estimator, data, probabilities=probabilities, order=order)


def _network(network: Network, data: LabelledData | NumericData, *, refit: bool) -> TrainingEngine:
    if (network.kind == "classifier") != isinstance(data, LabelledData):
        raise SpecError(f"a network of kind {network.kind!r} cannot be judged by these scores; give it the other kind")
    # Torch takes seconds to import, and only networks need it.
    from xai_ray.valuation.network_alone import LoneNetworkEngine
    from xai_ray.valuation.networks import NetworkEngine

    return LoneNetworkEngine(network, data) if refit else NetworkEngine(network, data)


def _kind(estimator: Any) -> str:
    """Package and class."""
    return f"{type(estimator).__module__.split('.')[0]}.{type(estimator).__name__}"


def _check_estimator(estimator: Any) -> None:
    if isinstance(estimator, type):
        raise InputError(f"{estimator.__name__} is a class; give an estimator, as {estimator.__name__}()")
    if not (hasattr(estimator, "get_params") and hasattr(estimator, "fit") and hasattr(estimator, "predict")):
        raise InputError(
            f"{type(estimator).__name__} is no scikit-learn estimator: it needs get_params, fit and predict"
        )
    try:
        estimator.get_params()
    except AttributeError as error:
        raise SpecError(
            f"{type(estimator).__name__} cannot be cloned, which every fit needs ({error}); its constructor must keep its parameters as "
            "given"
        ) from error


def _check_answers(estimator: Any, data: LabelledData | NumericData, *, probabilities: bool, order: bool) -> None:
    name = type(estimator).__name__
    if hasattr(estimator, "predict_proba") or not isinstance(data, LabelledData):
        return
    if probabilities:
        raise SpecError(f"these scores need probabilities, and {name} has no predict_proba")
    if order and not hasattr(estimator, "decision_function"):
        raise SpecError(f"roc_auc needs predict_proba or decision_function, and {name} has neither")
    if order and len(data.classes) > 2:
        raise SpecError(f"roc_auc of {len(data.classes)} classes needs probabilities, and {name} has no predict_proba")


def _check_no_pipeline(estimator: Any) -> None:
    steps = getattr(estimator, "steps", None)
    if not isinstance(steps, list):
        return
    first, last = steps[0][1], type(steps[-1][1]).__name__
    raise SpecError(
        f"{type(estimator).__name__} fits {type(first).__name__} anew on every coalition, so that a point's value holds what it does to "
        f"that step: another game. Transform the features beforehand and give {last} alone, or ask for refit=True"
    )


def _logistic(estimator: Any, data: Any, models: int) -> TrainingEngine:
    p = estimator.get_params()
    _demand(estimator, "l1_ratio", p.get("l1_ratio") in (0, 0.0, None))
    _demand(estimator, "penalty", p.get("penalty") in ("l2", "deprecated", "warn"))
    _demand(estimator, "solver", p["solver"] != "liblinear")
    _demand(estimator, "dual", not p["dual"])
    C, intercept, weight = float(p["C"]), bool(p["fit_intercept"]), class_weight_of(p["class_weight"], data.classes)
    if len(data.classes) > 2:
        held = one_hot(data.labels, len(data.classes))
        many = SoftmaxFits(data.rows, held, C=C, intercept=intercept, class_weight=weight, tile=models)
        return SoftmaxEngine(many, data.test_rows)
    fits = LogisticFits(data.rows, data.labels, C=C, intercept=intercept, class_weight=weight, tile=models)
    return LogisticEngine(fits, data.test_rows)


def _ridge(estimator: Any, data: Any, models: int) -> TrainingEngine:
    p = estimator.get_params()
    _demand(estimator, "positive", not p["positive"])
    _demand(estimator, "alpha", np.ndim(p["alpha"]) == 0)
    alpha, intercept = float(p["alpha"]), bool(p["fit_intercept"])
    labels, classes, targets = _targets(data)
    held = None if labels is None else one_hot(labels, classes)
    weight = class_weight_of(p["class_weight"], data.classes) if isinstance(data, LabelledData) else None
    if data.rows.shape[1] < len(data.rows):
        linear = LinearRidgeFits(
            data.rows,
            data.test_rows,
            targets,
            alpha=alpha,
            intercept=intercept,
            held=held,
            class_weight=weight,
            block=models,
        )
        return RidgeEngine(linear, labels, classes, models)
    with np.errstate(over="ignore"):
        kernel, cross = data.rows @ data.rows.T, data.test_rows @ data.rows.T
    fits = RidgeFits(kernel, cross, targets, alpha=alpha, intercept=intercept, held=held, class_weight=weight)
    return RidgeEngine(fits, labels, classes, models)


def _kernel_ridge(estimator: Any, data: Any, models: int) -> TrainingEngine:
    from sklearn.metrics.pairwise import pairwise_kernels

    p = estimator.get_params()
    _demand(estimator, "alpha", np.ndim(p["alpha"]) == 0)
    _demand(estimator, "kernel", isinstance(p["kernel"], str) and p["kernel"] != "precomputed")
    settings = {key: p[key] for key in ("gamma", "degree", "coef0")}
    kernel = pairwise_kernels(data.rows, data.rows, metric=p["kernel"], filter_params=True, **settings)
    cross = pairwise_kernels(data.test_rows, data.rows, metric=p["kernel"], filter_params=True, **settings)
    fits = RidgeFits(kernel, cross, data.targets[:, None], alpha=float(p["alpha"]), intercept=False)
    return RidgeEngine(fits, None, 1, models)


def _neighbours(estimator: Any, data: Any, models: int) -> TrainingEngine:
    p = estimator.get_params()
    _demand(estimator, "weights", p["weights"] == "uniform")
    _demand(estimator, "metric", p["metric"] == "euclidean" or (p["metric"] == "minkowski" and p["p"] == 2))
    return NeighbourEngine(data, int(p["n_neighbors"]), models)


_ENGINES: dict[str, Callable[[Any, Any, int], TrainingEngine]] = {
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


_DRAWS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "sklearn.LogisticRegression": ("solver", ("liblinear", "sag", "saga")),
    "sklearn.Ridge": ("solver", ("sag", "saga")),
    "sklearn.RidgeClassifier": ("solver", ("sag", "saga")),
    "sklearn.SVC": ("probability", (True,)),
    "sklearn.NuSVC": ("probability", (True,)),
}
"""Estimators that draw at random under these values of a parameter only; others draw wherever they have a `random_state`."""


def _check_seeded(estimator: Any) -> None:
    given = estimator.get_params()
    for name, seed in given.items():
        owner, _, last = name.rpartition("__")
        if last == "random_state" and not isinstance(seed, int) and _draws(given.get(owner, estimator)):
            raise SpecError(
                f"{type(estimator).__name__} may draw at random; set {name} to a whole number so that values repeat"
            )


def _draws(estimator: Any) -> bool:
    row = _DRAWS.get(_kind(estimator))
    return row is None or estimator.get_params(deep=False).get(row[0]) in row[1]
