"""The tree surrogate: a linear function and a polynomial of the size, and boosted trees of what they leave over.

Trees need many splits for a linear function and for a curve in the size, and a ridge regression needs n + 2 coefficients: the
linear part alone took the trees' own Shapley values from a squared error of 1.6e-2 to 4.5e-3 at ten rows a player.
All parts are sums of leaves, so every read-out has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.estimators.cholesky import Factor
from xai_ray.estimators.leaves import Leaves, linear_leaves, size_leaves
from xai_ray.estimators.tree_reads import read
from xai_ray.estimators.trees import Growth, Trees
from xai_ray.indices import Readout
from xai_ray.types import Coalitions, Floats, Ints, Mask, Values

GROWTH = Growth()
_RIDGE = 1.0
"""Of the linear part, where every feature has a spread of about 1/2."""


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """Fits surrogates to subsets of one table of r rows with k outputs."""

    coalitions: Coalitions
    values: Values
    growth: Growth = GROWTH

    def fit(self, train: Mask) -> Boosted:
        """The surrogate of the rows where `train`, shape (r,), is true."""
        members, n = self.coalitions[train], self.coalitions.shape[1]
        mean = self.values[train].mean(axis=0)
        columns = _linear_features(members)
        gram = columns.T @ columns + _RIDGE * np.eye(columns.shape[1])
        slopes = Factor.of(gram).solve(columns.T @ (self.values[train] - mean))
        left = self.values[train] - mean - columns @ slopes
        by_size = mean + _centred_powers(n) @ slopes[n:] - 0.5 * slopes[:n].sum(axis=0)
        trees = tuple(Trees.grown(members, left[:, k], self.growth) for k in range(left.shape[1]))
        return Boosted(by_size, slopes[:n], trees)


@dataclass(frozen=True, slots=True)
class Boosted:
    """A fitted surrogate; n players, k outputs."""

    by_size: Floats
    """Shape (n + 1, k)."""
    linear: Floats
    """Shape (n, k)."""
    trees: tuple[Trees, ...]
    """One an output."""

    def predict(self, coalitions: Coalitions) -> Values:
        """Values of coalitions (r, n), shape (r, k)."""
        smooth = self.by_size[coalitions.sum(axis=1)] + coalitions @ self.linear
        return smooth + np.stack([trees.predict(coalitions) for trees in self.trees], axis=1)

    def read(self, readout: Readout, sets: Ints) -> Floats:
        """The index of the surrogate for sets (c, s), shape (c, R, k)."""
        return np.stack([sum(read(part, readout, sets) for part in parts) for parts in self.parts()], axis=2)

    def parts(self) -> list[tuple[Leaves, ...]]:
        """The surrogate of each output as sums of leaves: what depends on the size alone, the linear part, the trees."""
        n = len(self.linear)
        return [
            (size_leaves(n, self.by_size[:, k]), linear_leaves(n, self.linear[:, k]), trees.leaves)
            for k, trees in enumerate(self.trees)
        ]


def linear_slopes(coalitions: Coalitions, target: Floats) -> Floats:
    """Ridge slopes (n,) of a target (r,) of mean zero, with players as -1/2 and 1/2."""
    columns = coalitions.astype(np.float64) - 0.5
    return Factor.of(columns.T @ columns + _RIDGE * np.eye(columns.shape[1])).solve(columns.T @ target)


def _linear_features(coalitions: Coalitions) -> Floats:
    """Players as -1/2 and 1/2, then the centred powers of the size; shape (r, n + 2)."""
    n = coalitions.shape[1]
    players = coalitions.astype(np.float64) - 0.5
    return np.column_stack([players, _centred_powers(n)[coalitions.sum(axis=1)]])


def _centred_powers(n: int) -> Floats:
    """Second and third power of the share of players that are in, by size; shape (n + 1, 2)."""
    share = np.arange(n + 1) / n - 0.5
    return np.column_stack([share**2 - 1 / 12, 2 * share**3])
