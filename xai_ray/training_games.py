"""The training games of a spec: an estimator by its import path, data and scores become one `TrainingGame`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from xai_ray.errors import SpecError, UnknownName, XaiRayError
from xai_ray.factories import imported, made
from xai_ray.spec import Compute
from xai_ray.training_data import read_rows
from xai_ray.training_spec import TrainingGameSpec, ValueSpec
from xai_ray.valuation import TrainingGame
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.memory import memory_bytes
from xai_ray.valuation.methods import CLOSED_FORMS, valuation_game
from xai_ray.valuation.pieces import ValuationGame

Built = TypeVar("Built")


def training_game(game: TrainingGameSpec, compute: Compute, base: Path) -> TrainingGame:
    """Build the game. Raises InputError and SpecError that name the key."""
    return _built(game, lambda: _asked("shapley", game, compute, 0, base).game())


def valued_game(game: TrainingGameSpec, value: ValueSpec, compute: Compute, seed: int, base: Path) -> ValuationGame:
    """The pieces of a method of data valuation. Raises InputError, UnknownName and SpecError that name the key."""
    if value.method not in CLOSED_FORMS:
        raise UnknownName("method", value.method, CLOSED_FORMS, "value.method")
    tests = CLOSED_FORMS[value.method].tests

    def make() -> ValuationGame:
        asked = _asked(value.method, game, compute, seed, base, tests)
        if asked.exhibits is not None and asked.exhibits.holdout is not None:
            asked.check_holdout(asked.exhibits.holdout)
        return valuation_game(asked, value.settings)

    return _built(game, make)


def _asked(method: str, game: TrainingGameSpec, compute: Compute, seed: int, base: Path, tests: bool = True) -> Asked:
    if asked := [k for k in ("fold", "precision", "channels_last", "compile") if getattr(compute, k)]:
        raise SpecError(f"compute.{asked[0]} is for models; a training game is trained as it is: leave it out")
    if compute.batch is not None:
        raise SpecError("compute.batch is for models; a training game has batches of its own: leave it out")
    estimator = None if game.estimator is None else _estimator(game, base)
    rows = read_rows(game, base, tests)
    return Asked(
        method,
        estimator,
        rows.X,
        rows.y,
        rows.X_test,
        rows.y_test,
        scores=game.scores,
        groups=rows.groups,
        names=None if rows.names is None else [str(name) for name in rows.names],
        empty=game.empty,
        refit=game.refit,
        seed=seed,
        threads=compute.threads,
        exhibits=rows.exhibits(),
        memory=None if compute.memory is None else memory_bytes(compute.memory, "compute.memory"),
        self_check=game.self_check,
    )


def _built(game: TrainingGameSpec, make: Callable[[], Built]) -> Built:
    try:
        return make()
    except XaiRayError:
        raise
    except (TypeError, ValueError) as error:
        # scikit-learn looks at parameters when it fits; engines look before.
        raise SpecError(f"game.parameters of {game.estimator!r}: {error}") from error


def _estimator(game: TrainingGameSpec, base: Path) -> Any:
    where = f"game.estimator = {game.estimator!r}"
    assert game.estimator is not None
    make = imported(game.estimator, base, where)
    known = inspect.signature(make).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for name in game.parameters:
            if name not in known:
                raise UnknownName("parameter", name, known, f"game.parameters of {game.estimator!r}")
    return made(make, game.parameters, where)
