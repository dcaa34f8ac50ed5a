"""Ridge regression, linear or with a kernel, on many coalitions of training points, and on all prefixes of an order.

Minimises sum over the coalition of s_i (y_i - f(x_i) - b)^2 + alpha |f|^2, b without penalty and s_i the weight of the class: the
objective of scikit-learn's Ridge, RidgeClassifier and (without b) KernelRidge.

All prefixes at once: with L the Cholesky factor of K + alpha I in the order of joining, the leading blocks of L are the factors of
the prefixes, so their predictions are cumulative sums over the rows of L^-1 [Y, 1, K_test] (Rasmussen and Williams, Gaussian
Processes for Machine Learning, algorithm 2.1 and section 2.7 for the free constant). Weights enter as sqrt(s) on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dtrtrs

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.valuation.class_weights import ClassWeight, member_weights
from xai_ray.valuation.gram import WeightedGram

_BLOCK = 64
"""Points that join between two linear systems, unless a game is given less memory; it decides the rounding."""
ENTRIES = 1 << 22
"""Predictions held at a time. Fixed, so that cumulative sums are cut at the same prefixes on every machine."""


class RidgeFits:
    """Predictions at m test points for targets Y (n, q); `kernel` is K (n, n), `cross` is K of test by training points (m, n).

    `held` (n, C) are one-hot labels, for `class_weight`.
    """

    def __init__(
        self,
        kernel: Floats,
        cross: Floats,
        targets: Floats,
        *,
        alpha: float,
        intercept: bool,
        held: Floats | None = None,
        class_weight: ClassWeight = None,
    ) -> None:
        check_alpha(alpha)
        if not (np.isfinite(kernel).all() and np.isfinite(cross).all()):
            raise InputError("products of the features overflow; scale the features")
        self.kernel, self.cross, self.targets = kernel, cross, targets
        # Read-only arrays are shared by the workers of a node.
        for array in (kernel, cross):
            array.setflags(write=False)
        self.alpha, self.intercept = float(alpha), intercept
        self.class_weight: ClassWeight = class_weight
        self._held = np.zeros((len(targets), 0)) if held is None else held

    def predictions(self, coalitions: Coalitions) -> Floats:
        """Predictions (c, m, q) of the models of c coalitions (c, n); the empty one predicts 0. O(c n^3).

        A row's bits depend on its coalition only.
        """
        roots = np.sqrt(member_weights(coalitions, self._held, self.class_weight))
        # Points outside are cut off from the others and given target 0: their coefficients are exactly 0.
        system = self.kernel * roots[:, :, None] * roots[:, None, :]
        diagonal = np.arange(len(self.kernel))
        system[:, diagonal, diagonal] += self.alpha
        sides = np.concatenate([self.targets, np.ones((len(self.targets), 1))], axis=1)
        solved = np.linalg.solve(system, sides * roots[:, :, None]) * roots[:, :, None]
        flat = self.cross @ solved
        if not self.intercept:
            return flat[..., :-1]
        return flat[..., :-1] + (1.0 - flat[..., -1:]) * _constant(solved.sum(axis=1))[:, None, :]

    def prefixes(self, order: Ints) -> Iterator[tuple[int, Floats]]:
        """Predictions of the first t points of `order` (n,) for t = 1..n, as (t of the first row, (block, m, q)); not for weights
        that depend on the coalition.

        O(n^3 / 3 + n^2 m + n m q) for all n models.
        """
        roots = fixed_roots(self._held, self.class_weight)[order]
        system = self.kernel[np.ix_(order, order)] * roots[:, None] * roots
        diagonal = np.arange(len(order))
        system[diagonal, diagonal] += self.alpha
        sides = np.concatenate([self.targets[order], np.ones((len(order), 1)), self.cross[:, order].T], axis=1)
        whitened = _whiten(_cholesky(system), sides * roots[:, None])
        q = self.targets.shape[1]
        labels, test = whitened[:, : q + 1], whitened[:, q + 1 :]
        sums = np.cumsum(labels * labels[:, q:], axis=0)
        rows = max(1, ENTRIES // (test.shape[1] * (q + 1)))
        before = np.zeros((test.shape[1], q + 1))
        for start in range(0, len(order), rows):
            flat = test[start : start + rows, :, None] * labels[start : start + rows, None, :]
            flat[0] += before
            np.cumsum(flat, axis=0, out=flat)
            before = flat[-1].copy()
            if not self.intercept:
                yield start + 1, flat[..., :-1]
                continue
            constant = _constant(sums[start : start + rows])
            yield start + 1, flat[..., :-1] + (1.0 - flat[..., -1:]) * constant[:, None, :]


class LinearRidgeFits:
    """The same predictions for the linear kernel with fewer features than points: systems of size d + 1 instead of n."""

    def __init__(
        self,
        rows: Floats,
        test_rows: Floats,
        targets: Floats,
        *,
        alpha: float,
        intercept: bool,
        held: Floats | None = None,
        class_weight: ClassWeight = None,
        block: int | None = None,
    ) -> None:
        """`block` points join between two linear systems of `prefixes`, 64 if left out; rounding depends on it."""
        check_alpha(alpha)
        self._block = _BLOCK if block is None else block
        ones = 1 if intercept else 0
        self._intercept, self._alpha = intercept, float(alpha)
        self.class_weight: ClassWeight = class_weight
        self._held = np.zeros((len(targets), 0)) if held is None else held
        self.rows = np.hstack([rows, np.ones((len(rows), ones))])
        self.test_rows = np.hstack([test_rows, np.ones((len(test_rows), ones))])
        self.penalty = np.full(self.rows.shape[1], float(alpha))
        if intercept:
            self.penalty[-1] = 0.0
        self.targets = targets
        self._gram = WeightedGram(self.rows)
        self.rows.setflags(write=False)
        self._moments = (self.rows[:, :, None] * targets[:, None, :]).reshape(len(rows), -1)
        self._moments.setflags(write=False)

    def predictions(self, coalitions: Coalitions) -> Floats:
        """Predictions (c, m, q); the empty coalition predicts 0. O(c d^3 + c n d^2).

        A row's bits depend on its coalition, its place and c.
        """
        weights = member_weights(coalitions, self._held, self.class_weight)
        system = self._gram(weights)
        diagonal = np.arange(len(self.penalty))
        system[:, diagonal, diagonal] += self.penalty
        empty = ~coalitions.any(axis=1)
        system[empty, -1, -1] += 1.0
        moments = (weights @ self._moments).reshape(len(coalitions), len(self.penalty), -1)
        return self._predicted(np.linalg.solve(system, moments))

    def prefixes(self, order: Ints) -> Iterator[tuple[int, Floats]]:
        """As `RidgeFits.prefixes`, a block of points at a time, without any n x n matrix; O(n d (m + d + block)).

        Given the model of the points before it, a block is again a ridge problem: for the residuals, with the kernel
        X A^-1 X', A = X'X + alpha I of the points before (the posterior covariance of the weights).
        """
        roots = fixed_roots(self._held, self.class_weight)[order, None]
        joined, targets = self.rows[order] * roots, self.targets[order] * roots
        step = self._block
        yield 1, self._predicted(self._first_block(joined[:step], targets[:step], roots[:step]))
        q = targets.shape[1]
        system, moments = np.diag(self.penalty), np.zeros((joined.shape[1], q))
        for start in range(step, len(order), step):
            last, block = slice(start - step, start), joined[start : start + step]
            system, moments = system + joined[last].T @ joined[last], moments + joined[last].T @ targets[last]
            solved = np.linalg.solve(system, np.hstack([moments, block.T]))
            theta, pulled = solved[:, :q], solved[:, q:]
            kernel = block @ pulled
            diagonal = np.arange(len(block))
            kernel[diagonal, diagonal] += 1.0
            sides = np.hstack([targets[start : start + step] - block @ theta, pulled.T])
            whitened = _whiten(_cholesky(kernel), sides)
            found = whitened[:, q:, None] * whitened[:, None, :q]
            found[0] += theta
            yield start + 1, self._predicted(np.cumsum(found, axis=0, out=found))

    def _first_block(self, joined: Floats, targets: Floats, roots: Floats) -> Floats:
        """Parameters of the first prefixes, by the kernel, since the free constant leaves X'X + penalty singular."""
        features = joined[:, :-1] if self._intercept else joined
        kernel = features @ features.T
        diagonal = np.arange(len(kernel))
        kernel[diagonal, diagonal] += self._alpha
        q = targets.shape[1]
        whitened = _whiten(_cholesky(kernel), np.hstack([targets, roots, features]))
        labels = whitened[:, : q + 1]
        flat = np.cumsum(whitened[:, q + 1 :, None] * labels[:, None, :], axis=0)
        if not self._intercept:
            return flat[..., :-1]
        constant = _constant(np.cumsum(labels * labels[:, q:], axis=0))[:, None, :]
        return np.concatenate([flat[..., :-1] - flat[..., -1:] * constant, constant], axis=1)

    def _predicted(self, parameters: npt.NDArray[np.floating]) -> Floats:
        """(c, d or d + 1, q) -> (c, m, q), as one matrix product."""
        c, d, q = parameters.shape
        flat = parameters.swapaxes(1, 2).reshape(c * q, d) @ self.test_rows.T
        return flat.reshape(c, q, -1).swapaxes(1, 2)


