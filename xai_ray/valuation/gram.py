"""Weighted Gram matrices X' diag(w) X for many weight vectors at once."""

from __future__ import annotations

from copy import copy

import numpy as np

from xai_ray.errors import InputError
from xai_ray.types import Floats, Ints

LARGEST_TABLE = 1 << 24
"""Entries of the table of column products; above it each Gram matrix is formed by itself."""


class WeightedGram:
    """Gram matrices of fixed rows X (n, d), as one matrix product with the d(d+1)/2 products of its columns.

    Raises InputError when they overflow.
    """

    def __init__(self, rows: Floats) -> None:
        n, d = rows.shape
        with np.errstate(over="ignore"):
            fine = bool(np.isfinite(np.square(rows).sum()))
        if not fine:
            raise InputError("products of the features overflow; scale the features")
        self.rows = rows
        upper = np.triu_indices(d)
        self._products: Floats | None = None
        if n * len(upper[0]) <= LARGEST_TABLE:
            self._products = rows[:, upper[0]]
            self._products *= rows[:, upper[1]]
            # Read-only arrays are shared by the workers of a node.
            self._products.setflags(write=False)
        self._place = np.empty((d, d), dtype=np.int64)
        self._place[upper] = self._place.T[upper] = np.arange(len(upper[0]))

    def reordered(self, order: Ints) -> WeightedGram:
        """The same for the rows in another order."""
        other = copy(self)
        other.rows = self.rows[order]
        other._products = None if self._products is None else self._products[order]
        return other

    def __call__(self, weights: Floats) -> Floats:
        """Weights (b, t) of the first t rows -> (b, d, d). The bits of a matrix depend on its weights and on b, not on the other
        weights.
        """
        t = weights.shape[1]
        if self._products is None:
            # One at a time: all weighted rows at once would take the memory of b copies of the data, and gain nothing.
            rows, out = self.rows[:t], np.empty((len(weights), self.rows.shape[1], self.rows.shape[1]))
            for place, row in enumerate(weights):
                np.matmul(rows.T * row, rows, out=out[place])
            return out
        return (weights @ self._products[:t]).take(self._place, axis=1)
