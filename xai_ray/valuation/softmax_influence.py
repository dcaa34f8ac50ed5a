"""Influence of training points on a softmax regression: moves of its parameters without each point, in closed form.

Koh and Liang (ICML 2017), equation 2, and one Newton step of each refit (Pregibon, Annals of Statistics 1981), with a curvature
of rank C - 1 a point.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax, softmax

from xai_ray.types import Floats, Ints
from xai_ray.valuation.engine import one_hot
from xai_ray.valuation.softmax import SoftmaxFits

_ENTRIES = 1 << 22
"""Numbers held at a time."""


def softmax_rise(fits: SoftmaxFits, test_rows: Floats, test_labels: Ints, *, newton: bool) -> tuple[Floats, Floats]:
    """Rise of the mean test log-loss without each of n points, shape (n,), and the parameters of the whole fit (C, D).

    `test_rows` (m, D) hold the column of ones where the fits have intercepts. O(n (C D)^2 + (C D)^3), newton O(n m C D) more.
    Raises XaiRayError when the fit fails.
    """
    theta = fits.parameters(np.ones((1, len(fits.rows)), dtype=np.bool_))[0]
    chances = softmax(fits.rows @ theta.T, axis=1)
    inverse = np.linalg.inv(_hessian(fits, chances)).astype(np.float64, copy=False)
    surprise = chances - fits.held
    out = np.empty(len(fits.rows))
    slope = (softmax(test_rows @ theta.T, axis=1) - one_hot(test_labels, len(theta))).T @ test_rows / len(test_rows)
    step = max(1, _ENTRIES // (len(test_rows) * len(theta)))
    base = _mean_loss(theta[None], test_rows, test_labels)[0]
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        rows, pull = fits.rows[part], surprise[part]
        if newton:
            pull = _without_own_curvature(rows, chances[part], pull, inverse, len(theta))
        moves = (pull[:, :, None] * rows[:, None, :]).reshape(len(rows), -1) @ inverse
        if newton:
            out[part] = _mean_loss(theta + moves.reshape(-1, *theta.shape), test_rows, test_labels) - base
        else:
            out[part] = moves @ slope.ravel()
    return out, theta


def _hessian(fits: SoftmaxFits, chances: Floats) -> Floats:
    """Shape (C D, C D): that of the objective, and a term in the sum of the intercepts, which may move together at no cost."""
    rows, (classes, width) = fits.rows, (chances.shape[1], fits.rows.shape[1])
    out = np.zeros((classes, width, classes, width))
    for one in range(classes):
        for two in range(one, classes):
            weight = chances[:, one] * ((one == two) - chances[:, two])
            out[one, :, two] = out[two, :, one] = (rows.T * weight) @ rows
    if fits.intercept:
        out[:, -1, :, -1] += 1.0
    flat = out.reshape(classes * width, -1)
    diagonal = np.arange(len(flat))
    flat[diagonal, diagonal] += np.tile(fits.penalised * fits.strength, classes) + 1e-12
    return flat


def _without_own_curvature(rows: Floats, chances: Floats, pull: Floats, inverse: Floats, classes: int) -> Floats:
    """(I - M_i K_i)^-1 r_i of each point, shape (b, C): M its curvature by class, K the variance of its scores."""
    blocks = inverse.reshape(classes, rows.shape[1], classes, rows.shape[1])
    variance = np.empty((len(rows), classes, classes))
    for one in range(classes):
        for two in range(one, classes):
            variance[:, one, two] = variance[:, two, one] = ((rows @ blocks[one, :, two]) * rows).sum(axis=1)
    curvature = chances[:, :, None] * (np.eye(classes) - chances[:, None, :])
    solved = np.linalg.solve(np.eye(classes) - curvature @ variance, pull[..., None])[..., 0]
    return solved.astype(np.float64, copy=False)


def _mean_loss(parameters: Floats, test_rows: Floats, test_labels: Ints) -> Floats:
    """Mean test log-losses of parameters (b, C, D), shape (b,)."""
    logs = log_softmax(parameters @ test_rows.T, axis=1)
    return -logs[:, test_labels, np.arange(len(test_labels))].mean(axis=1)