def fixed_roots(held: Floats, class_weight: ClassWeight) -> Floats:
    """Square roots of class weights that are the same in all coalitions, shape (n,)."""
    everyone = np.ones((1, len(held)), dtype=np.bool_)
    return np.sqrt(member_weights(everyone, held, class_weight)[0])


def check_alpha(alpha: float) -> None:
    """Raise SpecError unless alpha is a positive number."""
    if not (np.isfinite(alpha) and alpha > 0):
        raise SpecError(f"alpha is a positive number, got {alpha}; without a penalty small coalitions have many fits")


def _constant(sums: Floats) -> Floats:
    """The free constant of each model: (1' A^-1 Y) / (1' A^-1 1) from those two sums (c, q + 1); 0 for an empty coalition."""
    return sums[:, :-1] / np.where(sums[:, -1:] > 0, sums[:, -1:], 1.0)


def _whiten(factor: Floats, sides: npt.NDArray[np.floating]) -> Floats:
    """L^-1 B for a lower triangular L. LAPACK itself: on small systems its usual wrapper costs more than the solution."""
    return np.asarray(dtrtrs(factor.T, sides, lower=0, trans=1)[0])


def _cholesky(system: Floats) -> Floats:
    try:
        return np.linalg.cholesky(system).astype(np.float64, copy=False)
    except np.linalg.LinAlgError as error:
        raise InputError(
            "the kernel matrix of the training points plus alpha is not positive definite; use a larger alpha or a kernel that "
            "is positive semi-definite (not 'sigmoid')"
        ) from error
