"""Logistic regression with three classes or more on many coalitions of the same rows at once, by damped Newton steps.

Minimises, for each coalition, sum_i [log sum_c exp(z_ic) - z_iy] + |W|^2 / (2 C) over the classes that it holds, intercepts
without penalty: the objective of scikit-learn's LogisticRegression. A coalition of two classes is a binary regression there,
whose one vector w = W_1 - W_0 has the penalty |w|^2 / (2 C): twice that of W here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.types import Coalitions, Floats, Ints, Mask
from xai_ray.valuation.class_weights import ClassWeight, member_weights
from xai_ray.valuation.gram import WeightedGram
from xai_ray.valuation.logistic import check_penalty, gradient_scale
from xai_ray.valuation.newton import members_told, minimise

SOFTMAX_TILE = 16
"""Models of one batch, unless a game is given less memory: matrix products round differently in batches of another height."""
_TOLERANCE = 1e-11
_LARGEST = 1000
"""Parameters of one model: Newton solves systems of that size; from about 150 on scikit-learn's lbfgs is faster."""
_ABSENT = -1e300
"""Score of a class that a coalition does not hold: its chance is exactly 0, and differences stay finite."""


class SoftmaxFits:
    """Minimisers for coalitions of n rows (n, d) with one-hot labels (n, C)."""

    def __init__(
        self,
        rows: Floats,
        held: Floats,
        *,
        C: float,
        intercept: bool,
        class_weight: ClassWeight = None,
        tile: int | None = None,
    ) -> None:
        """`tile` models are one batch, SOFTMAX_TILE if left out; rounding depends on it."""
        check_penalty(C)
        self.tile = SOFTMAX_TILE if tile is None else tile
        n, d = rows.shape
        parameters = (d + intercept) * held.shape[1]
        if parameters > _LARGEST:
            raise SpecError(
                f"{held.shape[1]} classes with {d} features make {parameters:,} parameters, and Newton steps solve for at most "
                f"{_LARGEST:,}; ask for refit=True, one fit a coalition, or for RidgeClassifier"
            )
        self.rows = np.hstack([rows, np.ones((n, 1))]) if intercept else rows
        self.rows.setflags(write=False)
        self.held, self.intercept, self.strength = held, intercept, 1.0 / C
        self.class_weight: ClassWeight = class_weight
        self.penalised = np.ones(self.rows.shape[1])
        if intercept:
            self.penalised[d] = 0.0
        self.gram = WeightedGram(self.rows)
        self.pairs = np.triu_indices(held.shape[1])
        self._tolerance = _TOLERANCE * gradient_scale(self.rows)

    def classes(self, coalitions: Coalitions) -> Mask:
        """Classes that each coalition (b, n) holds, shape (b, C)."""
        return coalitions.astype(np.float64) @ self.held > 0

    def parameters(self, coalitions: Coalitions) -> Floats:
        """Minimisers (b, C, d), or (b, C, d + 1) with the intercepts last, which sum to 0; 0 for classes not held.

        Bits of a row depend on its coalition and its place modulo `tile`. Raises SpecError for a row with one class or
        none, XaiRayError naming the coalition when Newton does not converge.
        """
        few = np.flatnonzero(self.classes(coalitions).sum(axis=1) < 2)
        if len(few):
            raise SpecError(f"coalition {int(few[0])} holds points of one class or none; it has no logistic regression")
        shape = (self.held.shape[1], self.rows.shape[1])
        theta = np.empty((len(coalitions), *shape))
        start = np.zeros((self.tile, shape[0] * shape[1]))
        for first in range(0, len(coalitions), self.tile):
            part = coalitions[first : first + self.tile]
            tile = np.ones((self.tile, coalitions.shape[1]), dtype=np.bool_)
            tile[: len(part)] = part
            real = np.arange(self.tile) < len(part)
            problems = _Tile.of(self, tile)
            found = minimise(problems, start, real, tolerance=self._tolerance)
            theta[first : first + self.tile] = found[: len(part)].reshape(-1, *shape)
        return theta


