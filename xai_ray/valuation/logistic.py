"""Binary logistic regression on many weightings of the same rows at once, by damped Newton steps (IRLS).

Minimises, for each weighting s, sum_i s_i [log(1 + exp(z_i)) - y_i z_i] + |w|^2 / (2 C), z = X w + b, b without penalty: the
objective of scikit-learn's LogisticRegression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.types import Floats, Ints, Mask
from xai_ray.valuation.gram import WeightedGram
from xai_ray.valuation.newton import minimise

TILE = 64
"""Models of one batch. Fixed: matrix products round differently in batches of another height."""
_TOLERANCE = 1e-11
"""Largest entry of the gradient at the minimum, relative to 1 + the largest column sum of |X|."""


class LogisticFits:
    """Minimisers for weightings of n rows (n, d) with labels 0 and 1."""

    def __init__(self, rows: Floats, labels: Ints, *, C: float, intercept: bool) -> None:
        check_penalty(C)
        n, d = rows.shape
        self.rows = np.hstack([rows, np.ones((n, 1))]) if intercept else rows
        self.labels = labels.astype(np.float64)
        self.penalty = np.full(self.rows.shape[1], 1.0 / C)
        if intercept:
            self.penalty[d] = 0.0
        self.gram = WeightedGram(self.rows)
        self._tolerance = _TOLERANCE * gradient_scale(self.rows)
        self._start = np.zeros(self.rows.shape[1])
        if self.two_classes(np.ones((1, n)))[0]:
            self._start = self.parameters(np.ones((1, n)))[0]

    def two_classes(self, weights: Floats) -> Mask:
        """Whether each weighting (b, n) gives weight to both classes, shape (b,): the others have no finite minimiser."""
        held = weights > 0
        return (held & (self.labels > 0)).any(axis=1) & (held & (self.labels == 0)).any(axis=1)

    def parameters(self, weights: Floats) -> Floats:
        """Minimisers (b, d), or (b, d + 1) with the intercept last, for non-negative weights (b, n).

        Bits of a row depend on its weights and its place modulo TILE. Raises SpecError for a row with one class or
        none, XaiRayError naming the row when Newton does not converge.
        """
        lone = np.flatnonzero(~self.two_classes(weights))
        if len(lone):
            raise SpecError(
                f"weighting {int(lone[0])} holds points of one class or none; it has no logistic regression"
            )
        theta = np.empty((len(weights), self.rows.shape[1]))
        start = np.tile(self._start, (TILE, 1))
        for first in range(0, len(weights), TILE):
            part = weights[first : first + TILE]
            tile = np.zeros((TILE, weights.shape[1]))
            tile[: len(part)] = part
            real = np.arange(TILE) < len(part)
            found = minimise(_Tile(self, tile), start, real, tolerance=self._tolerance, first=first)
            theta[first : first + TILE] = found[: len(part)]
        return theta


@dataclass(frozen=True, slots=True)
class _Tile:
    """The problems of TILE weightings (TILE, n)."""

    fits: LogisticFits
    weights: Floats

    def scores(self, parameters: Floats) -> Floats:
        return parameters @ self.fits.rows.T

    def objective(self, rows: Ints, parameters: Floats, scores: Floats) -> Floats:
        loss = np.logaddexp(0.0, scores) - self.fits.labels * scores
        penalty = 0.5 * (parameters * parameters * self.fits.penalty).sum(axis=1)
        return (self.weights[rows] * loss).sum(axis=1) + penalty

    def gradient(self, parameters: Floats, scores: Floats) -> Floats:
        residuals = self.weights * (_sigmoid(scores) - self.fits.labels)
        return residuals @ self.fits.rows + parameters * self.fits.penalty

    def step(self, scores: Floats, gradient: Floats, active: Mask) -> Floats:
        chance = _sigmoid(scores)
        curvature = np.where(active[:, None], self.weights * chance * (1.0 - chance), 0.0)
        hessian = self.fits.gram(curvature)[active]
        diagonal = np.arange(gradient.shape[1])
        # The intercept has no penalty: where every chance is 0 or 1 its curvature vanishes.
        hessian[:, diagonal, diagonal] += np.maximum(self.fits.penalty, 1e-12)
        step = np.zeros_like(gradient)
        step[active] = np.linalg.solve(hessian, gradient[active][..., None])[..., 0]
        return step


def check_penalty(C: float) -> None:
    """Raise SpecError unless C is a positive number."""
    if not (np.isfinite(C) and C > 0):
        raise SpecError(f"C is a positive number, got {C}; without a penalty separable coalitions have no fit")


def gradient_scale(rows: Floats) -> float:
    """What gradients of n rows (n, d) are measured in: 1 + the largest column sum of |X|."""
    return 1.0 + float(np.abs(rows).sum(axis=0).max())


def _sigmoid(scores: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * scores))
