"""Ridge regression, linear or with a kernel, on many coalitions of training points, and on all prefixes of an order.

Minimises sum over the coalition of (y_i - f(x_i) - b)^2 + alpha |f|^2, b without penalty: the objective of scikit-learn's Ridge,
RidgeClassifier and (without b) KernelRidge.

All prefixes at once: with L the Cholesky factor of K + alpha I in the order of joining, the leading blocks of L are the factors of
the prefixes, so their predictions are cumulative sums over the rows of L^-1 [Y, 1, K_test] (Rasmussen and Williams, Gaussian
Processes for Machine Learning, algorithm 2.1 and section 2.7 for the free constant).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import solve_triangular

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.valuation.gram import WeightedGram

_BLOCK = 64
"""Points that join between two linear systems. Fixed, as it decides the rounding."""
_ENTRIES = 1 << 22
"""Predictions held at a time. Fixed, so that cumulative sums are cut at the same prefixes on every machine."""


class RidgeFits:
    """Predictions at m test points for targets Y (n, q); `kernel` is K (n, n), `cross` is K of test by training points (m, n)."""

    def __init__(self, kernel: Floats, cross: Floats, targets: Floats, *, alpha: float, intercept: bool) -> None:
        check_alpha(alpha)
        if not (np.isfinite(kernel).all() and np.isfinite(cross).all()):
            raise InputError("products of the features overflow; scale the features")
        self.kernel, self.cross, self.targets = kernel, cross, targets
        self.alpha, self.intercept = float(alpha), intercept

    def predictions(self, coalitions: Coalitions) -> Floats:
        """Predictions (c, m, q) of the models of c coalitions (c, n); the empty one predicts 0. O(c n^3).

        A row's bits depend on its coalition only.
        """
        member = coalitions.astype(np.float64)
        # Points outside are cut off from the others and given target 0: their coefficients are exactly 0.
        system = self.kernel * member[:, :, None] * member[:, None, :]
        diagonal = np.arange(len(self.kernel))
        system[:, diagonal, diagonal] += self.alpha
        sides = np.concatenate([self.targets, np.ones((len(self.targets), 1))], axis=1)
        solved = np.linalg.solve(system, sides * member[:, :, None])
        flat = self.cross @ solved
        if not self.intercept:
            return flat[..., :-1]
        sums = (solved * member[:, :, None]).sum(axis=1)
        return flat[..., :-1] + (1.0 - flat[..., -1:]) * _constant(sums)[:, None, :]

    def prefixes(self, order: Ints) -> Iterator[tuple[int, Floats]]:
        """Predictions of the first t points of `order` (n,) for t = 1..n, as (t of the first row, (block, m, q)).

        O(n^3 / 3 + n^2 m + n m q) for all n models.
        """
        system = self.kernel[np.ix_(order, order)]
        diagonal = np.arange(len(order))
        system[diagonal, diagonal] += self.alpha
        factor = _cholesky(system)
        sides = np.concatenate([self.targets[order], np.ones((len(order), 1)), self.cross[:, order].T], axis=1)
        whitened = solve_triangular(factor, sides, lower=True, check_finite=False)
        q = self.targets.shape[1]
        labels, test = whitened[:, : q + 1], whitened[:, q + 1 :]
        sums = np.cumsum(labels * labels[:, q:], axis=0)
        rows = max(1, _ENTRIES // (test.shape[1] * (q + 1)))
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

    def __init__(self, rows: Floats, test_rows: Floats, targets: Floats, *, alpha: float, intercept: bool) -> None:
        check_alpha(alpha)
        ones = 1 if intercept else 0
        self._features, self._test_features, self._intercept = rows, test_rows, intercept
        self._alpha = float(alpha)
        self.rows = np.hstack([rows, np.ones((len(rows), ones))])
        self.test_rows = np.hstack([test_rows, np.ones((len(test_rows), ones))])
        self.penalty = np.full(self.rows.shape[1], float(alpha))
        if intercept:
            self.penalty[-1] = 0.0
        self.targets = targets
        self._gram = WeightedGram(self.rows)
        self._moments = (self.rows[:, :, None] * targets[:, None, :]).reshape(len(rows), -1)

    def predictions(self, coalitions: Coalitions) -> Floats:
        """Predictions (c, m, q); the empty coalition predicts 0. O(c d^3 + c n d^2).

        A row's bits depend on its coalition, its place and c.
        """
        weights = coalitions.astype(np.float64)
        system = self._gram(weights)
        diagonal = np.arange(len(self.penalty))
        system[:, diagonal, diagonal] += self.penalty
        empty = ~coalitions.any(axis=1)
        system[empty, -1, -1] += 1.0
        moments = (weights @ self._moments).reshape(len(coalitions), len(self.penalty), -1)
        return self.test_rows @ np.linalg.solve(system, moments)

    def prefixes(self, order: Ints) -> Iterator[tuple[int, Floats]]:
        """As `RidgeFits.prefixes`, a block of points at a time, without any n x n matrix; O(n m (d + q + block)).

        Given the model of the points before it, a block is again a ridge problem: for the residuals, with the kernel
        X A^-1 X', A = X'X + alpha I of the points before (the posterior covariance of the weights).
        """
        yield from self._first_block(order[:_BLOCK])
        joined, targets = self.rows[order], self.targets[order]
        system, moments = np.diag(self.penalty), np.zeros((joined.shape[1], targets.shape[1]))
        for start in range(_BLOCK, len(order), _BLOCK):
            last, block = slice(start - _BLOCK, start), joined[start : start + _BLOCK]
            system, moments = system + joined[last].T @ joined[last], moments + joined[last].T @ targets[last]
            theta, pulled = np.split(np.linalg.solve(system, np.hstack([moments, block.T])), [moments.shape[1]], axis=1)
            factor = _cholesky(block @ pulled + np.eye(len(block)))
            sides = np.hstack([targets[start : start + _BLOCK] - block @ theta, (self.test_rows @ pulled).T])
            whitened = solve_triangular(factor, sides, lower=True, check_finite=False)
            flat = whitened[:, theta.shape[1] :, None] * whitened[:, None, : theta.shape[1]]
            flat[0] += self.test_rows @ theta
            yield start + 1, np.cumsum(flat, axis=0, out=flat)

    def _first_block(self, order: Ints) -> Iterator[tuple[int, Floats]]:
        rows = self._features[order]
        kernel, cross = rows @ rows.T, self._test_features @ rows.T
        fits = RidgeFits(kernel, cross, self.targets[order], alpha=self._alpha, intercept=self._intercept)
        return fits.prefixes(np.arange(len(order), dtype=np.int64))


def check_alpha(alpha: float) -> None:
    """Raise SpecError unless alpha is a positive number."""
    if not (np.isfinite(alpha) and alpha > 0):
        raise SpecError(f"alpha is a positive number, got {alpha}; without a penalty small coalitions have many fits")


def _constant(sums: Floats) -> Floats:
    """The free constant of each model: (1' A^-1 Y) / (1' A^-1 1) from those two sums (c, q + 1); 0 for an empty coalition."""
    return sums[:, :-1] / np.where(sums[:, -1:] > 0, sums[:, -1:], 1.0)


def _cholesky(system: Floats) -> Floats:
    try:
        return np.linalg.cholesky(system).astype(np.float64, copy=False)
    except np.linalg.LinAlgError as error:
        raise InputError(
            "the kernel matrix of the training points plus alpha is not positive definite; use a larger alpha or a kernel that "
            "is positive semi-definite (not 'sigmoid')"
        ) from error
