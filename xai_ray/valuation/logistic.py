"""Binary logistic regression on many weightings of the same rows at once, by damped Newton steps (IRLS).

Minimises, for each weighting s, sum_i s_i [log(1 + exp(z_i)) - y_i z_i] + |w|^2 / (2 C), z = X w + b, b without penalty: the
objective of scikit-learn's LogisticRegression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.types import Floats, Ints, Mask
from xai_ray.valuation.class_weights import ClassWeight, member_weights
from xai_ray.valuation.gram import WeightedGram
from xai_ray.valuation.newton import members_told, minimise

TILE = 64
"""Models of one batch, unless a game is given less memory: matrix products round differently in batches of another height."""
_TOLERANCE = 1e-11
"""Largest entry of the gradient at the minimum, relative to 1 + the largest column sum of |X|."""


class LogisticFits:
    """Minimisers for weightings of n rows (n, d) with labels 0 and 1."""

    def __init__(
        self,
        rows: Floats,
        labels: Ints,
        *,
        C: float,
        intercept: bool,
        class_weight: ClassWeight = None,
        tile: int | None = None,
    ) -> None:
        """`tile` models are one batch, TILE if left out; rounding depends on it."""
        check_penalty(C)
        n, d = rows.shape
        self.tile = TILE if tile is None else tile
        self.rows = np.hstack([rows, np.ones((n, 1))]) if intercept else rows
        self.rows.setflags(write=False)
        self.labels = labels.astype(np.float64)
        self.held = np.stack([1.0 - self.labels, self.labels], axis=1)
        self.class_weight: ClassWeight = class_weight
        self.penalty = np.full(self.rows.shape[1], 1.0 / C)
        if intercept:
            self.penalty[d] = 0.0
        self.gram = WeightedGram(self.rows)
        self._tolerance = _TOLERANCE * gradient_scale(self.rows)
        self._start = np.zeros(self.rows.shape[1])
        everyone = self.weights(np.ones((1, n), dtype=np.bool_))
        if self.two_classes(everyone)[0]:
            self._start = self.parameters(everyone)[0]

    def weights(self, coalitions: Mask | Ints) -> Floats:
        """Weightings of coalitions or bootstraps (b, n): their members, by the class weights."""
        return member_weights(coalitions, self.held, self.class_weight)

    def two_classes(self, weights: Floats) -> Mask:
        """Whether each weighting (b, n) gives weight to both classes, shape (b,): the others have no finite minimiser."""
        held = weights > 0
        return (held & (self.labels > 0)).any(axis=1) & (held & (self.labels == 0)).any(axis=1)

    def parameters(self, weights: Floats) -> Floats:
        """Minimisers (b, d), or (b, d + 1) with the intercept last, for non-negative weights (b, n).

        Bits of a row depend on its weights and its place modulo `tile`. Raises SpecError for a row with one class or
        none, XaiRayError naming the coalition when Newton does not converge.
        """
        lone = np.flatnonzero(~self.two_classes(weights))
        if len(lone):
            raise SpecError(
                f"weighting {int(lone[0])} holds points of one class or none; it has no logistic regression"
            )
        theta = np.empty((len(weights), self.rows.shape[1]))
        start = np.tile(self._start, (self.tile, 1))
        everyone = np.arange(weights.shape[1])
        for first in range(0, len(weights), self.tile):
            part = weights[first : first + self.tile]
            tile = np.zeros((self.tile, weights.shape[1]))
            tile[: len(part)] = part
            real = np.arange(self.tile) < len(part)
            problems = _Tile(self.rows, self.labels, self.gram, self.penalty, tile, everyone, whole=True)
            theta[first : first + self.tile] = minimise(problems, start, real, tolerance=self._tolerance)[: len(part)]
        return theta

    def prefix_parameters(self, order: Ints, lengths: Ints) -> Floats:
        """Minimisers for the first t points of `order` for each t of the ascending `lengths`, shape (len(lengths), d or d + 1); 0
        for prefixes of one class. Bits depend on all arguments. Raises XaiRayError naming the coalition when Newton does not converge.
        """
        theta = np.zeros((len(lengths), self.rows.shape[1]))
        held = self.held[order]
        lone = int(np.argmax((np.cumsum(held, axis=0) > 0).all(axis=1)))
        rows, labels, gram = self.rows[order], self.labels[order], self.gram.reordered(order)
        begin, start = int(np.searchsorted(lengths, lone, side="right")), self._start
        # From long to short: the fit of the next longer prefix is a better start than that of all points.
        for first in range(len(lengths) - self.tile, begin - self.tile, -self.tile):
            tile = slice(max(first, begin), first + self.tile)
            part = lengths[tile]
            # Later points have no weight in these prefixes, and need not enter any product.
            t = int(part[-1])
            weights = member_weights(np.arange(t) < part[:, None], held[:t], self.class_weight)
            problems = _Tile(rows[:t], labels[:t], gram, self.penalty, weights, order, whole=False)
            active = np.ones(len(part), dtype=np.bool_)
            theta[tile] = minimise(problems, np.tile(start, (len(part), 1)), active, tolerance=self._tolerance)
            start = theta[tile.start]
        return theta


@dataclass(frozen=True, slots=True)
class _Tile:
    """The problems of b weightings (b, t) of the same t rows; `numbers` are those of the training points in that order."""

    rows: Floats
    labels: Floats
    gram: WeightedGram
    penalty: Floats
    weights: Floats
    numbers: Ints
    whole: bool
    """Whether all b Hessians are formed, so that a row's rounding does not depend on which others are still moving."""

    def scores(self, parameters: Floats) -> Floats:
        return parameters @ self.rows.T

    def objective(self, rows: Ints, parameters: Floats, scores: Floats) -> Floats:
        # log(1 + exp(z)) by parts: numpy's logaddexp takes ten times as long.
        loss = np.log1p(np.exp(-np.abs(scores))) + np.maximum(scores, 0.0) - self.labels * scores
        penalty = 0.5 * (parameters * parameters * self.penalty).sum(axis=1)
        return (self.weights[rows] * loss).sum(axis=1) + penalty

    def chances(self, scores: Floats) -> Floats:
        return 0.5 * (1.0 + np.tanh(0.5 * scores))

    def gradient(self, parameters: Floats, chances: Floats) -> Floats:
        residuals = self.weights * (chances - self.labels)
        return residuals @ self.rows + parameters * self.penalty

    def step(self, chances: Floats, gradient: Floats, active: Mask) -> Floats:
        moving = np.flatnonzero(active)
        chance = chances[moving]
        curvature = self.weights[moving] * chance * (1.0 - chance)
        hessian = self._hessians(curvature, moving)
        diagonal = np.arange(gradient.shape[1])
        # The intercept has no penalty: where every chance is 0 or 1 its curvature vanishes.
        hessian[:, diagonal, diagonal] += np.maximum(self.penalty, 1e-12)
        step = np.zeros_like(gradient)
        step[moving] = np.linalg.solve(hessian, gradient[moving][..., None])[..., 0]
        return step

    def told(self, row: int) -> str:
        return members_told(np.sort(self.numbers[np.flatnonzero(self.weights[row])]))

    def _hessians(self, curvature: Floats, moving: Ints) -> Floats:
        if not self.whole:
            return self.gram(curvature)
        filled = np.zeros_like(self.weights)
        filled[moving] = curvature
        return self.gram(filled)[moving]


def check_penalty(C: float) -> None:
    """Raise SpecError unless C is a positive number."""
    if not (np.isfinite(C) and C > 0):
        raise SpecError(f"C is a positive number, got {C}; without a penalty separable coalitions have no fit")


def gradient_scale(rows: Floats) -> float:
    """What gradients of n rows (n, d) are measured in: 1 + the largest column sum of |X|."""
    return 1.0 + float(np.abs(rows).sum(axis=0).max())
