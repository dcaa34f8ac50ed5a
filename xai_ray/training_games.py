"""The training games of a spec: an estimator by its import path, data and scores become one `TrainingGame`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from xai_ray.errors import SpecError, UnknownName, XaiRayError
from xai_ray.factories import imported, made
from xai_ray.spec import Compute
from xai_ray.training_data import read_rows
from xai_ray.training_spec import TrainingGameSpec
from xai_ray.valuation import TrainingGame
from xai_ray.valuation.memory import memory_bytes


def training_game(game: TrainingGameSpec, compute: Compute, base: Path) -> TrainingGame:
    """Build the game. Raises InputError and SpecError that name the key."""
    if compute.batch is not None:
        raise SpecError("compute.batch is for models; a training game has batches of its own: leave it out")
    estimator = _estimator(game, base)
    rows = read_rows(game, base)
    try:
        return TrainingGame(
            estimator,
            rows.X,
            rows.y,
            rows.X_test,
            rows.y_test,
            scores=game.scores,
            groups=rows.groups,
            player_names=None if rows.names is None or rows.groups is not None else [str(name) for name in rows.names],
            empty=game.empty,
            refit=game.refit,
            threads=compute.threads,
            memory=_bound(compute),
            self_check=game.self_check,
        )
    except XaiRayError:
        raise
    except (TypeError, ValueError) as error:
        # scikit-learn looks at parameters when it fits; engines look before.
        raise SpecError(f"game.parameters of {game.estimator!r}: {error}") from error


def _bound(compute: Compute) -> int | None:
    try:
        return None if compute.memory is None else memory_bytes(compute.memory)
    except ValueError as error:
        raise SpecError(f"compute.memory = {error}") from None


def _estimator(game: TrainingGameSpec, base: Path) -> Any:
    where = f"game.estimator = {game.estimator!r}"
    make = imported(game.estimator, base, where)
    known = inspect.signature(make).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for name in game.parameters:
            if name not in known:
                raise UnknownName("parameter", name, known, f"game.parameters of {game.estimator!r}")
    return made(make, game.parameters, where)