@dataclass(frozen=True, slots=True)
class _Tile:
    """The problems of b coalitions: weights (b, n), classes held (b, C), penalties (b,)."""

    fits: SoftmaxFits
    weights: Floats
    present: Mask
    strength: Floats

    @classmethod
    def of(cls, fits: SoftmaxFits, coalitions: Coalitions) -> _Tile:
        present = fits.classes(coalitions)
        strength = np.where(present.sum(axis=1) == 2, 2.0, 1.0) * fits.strength
        return cls(fits, member_weights(coalitions, fits.held, fits.class_weight), present, strength)

    def told(self, row: int) -> str:
        return members_told(np.flatnonzero(self.weights[row]))

    def scores(self, parameters: Floats) -> Floats:
        b, c = self.present.shape
        return (parameters.reshape(b, c, -1) @ self.fits.rows.T).reshape(b, -1)

    def objective(self, rows: Ints, parameters: Floats, scores: Floats) -> Floats:
        c = self.present.shape[1]
        theta, z = parameters.reshape(len(rows), c, -1), self._masked(scores, rows)
        top = z.max(axis=1)
        loss = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
        # Points of a class that the coalition does not hold have weight 0, and there z is finite.
        own = (z * self.fits.held.T).sum(axis=1)
        members = self.weights[rows] > 0
        total = np.where(members, self.weights[rows] * (loss - own), 0.0).sum(axis=1)
        squares = (theta * theta * self.fits.penalised).sum(axis=(1, 2))
        return total + 0.5 * self.strength[rows] * squares + 0.5 * self._shift(theta) ** 2

    def chances(self, scores: Floats) -> Floats:
        z = self._masked(scores, slice(None))
        raised = np.exp(z - z.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)

    def gradient(self, parameters: Floats, chances: Floats) -> Floats:
        b, c = self.present.shape
        theta = parameters.reshape(b, c, -1)
        residuals = (chances - self.fits.held.T) * self.weights[:, None, :]
        out = residuals @ self.fits.rows + theta * self.fits.penalised * self.strength[:, None, None]
        if self.fits.intercept:
            out[..., -1] += self._shift(theta)[:, None]
        return np.where(self.present[..., None], out, 0.0).reshape(b, -1)

    def step(self, chances: Floats, gradient: Floats, active: Mask) -> Floats:
        step = np.zeros_like(gradient)
        step[active] = np.linalg.solve(self._hessian(chances)[active], gradient[active][..., None])[..., 0]
        return step

    def _hessian(self, chances: Floats) -> Floats:
        (b, c), d = self.present.shape, self.fits.rows.shape[1]
        one, two = self.fits.pairs
        weights = chances[:, one] * ((one == two)[:, None] - chances[:, two]) * self.weights[:, None, :]
        blocks = self.fits.gram(weights.reshape(b * len(one), -1)).reshape(b, len(one), d, d)
        out = np.empty((b, c, d, c, d))
        out[:, one, :, two] = out[:, two, :, one] = blocks.swapaxes(0, 1)
        if self.fits.intercept:
            # All intercepts may move together at no cost: a term in their sum picks the fit where it is 0.
            out[:, :, -1, :, -1] += self.present[:, :, None] & self.present[:, None, :]
        out = out.reshape(b, c * d, c * d)
        diagonal = np.arange(c * d)
        penalty = self.strength[:, None, None] * self.fits.penalised + ~self.present[..., None]
        out[:, diagonal, diagonal] += penalty.reshape(b, -1) + 1e-12
        return out

    def _masked(self, scores: Floats, rows: Ints | slice) -> Floats:
        present = self.present[rows]
        return np.where(present[..., None], scores.reshape(*present.shape, -1), _ABSENT)

    def _shift(self, theta: Floats) -> Floats:
        return theta[..., -1].sum(axis=1) if self.fits.intercept else np.zeros(len(theta))
