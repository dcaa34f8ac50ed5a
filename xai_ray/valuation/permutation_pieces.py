"""Class-wise and truncated Data Shapley as pieces: a permutation is a piece, and there is no end of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xai_ray.valuation.class_wise import class_contributions
from xai_ray.valuation.data import LabelledData
from xai_ray.valuation.engine import TrainingEngine
from xai_ray.valuation.pieces import Sums
from xai_ray.valuation.running_means import RunningMeans
from xai_ray.valuation.settings import TruncationSettings
from xai_ray.valuation.training_game import TrainingGame
from xai_ray.valuation.truncated import LANES, Walk, check_truncation

CLASS_BLOCK = 4
"""Permutations of each class in a unit of class-wise Shapley values."""


class ClassWisePieces:
    """A piece is one permutation of each class, in a context of its own."""

    def __init__(self, engine: TrainingEngine, data: LabelledData, seed: int) -> None:
        self._engine, self._data, self._seed = engine, data, seed

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Means and squared deviations over permutations, shape (n, 2, 1)."""
        data = self._data
        out = np.empty((len(data.rows), 2, 1))
        for own in range(len(data.classes)):
            members = np.flatnonzero(data.labels == own)
            means = RunningMeans(len(members))
            for found in class_contributions(self._engine, data, own, start, stop, self._seed):
                means.add(found)
                between()
            out[members] = means.sums()[:, :2, None]
        return out, {}


class TruncatedPieces:
    """A piece is one permutation, walked until the score stays close to that of all points. Tells where each was truncated, and what it
    skipped: a point's value lacks at most the mean of what was skipped, where skipped contributions do not differ in sign.
    """

    def __init__(self, game: TrainingGame, settings: TruncationSettings, seed: int) -> None:
        check_truncation(game, settings.tolerance, settings.patience, settings.go_on)
        self._game, self._settings, self._seed = game, settings, seed

    @property
    def block(self) -> int:
        """Permutations of a unit."""
        return LANES

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Means and squared deviations over permutations, shape (n, 2, k)."""
        chosen = self._settings
        walk = Walk(self._game, (start, stop), chosen.tolerance, chosen.patience, chosen.go_on, self._seed)
        walk.to_end(between)
        told = {"truncated_at": walk.truncated_at.tolist(), "skipped": [walk.skipped.tolist()]}
        return np.stack(walk.moments(), axis=1), {"told": told, "ends": [walk.empty.tolist(), walk.grand.tolist()]}
