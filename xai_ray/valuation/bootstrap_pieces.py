"""Data-OOB as pieces: a bootstrap is a piece, and there is no end of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xai_ray.coalitions import Pieces
from xai_ray.valuation.data import LabelledData
from xai_ray.valuation.data_oob import OutOfBag
from xai_ray.valuation.pieces import Sums
from xai_ray.valuation.running_means import RunningMeans

_LARGEST, _CELLS, _ALONE = 512, 1 << 20, 10
"""Bootstraps of a unit: at most so many, as many as there are so many pairs of a bootstrap and a point, or so many fits one by one."""


class BootstrapPieces:
    """Of a classifier how many models were right about a point and how many did not draw it, of a regression the means and squared
    deviations of minus the squared error. Memory: as `data_oob_values`.
    """

    def __init__(self, bags: OutOfBag) -> None:
        self._bags = bags

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Shape (n, 2, 1), or (n, 3, 1) for a regression."""
        bags, n = self._bags, len(self._bags.data.rows)
        counted = isinstance(bags.data, LabelledData)
        means, right, seen = RunningMeans(n), np.zeros(n), np.zeros(n)
        for points, present in bags.samples(start, stop):
            between()
            if counted:
                right += (points * present).sum(axis=0)
                seen += present.sum(axis=0)
            else:
                means.add(points, present)
        return (np.stack([right, seen], axis=1) if counted else means.sums())[:, :, None], {}


def bootstrap_pieces(bags: OutOfBag) -> Pieces:
    """The design of a job over bootstraps of these data."""
    n, counted = len(bags.data.rows), isinstance(bags.data, LabelledData)
    block = _ALONE if bags.tile == 1 else max(64, min(_LARGEST, 1 << (max(1, _CELLS // n).bit_length() - 1)))
    return Pieces(n, 1, "share" if counted else "present", block)
