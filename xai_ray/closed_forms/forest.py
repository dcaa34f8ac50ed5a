"""A sum of trees as boxes: each leaf pays its value to the rows that lie in its box, one interval (low, high] a feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.types import Floats, Ints

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_HELD = 1 << 22
"""Conditions (leaf, row, condition) held at once."""


@dataclass(frozen=True)
class Tree:
    """Nodes of one tree. A row goes left where its feature is at most the threshold."""

    left: Ints
    """Shape (nodes,); -1 at a leaf."""
    right: Ints
    feature: Ints
    threshold: Floats
    value: Floats
    """Shape (nodes, m): what a leaf adds to the outputs."""


@dataclass(frozen=True)
class Forest:
    """l leaves with at most c conditions each; rows are compared in the type `dtype`, as the library compares them."""

    value: Floats
    """Shape (l, m)."""
    feature: Ints
    """Shape (l, c); -1 where there is no condition."""
    low: Floats
    """Shape (l, c): a row lies above it."""
    high: Floats
    """Shape (l, c): and at or below it."""
    dtype: type[np.floating[Any]]
    intercept: Floats
    """Shape (m,)."""

    @classmethod
    def of(cls, trees: Sequence[Tree], dtype: type[np.floating[Any]], intercept: Floats) -> Forest:
        """Gathers the leaves of all trees; several conditions on one feature become one interval."""
        found = [leaf for tree in trees for leaf in _leaves(tree)]
        width = max((len(bounds) for _, bounds in found), default=0)
        feature = np.full((len(found), width), -1, dtype=np.int64)
        low, high = np.full((len(found), width), -np.inf), np.full((len(found), width), np.inf)
        for at, (_, bounds) in enumerate(found):
            for place, (column, (least, most)) in enumerate(sorted(bounds.items())):
                feature[at, place], low[at, place], high[at, place] = column, least, most
        value = np.stack([value for value, _ in found]) if found else np.zeros((0, len(intercept)))
        return cls(value, feature, low, high, dtype, intercept)

    def inside(self, rows: Array, leaf: int) -> Mask:
        """Whether each row (r, d) meets each condition of a leaf, shape (r, conditions)."""
        used = self.feature[leaf] >= 0
        taken = rows[:, self.feature[leaf, used]]
        return np.asarray((taken > self.low[leaf, used]) & (taken <= self.high[leaf, used]))

    def cast(self, rows: Array) -> Array:
        """Rows as the library compares them."""
        return rows.astype(self.dtype)

    def predict(self, rows: Array) -> Floats:
        """Outputs (r, m) of rows (r, d)."""
        rows, out = self.cast(rows), np.tile(self.intercept, (len(rows), 1))
        for leaves in self.blocks(len(rows)):
            out += self.met(rows, leaves).all(axis=2).T @ self.value[leaves]
        return out

    def blocks(self, rows: int) -> list[slice]:
        """Leaves cut so that their conditions on some rows are held at once."""
        step = max(1, _HELD // max(1, rows * self.feature.shape[1]))
        return [slice(start, start + step) for start in range(0, len(self.value), step)]

    def met(self, rows: Array, leaves: slice) -> Mask:
        """Whether rows (r, d) meet each condition of some leaves, shape (l, r, c); true where there is none."""
        feature, low, high = self.feature[leaves], self.low[leaves, None], self.high[leaves, None]
        taken = rows.T[np.maximum(feature, 0)].transpose(0, 2, 1)
        return np.asarray((feature[:, None] < 0) | ((taken > low) & (taken <= high)))


def by_player(met: Mask, owner: Ints, players: Ints) -> Mask:
    """From whether rows meet each condition (r, c), and whose column it is on (c,), whether all are met on each player (r, q)."""
    out = np.ones((len(met), len(players)), dtype=np.bool_)
    for at, player in enumerate(players):
        out[:, at] = met[:, owner == player].all(axis=1)
    return out


def _leaves(tree: Tree) -> list[tuple[Floats, dict[int, tuple[float, float]]]]:
    """Value and intervals by feature of every leaf that is not zero."""
    out: list[tuple[Floats, dict[int, tuple[float, float]]]] = []
    stack: list[tuple[int, dict[int, tuple[float, float]]]] = [(0, {})]
    while stack:
        node, bounds = stack.pop()
        if tree.left[node] < 0:
            if tree.value[node].any():
                out.append((tree.value[node], bounds))
            continue
        column, cut = int(tree.feature[node]), float(tree.threshold[node])
        low, high = bounds.get(column, (-np.inf, np.inf))
        if low < cut:
            stack.append((int(tree.left[node]), bounds | {column: (low, min(high, cut))}))
        if cut < high:
            stack.append((int(tree.right[node]), bounds | {column: (max(low, cut), high)}))
    return out
