"""The K-nearest-neighbour classifier on many coalitions of training points: one sort of the distances serves them all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.valuation.data import LabelledData
from xai_ray.valuation.engine import one_hot, prefixes_one_by_one


class NeighbourEngine:
    """Votes of the min(k, |S|) nearest points (Euclidean); tied points by their number, tied classes to the first."""

    name = "nearest neighbours from one sort"
    chains = False
    itself = False

    def __init__(self, data: LabelledData, k: int, tile: int) -> None:
        if k < 1:
            raise SpecError(f"k is the number of neighbours, at least 1; got {k}")
        distances = cdist(data.test_rows, data.rows, "sqeuclidean")
        if not np.isfinite(distances).all():
            raise InputError("distances overflow; scale the features")
        self._k, self.tile = k, tile
        self._order = np.argsort(distances, axis=1, kind="stable")
        self._held = one_hot(data.labels, len(data.classes))[self._order]
        # Read-only arrays are shared by the workers of a node.
        self._order.setflags(write=False)
        self._held.setflags(write=False)

    def decisions(self, coalitions: Coalitions) -> Floats:
        """Logarithms of the votes, shape (tile, m, C); of an empty coalition 0."""
        members = coalitions[:, self._order]
        voters = members & (np.cumsum(members, axis=2, dtype=np.int32) <= self._k)
        votes = (voters.astype(np.float64)[:, :, None, :] @ self._held)[:, :, 0]
        votes[~coalitions.any(axis=1)] = 1.0
        with np.errstate(divide="ignore"):
            return np.log(votes)

    def prefixes(self, order: Ints, lengths: Ints) -> Iterator[tuple[int, Floats]]:
        """One vote a prefix."""
        return prefixes_one_by_one(self, order, lengths)
