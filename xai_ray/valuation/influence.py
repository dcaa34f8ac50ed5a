"""Influence functions: what the test loss would gain if a training point were removed, from one fit and its curvature.

Koh and Liang, "Understanding black-box predictions via influence functions" (ICML 2017), equation 2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from xai_ray.errors import SpecError
from xai_ray.types import Floats, Ints
from xai_ray.valuation.data import labelled
from xai_ray.valuation.logistic import LogisticFits
from xai_ray.valuation.result import Valuation, without_sampling

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
    """Rise of the mean test log-loss without each point, shape (n,), for two-class LogisticRegression(C, fit_intercept=intercept).

    With g_i the gradient of point i's loss and H the Hessian of the objective, theta without point i is theta + H^-1 g_i to first
    order, and without `newton` the value is g_test . H^-1 g_i: the influence function. `newton` takes the point out of the
    Hessian too, which divides the move by 1 - w_i h_i, w = p (1 - p) and h_i = x_i' H^-1 x_i (one Newton step of the refit:
    Pregibon, Annals of Statistics 1981), and takes the test loss there, not its slope. O(n d^2 + d^3), newton O(n m d) more.

    Raises InputError for unusable arrays, SpecError for more than two classes or C, XaiRayError when the fit fails.
    """
    data = labelled(X, y, X_test, y_test)
    if len(data.classes) != 2:
        raise SpecError(
            f"{len(data.classes)} classes: the closed form is for two; use torch_influence with a softmax layer"
        )
    fits = LogisticFits(data.rows, data.labels, C=C, intercept=intercept)
    rows = fits.rows
    theta = fits.parameters(np.ones((1, len(rows))))[0]
    test_rows = np.hstack([data.test_rows, np.ones((len(data.test_rows), rows.shape[1] - data.rows.shape[1]))])
    chance = expit(rows @ theta)
    weight = chance * (1.0 - chance)
    hessian = (rows.T * weight) @ rows + np.diag(np.maximum(fits.penalty, 1e-12))
    spread = np.linalg.solve(hessian, rows.T)
    surprise = chance - data.labels
    if newton:
        moves = spread * (surprise / (1.0 - weight * np.einsum("nd,dn->n", rows, spread)))
        values = _losses(theta[:, None] + moves, test_rows, data.test_labels)
        values -= _losses(theta[:, None], test_rows, data.test_labels)
    else:
        slope = (expit(test_rows @ theta) - data.test_labels) @ test_rows / len(test_rows)
        values = (slope @ spread) * surprise
    method = "influence with one Newton step" if newton else "influence"
    return without_sampling(values, f"{method}: rise of the test log-loss without the point", {"parameters": theta})


def _losses(parameters: Floats, test_rows: Floats, test_labels: Ints) -> Floats:
    """Mean test losses of parameters (d, c), shape (c,)."""
    out = np.empty(parameters.shape[1])
    step = max(1, _ENTRIES // len(test_rows))
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        scores = test_rows @ parameters[:, part]
        out[part] = (np.logaddexp(0.0, scores) - test_labels[:, None] * scores).mean(axis=0)
    return out
