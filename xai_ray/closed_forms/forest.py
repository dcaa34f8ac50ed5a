"""A sum of trees as boxes: each leaf pays its value to the rows that lie in its box, one interval (low, high] a feature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.closed_forms.nodes import Tree, boxes
from xai_ray.types import Floats, Ints, Mask

Array = npt.NDArray[Any]

HELD = 1 << 22
"""Conditions (leaf, row, condition) held at once."""


@dataclass(frozen=True)
class Forest:
    """l leaves with at most c conditions each; rows are compared in the type `dtype`, as the library compares them."""

    value: Floats
    """Shape (l, m)."""
    feature: Ints
    """Shape (l, c); -1 behind a leaf's last condition. Leaves with most conditions come first."""
    low: Array
    """Shape (l, c), in `dtype`: a row lies above it."""
    high: Array
    """Shape (l, c), in `dtype`: and at or below it."""
    dtype: type[np.floating[Any]]
    intercept: Floats
    """Shape (m,)."""

    @classmethod
    def of(cls, trees: Tree, dtype: type[np.floating[Any]], intercept: Floats) -> Forest:
        """Gathers the leaves of all trees."""
        found = boxes(trees)
        low, high = (_rounded_down(bounds, dtype) for bounds in (found.low, found.high))
        return cls(trees.value[found.leaf], found.feature, low, high, dtype, intercept)

    @cached_property
    def conditions(self) -> Ints:
        """Conditions of each leaf, shape (l,)."""
        return (self.feature >= 0).sum(axis=1, dtype=np.int64)

    def cast(self, rows: Array) -> Array:
        """Rows as the library compares them."""
        return rows.astype(self.dtype)

    def predict(self, rows: Array) -> Floats:
        """Outputs (r, m) of rows (r, d)."""
        columns, out = np.ascontiguousarray(self.cast(rows).T), np.tile(self.intercept, (len(rows), 1))
        for leaves in self.blocks(len(rows)):
            outside = np.zeros((leaves.stop - leaves.start, len(rows)), dtype=np.bool_)
            for _, some, unmet in self.unmet(columns, leaves):
                outside[some] |= unmet
            out += (~outside).T.astype(np.float64) @ self.value[leaves]
        return out

    def blocks(self, rows: int) -> list[slice]:
        """Leaves cut so that their conditions on some rows are held at once."""
        step = max(1, HELD // max(1, rows * self.feature.shape[1]))
        return [slice(at, min(at + step, len(self.value))) for at in range(0, len(self.value), step)]

    def unmet(self, columns: Array, leaves: slice) -> list[tuple[int, slice, Mask]]:
        """Condition by condition, the leaves of a block that have it (b leaves, the block's first), and whether rows, given as columns
        (d, r), fail it: shape (b, r).
        """
        counts, out = self.conditions[leaves], list[tuple[int, slice, Mask]]()
        for at in range(int(counts.max(initial=0))):
            some = slice(0, int((counts > at).sum()))
            feature, low, high = (part[leaves][some, at] for part in (self.feature, self.low, self.high))
            taken = columns[feature]
            out.append((at, some, (taken <= low[:, None]) | (taken > high[:, None])))
        return out

    def met(self, rows: Array, leaves: slice) -> Mask:
        """Whether rows (r, d) meet each condition of some leaves, shape (l, r, c); true where there is none."""
        feature, low, high = self.feature[leaves], self.low[leaves, None], self.high[leaves, None]
        taken = rows.T[np.maximum(feature, 0)].transpose(0, 2, 1)
        return np.asarray((feature[:, None] < 0) | ((taken > low) & (taken <= high)))


def _rounded_down(bounds: Floats, dtype: type[np.floating[Any]]) -> Array:
    """The largest numbers of a type at or below some bounds: numbers of that type exceed both or neither."""
    # A bound beyond the largest number of the type becomes infinite.
    with np.errstate(over="ignore"):
        cast = bounds.astype(dtype)
    return np.where(cast > bounds, np.nextafter(cast, np.array(-np.inf, dtype=dtype)), cast)
