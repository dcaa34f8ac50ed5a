"""Weighted least squares over pairs of coalitions, with linear constraints eliminated and standard errors by the sandwich.

Weights and pairs are symmetric under complement, so a fit of v falls apart into one of its odd part (v(S) - v(N-S)) / 2 and one of its
even part (v(S) + v(N-S)) / 2, each with a row a pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs]

from xai_ray.estimators.cholesky import Factor
from xai_ray.types import Floats, Values

_SINGULAR = 1e-10
"""Smallest over largest pivot of a Gram matrix below which the rows do not determine the coefficients."""


_WIDENING = 0.7
"""Power of 1 - hat that residuals are divided by: between HC2 (1/2) and HC3 (1), because many coefficients take many pairs."""


class Undetermined(Exception):
    """The rows do not determine the coefficients."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """C beta = c for q independent constraints on K coefficients."""

    matrix: Floats
    """Shape (q, K)."""
    values: Values
    """Shape (q, k)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients and what each pair says about them; p pairs, K coefficients, k outputs."""

    coefficients: Values
    """Shape (K, k)."""
    reach: Floats
    """Shape (p, K): how the coefficients answer to a weighted residual."""
    noise: Values
    """Shape (p, k): weighted residuals, widened for what the fit took out, times the root of the stratum's undrawn share."""
    freedom: int
    """Pairs less free coefficients."""

    def variance(self, combine: csr_array) -> Values:
        """Variances of linear combinations of the coefficients, shape (c, k), for a sparse `combine` of shape (c, K)."""
        answers: Floats = self.reach @ combine.T
        return (answers**2).T @ self.noise**2


def fit(columns: Floats, target: Values, weight: Floats, undrawn: Floats, constraint: Constraint | None = None) -> Fit:
    """Minimises sum_p weight_p (target_p - columns_p beta)^2 subject to the constraint.

    columns: (p, K); target: (p, k); weight: (p,); undrawn: (p,), the finite-population correction of the pair's stratum.
    Raises Undetermined when the rows do not determine beta.
    """
    size = columns.shape[1]
    start = np.zeros((size, target.shape[1]))
    basis = np.zeros((size, 0))
    if constraint is not None:
        # Rows of an orthonormal basis of what is held fixed; the rest is free.
        basis, triangle = np.linalg.qr(constraint.matrix.T)
        start = basis @ np.linalg.solve(triangle.T, constraint.values)
        target = target - columns @ start
        columns = columns - (columns @ basis) @ basis.T
    gram = (columns * weight[:, None]).T @ columns
    # Held directions are empty in the Gram matrix: they get its mean pivot and never enter the answer.
    held = basis.shape[1]
    gram += (float(np.trace(gram)) / max(size - held, 1) or 1.0) * (basis @ basis.T)
    factor = _factor(gram, len(columns), size - held)
    free = factor.solve(columns.T @ (weight[:, None] * target))
    residual = target - columns @ free
    reach = factor.solve(columns.T).T
    hat = weight * np.einsum("pi,pi->p", columns, reach)
    spread = residual / np.maximum(1.0 - hat, 1e-9)[:, None] ** _WIDENING
    noise = np.sqrt(undrawn)[:, None] * weight[:, None] * spread
    return Fit(start + free, reach, noise, len(columns) - (size - held))


def _factor(gram: Floats, rows: int, free: int) -> Factor:
    try:
        if rows < free:
            raise Undetermined
        factor = Factor.of(gram)
    except np.linalg.LinAlgError:
        raise Undetermined from None
    pivots = np.diagonal(factor.lower) ** 2
    if len(pivots) and pivots.min() < _SINGULAR * pivots.max():
        raise Undetermined
    return factor
