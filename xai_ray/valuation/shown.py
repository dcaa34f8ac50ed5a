"""What a report needs of the game that valued training points, without training anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
    """Makes the game whose models curves train, scored on the holdout where there is one. Raises as `TrainingGame`."""
    judges: int = 0
    """Rows of the holdout; 0 where the game is scored on the test rows of the job."""
    lacks: str = ""
    """Why there is no such game."""


def shown_by(game: Any, holdout: tuple[Any, Any] | None = None) -> Shown | None:
    """The training points of a game, None for a game of something else and for one whose data stayed elsewhere.

    `holdout`, rows and targets, takes the place of that of the game's own exhibits.
    """
    if isinstance(game, TrainingGame):
        pair = holdout or game.exhibits.holdout
        make = partial(game.judged_by, *pair) if pair else lambda: game
        return Shown(game.exhibits, game.owner, game.targets, make, _count(pair))
    if isinstance(game, ValuationGame) and (asked := game.asked) is not None:
        seen = Exhibits() if asked.exhibits is None else asked.exhibits
        pair = holdout or seen.holdout
        lacks = asked.lacks_game(judged=pair is not None)
        return Shown(seen, asked.owner(), asked.targets(), partial(asked.game, pair), _count(pair), lacks)
    return None


def _count(pair: tuple[Any, Any] | None) -> int:
    return 0 if pair is None else len(pair[1])
