"""Data Banzhaf in one pass as pieces: a random coalition is a piece, and there is no end of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xai_ray.coalitions import Pieces
from xai_ray.types import Floats, Mask
from xai_ray.valuation.banzhaf import drawn_coalitions
from xai_ray.valuation.pieces import Sums
from xai_ray.valuation.training_game import TrainingGame
from xai_ray.valuation.whole_blocks import values_in_blocks

_LEAST = 16
"""Coalitions of a unit at least."""


class BanzhafPieces:
    """Means, squared deviations and counts of the scores of coalitions with each player, and of those without. No score is kept."""

    def __init__(self, game: TrainingGame, p: float, seed: int) -> None:
        self._game, self._p, self._seed = game, p, seed

    @property
    def design(self) -> Pieces:
        """Coalitions, in units of whole blocks of the game."""
        game = self._game
        return Pieces(game.n_players, game.n_outputs, "contrast", game.block * -(-_LEAST // game.block))

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Shape (n, 6, k)."""
        game, numbers = self._game, np.arange(start, stop, dtype=np.int64)
        coalitions = drawn_coalitions(self._seed, numbers, game.n_players, self._p)
        scores = values_in_blocks(game, coalitions)
        return np.concatenate([_moments(coalitions, scores), _moments(~coalitions, scores)], axis=1), {
            "empty": game.empty_scores.tolist()
        }


def _moments(held: Mask, scores: Floats) -> Floats:
    """Mean, sum of squared deviations and count of the scores (c, k) that each player holds (c, n), shape (n, 3, k)."""
    centre = scores.mean(axis=0)
    # Squares of what is left lose no digits to a large mean.
    left, count = scores - centre, held.sum(axis=0).astype(np.float64)[:, None]
    shares = held.T.astype(np.float64)
    gap = shares @ left / np.maximum(count, 1.0)
    spread = np.maximum(shares @ (left * left) - count * gap * gap, 0.0)
    mean = np.where(count > 0, centre + gap, 0.0)
    return np.stack([mean, spread, np.broadcast_to(count, mean.shape)], axis=1)
