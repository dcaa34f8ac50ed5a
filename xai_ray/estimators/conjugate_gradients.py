"""Least squares over pairs of coalitions of many players: matrix products from packed bits, systems by conjugate gradients.

The rows are a_p = z_p - (s_p / n) 1. The Gram matrix A'WA of n x n entries is never formed; a product with it reads the bits once.
Memory: n bits a pair, and one block of rows unpacked at a time. Hestenes, Stiefel (1952), all right-hand sides at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xai_ray.types import Floats, Ints

_BLOCK_CELLS = 1 << 22
"""Cells of the membership matrix unpacked at a time."""
_LARGEST_STEPS = 500


class NotConverged(Exception):
    """Conjugate gradients did not reach the tolerance: the rows hardly determine the solution."""


@dataclass(frozen=True, slots=True)
class PackedRows:
    """The membership of p coalitions of n players, centred: A = Z - (s/n) 1'."""

    bits: npt.NDArray[np.uint8]
    """Shape (p, ceil(n/8))."""
    sizes: Ints
    """Shape (p,)."""
    n_players: int

    def blocks(self, like: Floats) -> Iterator[tuple[slice, Floats]]:
        """Rows of Z, block by block, in the precision of `like`."""
        step = max(1, _BLOCK_CELLS // self.n_players)
        for start in range(0, len(self.bits), step):
            here = slice(start, min(start + step, len(self.bits)))
            yield here, np.unpackbits(self.bits[here], axis=1, count=self.n_players).astype(like.dtype)

    def apply(self, right: Floats) -> Floats:
        """A right, shape (p, c) for (n, c)."""
        out = np.empty((len(self.bits), right.shape[1]), dtype=right.dtype)
        for here, Z in self.blocks(right):
            out[here] = Z @ right
        return out - self._shares(right) * right.sum(axis=0)

    def adjoint(self, left: Floats) -> Floats:
        """A' left, shape (n, c) for (p, c)."""
        out = np.zeros((self.n_players, left.shape[1]), dtype=left.dtype)
        for here, Z in self.blocks(left):
            out += Z.T @ left[here]
        return out - (self._shares(left) * left).sum(axis=0)

    def normal(self, weight: Floats, right: Floats) -> Floats:
        """A' diag(weight) A right, shape (n, c) for (n, c), in one pass over the bits."""
        out = np.zeros_like(right)
        shift = np.zeros(right.shape[1], dtype=right.dtype)
        shares, total, scale = self._shares(right), right.sum(axis=0), weight.astype(right.dtype)[:, None]
        for here, Z in self.blocks(right):
            inner = (Z @ right - shares[here] * total) * scale[here]
            out += Z.T @ inner
            shift += (shares[here] * inner).sum(axis=0)
        return out - shift

    def _shares(self, like: Floats) -> Floats:
        return (self.sizes / self.n_players).astype(like.dtype)[:, None]


def solve(rows: PackedRows, weight: Floats, right: Floats, tolerance: float) -> Floats:
    """X with A' diag(weight) A X = right, columns of X summing to zero, in the precision of `right`, shape (n, c).

    Stops when every column's residual is below `tolerance` times its right-hand side. Raises NotConverged after 500 steps.
    """
    solution = np.zeros_like(right)
    residual = right.copy()
    direction = residual.copy()
    square = (residual**2).sum(axis=0)
    goal = tolerance**2 * square
    for _ in range(_LARGEST_STEPS):
        if (square <= goal).all():
            return solution
        image = rows.normal(weight, direction)
        step = _ratio(square, (direction * image).sum(axis=0))
        solution += step * direction
        residual -= step * image
        following = (residual**2).sum(axis=0)
        direction = residual + _ratio(following, square) * direction
        square = following
    raise NotConverged


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
