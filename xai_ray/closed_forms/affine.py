"""Models that are affine functions of a row, read from their coefficients: scikit-learn's linear models and torch layers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from xai_ray.closed_forms.behind import Behind
from xai_ray.types import Floats


@dataclass(frozen=True)
class Affine:
    """outputs = row @ slopes + intercept."""

    slopes: Floats
    """Shape (d, m)."""
    intercept: Floats
    """Shape (m,)."""

    def predict(self, rows: Floats) -> Floats:
        """Outputs (r, m) of rows (r, d)."""
        return rows @ self.slopes + self.intercept


def affine_of(found: Behind) -> Affine | None:
    """The affine map that a method computes, or None. `predict_proba` of a classifier stands for its decision function: whoever reads
    it must want log-odds.
    """
    if found.method == "forward":
        return _of_layers([found.owner])
    steps = [step for _, step in getattr(found.owner, "steps", [("", found.owner)])]
    *before, last = steps
    end = _of_linear_model(last, found.method)
    if end is None:
        return None
    maps = [_of_scaler(step) for step in before if step is not None and step != "passthrough"]
    for one in reversed(maps):
        if one is None:
            return None
        scale, shift = one
        end = Affine(scale[:, None] * end.slopes, end.intercept + shift @ end.slopes)
    return end


def _of_linear_model(model: Any, method: str) -> Affine | None:
    coefficients, intercept = getattr(model, "coef_", None), getattr(model, "intercept_", None)
    module = type(model).__module__
    # Kernel machines and generalised linear models with a link have coefficients as well.
    linear = module.startswith(("sklearn.linear_model", "sklearn.svm", "sklearn.discriminant_analysis"))
    if coefficients is None or intercept is None or not linear or hasattr(coefficients, "todense"):
        return None
    if hasattr(model, "classes_") and method == "predict":
        return None
    slopes = np.atleast_2d(np.asarray(coefficients, dtype=np.float64)).T
    return Affine(slopes, np.broadcast_to(np.asarray(intercept, dtype=np.float64).reshape(-1), (slopes.shape[1],)))


def _of_scaler(step: Any) -> tuple[Floats, Floats] | None:
    """Factor and shift (d,) of a scaler: scaled = row * factor + shift."""
    name, d = type(step).__name__, getattr(step, "n_features_in_", 0)
    if name == "StandardScaler":
        factor = np.ones(d) if step.scale_ is None else 1.0 / step.scale_
        return factor, np.zeros(d) if not step.with_mean else -step.mean_ * factor
    if name == "MinMaxScaler" and not step.clip:
        return step.scale_, step.min_
    if name == "MaxAbsScaler":
        return 1.0 / step.scale_, np.zeros(d)
    return None


def _of_layers(layers: list[Any]) -> Affine | None:
    """Linear, batch norm in evaluation mode, and layers that change nothing, in sequence."""
    nn = sys.modules["torch"].nn
    total: Affine | None = None
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            one = _of_layers(list(layer))
            if one is None:
                return None
        elif isinstance(layer, nn.Linear):
            bias = np.zeros(layer.out_features) if layer.bias is None else _numbers(layer.bias)
            one = Affine(_numbers(layer.weight).T, bias)
        elif isinstance(layer, nn.BatchNorm1d) and layer.running_mean is not None:
            factor = 1.0 / np.sqrt(_numbers(layer.running_var) + layer.eps)
            shift = -_numbers(layer.running_mean) * factor
            if layer.affine:
                factor, shift = factor * _numbers(layer.weight), shift * _numbers(layer.weight) + _numbers(layer.bias)
            one = Affine(np.diag(factor), shift)
        elif isinstance(layer, (nn.Identity, nn.Flatten, nn.Dropout)):
            continue
        else:
            return None
        total = (
            one if total is None else Affine(total.slopes @ one.slopes, total.intercept @ one.slopes + one.intercept)
        )
    return total


def _numbers(tensor: Any) -> Floats:
    return tensor.detach().cpu().double().numpy()
