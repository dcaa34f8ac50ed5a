"""Solving symmetric positive definite systems: one factorisation, many right-hand sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from xai_ray.types import Floats


@dataclass(frozen=True, slots=True)
class Factor:
    """The Cholesky factor L of A = L L'."""

    lower: Floats

    @classmethod
    def of(cls, matrix: Floats) -> Factor:
        """Factorise. Raises numpy.linalg.LinAlgError when the matrix is not positive definite."""
        return cls(np.asarray(np.linalg.cholesky(matrix), dtype=np.float64))

    def solve(self, right: Floats) -> Floats:
        """A^-1 right, for right of shape (m,) or (m, k)."""
        half: Floats = solve_triangular(self.lower, right, lower=True)
        out: Floats = solve_triangular(self.lower, half, lower=True, trans="T")
        return out
