"""Solving symmetric positive definite systems: one factorisation, many right-hand sides."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack, solve_triangular

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


def inverse_triangle(matrix: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """L^-1 of A = L L' in the precision of A, which is overwritten. Raises numpy.linalg.LinAlgError when A is not positive definite."""
    single = matrix.dtype == np.float32
    factorise, invert = (lapack.spotrf, lapack.strtri) if single else (lapack.dpotrf, lapack.dtrtri)
    lower, failed = factorise(matrix.T, lower=1, clean=1, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("matrix is not positive definite")
    return np.asarray(invert(lower, lower=1, overwrite_c=1)[0])
