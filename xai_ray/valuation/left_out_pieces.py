"""Leave-one-out by retraining as pieces: piece i is the score without player i."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xai_ray.coalitions import Pieces
from xai_ray.valuation.leave_one_out import scores_without
from xai_ray.valuation.pieces import Sums
from xai_ray.valuation.training_game import TrainingGame

_UNITS, _BLOCKS, _MODELS = 64, 4, 16
"""Units of a job at most, blocks and models of a unit at least: each trains a block more, for the score of all."""


class LeftOutPieces:
    """A unit's players, each with what the score of all loses without it. Memory: that of the game."""

    def __init__(self, game: TrainingGame) -> None:
        self._game = game

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Shape (stop - start, 1, k)."""
        game, n = self._game, self._game.n_players
        last = stop == n
        found = scores_without(game, start, stop + last, between)
        # The score of all has one place in one block, so that it has the same bits in every unit.
        grand = (found if last else scores_without(game, n - n % game.block, n + 1, between))[-1]
        ends = np.stack([game.empty_scores, grand])
        return (grand - found[: stop - start])[:, None], {"ends": ends.tolist()}


def left_out_design(game: TrainingGame) -> Pieces:
    """The design of a job over the players of this game."""
    n, tile = game.n_players, game.block
    tiles = max(_BLOCKS, -(-_MODELS // tile), -(-n // (tile * _UNITS)))
    return Pieces(n, game.n_outputs, "own", tile * tiles, n)
