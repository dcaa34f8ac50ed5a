"""Values of any number of coalitions from games that are to be asked in whole blocks."""

from __future__ import annotations

import numpy as np

from xai_ray.games.protocol import Game
from xai_ray.types import Coalitions, Values


def values_in_blocks(game: Game, coalitions: Coalitions) -> Values:
    """Values of c coalitions of a deterministic game, shape (c, k); the last block is filled with grand coalitions."""
    missing = -len(coalitions) % game.block
    rows = np.concatenate([coalitions, np.ones((missing, coalitions.shape[1]), dtype=np.bool_)])
    return game.values(rows, np.zeros(len(rows), dtype=np.int64))[: len(coalitions)]
