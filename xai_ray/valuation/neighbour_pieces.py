"""KNN-Shapley as pieces: a test point is a piece, and the value of a training point its mean over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np

from xai_ray.coalitions import Pieces
from xai_ray.types import Floats, Ints
from xai_ray.valuation.data import LabelledData
from xai_ray.valuation.draws import Purpose, orders
from xai_ray.valuation.knn import cuts
from xai_ray.valuation.pieces import Sums
from xai_ray.valuation.running_means import RunningMeans

_LEAST, _UNITS, _CELLS = 16, 64, 1 << 20
"""Test points of a unit at least, units of a job at most, and pairs of a training and a test point that are worth a unit."""


class _Values(Protocol):
    @property
    def data(self) -> LabelledData: ...
    def samples(self, tests: Ints) -> Floats: ...


class NeighbourPieces:
    """Test points in random order, so that the first of them are a sample of all: their mean is unbiased, with a standard error that
    ends at 0. Memory beside the data: a few arrays of max(n, 16,384) numbers.
    """

    def __init__(self, values: _Values, seed: int, empty: float) -> None:
        self._values, self._empty = values, empty
        m = len(values.data.test_rows)
        self._order = orders(seed, Purpose.TEST_POINTS, np.zeros(1, dtype=np.int64), m)[0]

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Means and squared deviations over test points, shape (n, 2, 1)."""
        means = RunningMeans(len(self._values.data.rows))
        # In the order of the data within a unit: its sums do not depend on it, and memory is read forwards.
        for tests in cuts(self._values.data, np.sort(self._order[start:stop])):
            between()
            means.add(self._values.samples(tests))
        return means.sums()[:, :2, None], {"empty": self._empty}


def test_point_pieces(data: LabelledData) -> Pieces:
    """The design of a job over the test points of this data."""
    n, m = len(data.rows), len(data.test_rows)
    fold: Literal["mean"] = "mean"
    return Pieces(n, 1, fold, max(_LEAST, -(-m // _UNITS), min(m, _CELLS // n)), m)
