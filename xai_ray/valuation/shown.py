"""What a report needs of the game that valued training points, without training anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xai_ray.types import Ints
from xai_ray.valuation.exhibits import Exhibits
from xai_ray.valuation.pieces import ValuationGame
from xai_ray.valuation.training_game import TrainingGame


@dataclass(frozen=True, eq=False)
class Shown:
    """Training points as people see them."""

    exhibits: Exhibits
    owner: Ints
    """The player of each point, shape (n_points,)."""
    targets: Sequence[Any]
    """The label, or the number, that each point was given."""
    game: Callable[[], TrainingGame]
    """Makes the game whose models curves train. Raises as `TrainingGame`."""
    lacks: str = ""
    """Why there is no such game."""


def shown_by(game: Any) -> Shown | None:
    """The training points of a game, None for a game of something else and for one whose data stayed elsewhere."""
    if isinstance(game, TrainingGame):
        return Shown(game.exhibits, game.owner, game.targets, lambda: game)
    if isinstance(game, ValuationGame) and (asked := game.asked) is not None:
        return Shown(asked.exhibits or Exhibits(), asked.owner(), asked.targets(), asked.game, asked.lacks_game())
    return None
