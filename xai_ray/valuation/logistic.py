"""Binary logistic regression on many weightings of the same rows at once, by damped Newton steps (IRLS).

Minimises, for each weighting s, sum_i s_i [log(1 + exp(z_i)) - y_i z_i] + |w|^2 / (2 C), z = X w + b, b without penalty: the
objective of scikit-learn's LogisticRegression. Newton with backtracking converges from any start, as the objective is convex;
without backtracking it diverges on small coalitions.
"""

from __future__ import annotations

import numpy as np

from xai_ray.errors import SpecError, XaiRayError
from xai_ray.types import Floats, Ints, Mask
from xai_ray.valuation.gram import WeightedGram

TILE = 64
"""Models of one batch. Fixed: matrix products round differently in batches of another height."""
_STEPS = 100
_HALVINGS = 40
_TOLERANCE = 1e-11
"""Largest entry of the gradient at the minimum, relative to 1 + the largest column sum of |X|."""


class LogisticFits:
    """Minimisers for weightings of n rows (n, d) with labels 0 and 1."""

    def __init__(self, rows: Floats, labels: Ints, *, C: float, intercept: bool) -> None:
        if not (np.isfinite(C) and C > 0):
            raise SpecError(f"C is a positive number, got {C}; without a penalty separable coalitions have no fit")
        n, d = rows.shape
        self.rows = np.hstack([rows, np.ones((n, 1))]) if intercept else rows
        self.labels = labels.astype(np.float64)
        self.penalty = np.full(self.rows.shape[1], 1.0 / C)
        if intercept:
            self.penalty[d] = 0.0
        self._gram = WeightedGram(self.rows)
        self._gradient_scale = 1.0 + float(np.abs(self.rows).sum(axis=0).max())
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
        count = len(weights)
        theta = np.empty((count, self.rows.shape[1]))
        for start in range(0, count, TILE):
            tile = np.zeros((TILE, weights.shape[1]))
            real = min(TILE, count - start)
            tile[:real] = weights[start : start + real]
            theta[start : start + real] = self._tile(tile, np.arange(TILE) < real, start)[:real]
        return theta

    def _tile(self, weights: Floats, active: Mask, first: int) -> Floats:
        theta = np.tile(self._start, (TILE, 1))
        scores = theta @ self.rows.T
        value = self._objective(weights, theta, scores)
        for _ in range(_STEPS):
            chance = _sigmoid(scores)
            gradient = (weights * (chance - self.labels)) @ self.rows + theta * self.penalty
            active = active & (np.abs(gradient).max(axis=1) > _TOLERANCE * self._gradient_scale)
            if not active.any():
                return theta
            curvature = np.where(active[:, None], weights * chance * (1.0 - chance), 0.0)
            step = self._newton(curvature, gradient, active)
            stuck = self._walk(weights, theta, scores, value, step, gradient, active)
            active = active & ~stuck
        raise XaiRayError(
            f"logistic regression of weighting {first + int(np.flatnonzero(active)[0])} did not converge in {_STEPS} Newton "
            "steps; scale the features or lower C"
        )

    def _newton(self, curvature: Floats, gradient: Floats, active: Mask) -> Floats:
        # The product is taken over the whole tile, so that its shape, and with it its rounding, never changes.
        hessian = self._gram(curvature)[active]
        diagonal = np.arange(len(self.penalty))
        hessian[:, diagonal, diagonal] += self.penalty
        # The intercept has no penalty: where every chance is 0 or 1 its curvature vanishes.
        hessian[:, -1, -1] += 1e-12
        step = np.zeros_like(gradient)
        step[active] = np.linalg.solve(hessian, gradient[active][..., None])[..., 0]
        return step

    def _walk(
        self,
        weights: Floats,
        theta: Floats,
        scores: Floats,
        value: Floats,
        step: Floats,
        gradient: Floats,
        active: Mask,
    ) -> Mask:
        """Move each active model by the longest halving of its step that decreases enough; which ones cannot move."""
        change = step @ self.rows.T
        slope = (step * gradient).sum(axis=1)
        length = np.ones(TILE)
        left = active.copy()
        for _ in range(_HALVINGS):
            rows = np.flatnonzero(left)
            if not len(rows):
                return left
            t = length[rows, None]
            to_theta, to_scores = theta[rows] - t * step[rows], scores[rows] - t * change[rows]
            to_value = self._objective(weights[rows], to_theta, to_scores)
            # Rounding of the objective must not refuse the last steps before the minimum.
            fine = to_value <= value[rows] - 1e-4 * length[rows] * slope[rows] + 1e-14 * (1.0 + np.abs(value[rows]))
            moved = rows[fine]
            theta[moved], scores[moved], value[moved] = to_theta[fine], to_scores[fine], to_value[fine]
            left[moved] = False
            length[left] *= 0.5
        return left

    def _objective(self, weights: Floats, theta: Floats, scores: Floats) -> Floats:
        loss = np.logaddexp(0.0, scores) - self.labels * scores
        return (weights * loss).sum(axis=1) + 0.5 * (theta * theta * self.penalty).sum(axis=1)


def _sigmoid(scores: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * scores))
