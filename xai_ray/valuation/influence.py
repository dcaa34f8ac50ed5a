"""Influence functions: what the test loss would gain if a training point were removed, from one fit and its curvature.

Koh and Liang, "Understanding black-box predictions via influence functions" (ICML 2017), equation 2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from xai_ray.types import Floats, Ints
from xai_ray.valuation.data import labelled
from xai_ray.valuation.engine import one_hot
from xai_ray.valuation.logistic import LogisticFits
from xai_ray.valuation.result import Valuation, without_sampling
from xai_ray.valuation.softmax import SoftmaxFits
from xai_ray.valuation.softmax_influence import softmax_rise

_ENTRIES = 1 << 22
"""Test losses held at a time."""


def logistic_influence(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    X_test: npt.ArrayLike,
    y_test: npt.ArrayLike,
    *,
    C: float = 1.0,
    intercept: bool = True,
    newton: bool = True,
) -> Valuation:
    """Rise of the mean test log-loss without each point, shape (n,), for LogisticRegression(C=C, fit_intercept=intercept).

    With g_i the gradient of point i's loss and H the Hessian of the objective, theta without point i is theta + H^-1 g_i to first
    order, and without `newton` the value is g_test . H^-1 g_i: the influence function. `newton` takes the point out of the
    Hessian too, which for two classes divides the move by 1 - w_i h_i, w = p (1 - p) and h_i = x_i' H^-1 x_i (one Newton step of
    the refit: Pregibon, Annals of Statistics 1981), and takes the test loss there, not its slope. O(n d^2 + d^3), newton
    O(n m d) more; with C > 2 classes C d in place of d. `facts["parameters"]` is the whole fit, intercepts last.

    Raises InputError for unusable arrays, SpecError for C or too many parameters, XaiRayError when the fit fails.
    """
    data = labelled(X, y, X_test, y_test)
    test_rows = np.hstack([data.test_rows, np.ones((len(data.test_rows), int(intercept)))])
    if len(data.classes) == 2:
        fits = LogisticFits(data.rows, data.labels, C=C, intercept=intercept)
        values, theta = _logistic_rise(fits, test_rows, data.test_labels, newton)
    else:
        many = SoftmaxFits(data.rows, one_hot(data.labels, len(data.classes)), C=C, intercept=intercept)
        values, theta = softmax_rise(many, test_rows, data.test_labels, newton=newton)
    method = "influence with one Newton step" if newton else "influence"
    return without_sampling(values, f"{method}: rise of the test log-loss without the point", {"parameters": theta})


def _logistic_rise(fits: LogisticFits, test_rows: Floats, test_labels: Ints, newton: bool) -> tuple[Floats, Floats]:
    rows = fits.rows
    theta = fits.parameters(np.ones((1, len(rows))))[0]
    chance = expit(rows @ theta)
    weight = chance * (1.0 - chance)
    hessian = (rows.T * weight) @ rows + np.diag(np.maximum(fits.penalty, 1e-12))
    spread = np.linalg.solve(hessian, rows.T)
    surprise = chance - fits.labels
    if newton:
        moves = spread * (surprise / (1.0 - weight * np.einsum("nd,dn->n", rows, spread)))
        without = _losses(theta[:, None] + moves, test_rows, test_labels)
        return without - _losses(theta[:, None], test_rows, test_labels), theta
    slope = (expit(test_rows @ theta) - test_labels) @ test_rows / len(test_rows)
    return (slope @ spread) * surprise, theta


def _losses(parameters: Floats, test_rows: Floats, test_labels: Ints) -> Floats:
    """Mean test losses of parameters (d, c), shape (c,)."""
    out = np.empty(parameters.shape[1])
    step = max(1, _ENTRIES // len(test_rows))
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        scores = test_rows @ parameters[:, part]
        out[part] = (np.logaddexp(0.0, scores) - test_labels[:, None] * scores).mean(axis=0)
    return out
