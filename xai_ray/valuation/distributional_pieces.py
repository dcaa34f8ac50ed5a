"""Distributional Shapley values as pieces: a chain of data sets is a piece, and there is no end of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xai_ray.coalitions import Pieces
from xai_ray.errors import SpecError
from xai_ray.valuation.distributional import DRAWS, contributions
from xai_ray.valuation.pieces import Sums
from xai_ray.valuation.running_means import RunningMeans
from xai_ray.valuation.training_game import TrainingGame


class DistributionalPieces:
    """Means, squared deviations and counts of what players add to random data sets of at most `cardinality` players."""

    def __init__(self, game: TrainingGame, cardinality: int | None, seed: int) -> None:
        """Raises SpecError for a data set of more players than there are."""
        n = game.n_players
        self.cardinality = -(-n // 2) if cardinality is None else cardinality
        if self.cardinality > n:
            raise SpecError(
                f"settings of method 'distributional': cardinality = {cardinality} is above the {n} players; give at most {n}"
            )
        self._game, self._seed = game, seed

    @property
    def design(self) -> Pieces:
        """Chains, in units of those that are walked together."""
        return Pieces(self._game.n_players, self._game.n_outputs, "present", DRAWS)

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Shape (n, 3, k)."""
        game, numbers = self._game, np.arange(start, stop, dtype=np.int64)
        everyone = np.ones(game.n_players, dtype=np.bool_)
        samples, present = contributions(game, everyone, self.cardinality, numbers, self._seed)
        means = RunningMeans(game.n_players * game.n_outputs)
        means.add(samples.reshape(len(numbers), -1), np.repeat(present, game.n_outputs, axis=1))
        sums = means.sums().reshape(game.n_players, game.n_outputs, 3)
        return np.ascontiguousarray(sums.transpose(0, 2, 1)), {"empty": game.empty_scores.tolist()}
