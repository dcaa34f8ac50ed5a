"""A `ModelGame` as sums of conjunctions, or the line that says why it has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.closed_forms.form import form_of
from xai_ray.closed_forms.leaf_game import affine_leaves, forest_leaves
from xai_ray.closed_forms.readable import reading
from xai_ray.errors import SpecError
from xai_ray.estimators.leaves import Leaves
from xai_ray.games import ModelGame
from xai_ray.games.protocol import Game
from xai_ray.types import Floats


@dataclass(frozen=True)
class ClosedGame:
    """v of n players with k outputs: `empty` plus the sums of leaves, less what they give nobody."""

    what: str
    leaves: list[Leaves]
    """One an output."""
    ends: Floats
    """Shape (2, k): v(empty) and v(grand)."""


def closed_game(game: Game) -> ClosedGame:
    """Raises SpecError where the model, its input, the removal or the behaviour has no closed form."""
    if not isinstance(game, ModelGame):
        raise SpecError(
            f"closed_form is of a model and one row; {type(game).__name__} has no such form: take estimator 'auto'"
        )
    arguments, filling, averaging = game._arguments, game._filling, game._averaging  # pyright: ignore[reportPrivateUsage]
    placed = arguments.inputs[0]
    if len(arguments.inputs) > 1 or placed.array.ndim != 1:
        raise SpecError("closed_form takes one row of a table as input, with columns or groups of them as players")
    fillings = np.asarray(filling.rows[0], dtype=np.float64)
    row = np.asarray(placed.array, dtype=np.float64)
    labels = np.broadcast_to(placed.layout.labels, row.shape)
    whole = np.concatenate([row[None], np.where(labels >= 0, fillings, row)])
    form = form_of(game._model, whole)  # pyright: ignore[reportPrivateUsage]
    matrix, constant = reading(averaging, game.targets, len(form.constant), filling.size, form.log_odds)
    n, k = game.n_players, len(game.targets)
    if form.affine is not None:
        leaves = affine_leaves(form.affine.slopes @ matrix, row, fillings, labels, n)
    else:
        assert form.forest is not None
        leaves = forest_leaves(form.forest, form.forest.value @ matrix, row, fillings, labels, n)
    nobody_and_all = np.array([[False] * n, [True] * n])
    inner = np.stack([leaves[at].predict(nobody_and_all) for at in range(k)], axis=1)
    grand = form.predict(row[None])[0] @ matrix + constant
    return ClosedGame(form.what, leaves, np.stack([grand + inner[0] - inner[1], grand]))
