"""A game of Python objects on its way to a cluster of the same user: a pickle, so only on explicit trust.

It travels beside the code, in the working directory of the job, where code is run anyway; never through a store. The store holds
its SHA-256, so a driver unpickles what its own submission named and nothing else.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from xai_ray.errors import DigestMismatch, InputError, SpecError

if TYPE_CHECKING:
    from xai_ray.games import Game

NAME = "xai_ray_game.pickle"


def dump(game: Game, folder: Path, trust: bool) -> str:
    """Write the game into a folder; its SHA-256. SpecError without trust, InputError for a game that cannot be pickled."""
    if not trust:
        raise SpecError(
            "a game of Python objects is sent as a pickle, which runs code where it is read; say trust=True if the cluster is "
            "yours alone, or submit a spec that names the model by its factory (package.module:function)"
        )
    from ray.cloudpickle.cloudpickle import dumps

    try:
        data: bytes = dumps(game)
    except Exception as error:
        raise InputError(
            f"the game cannot be pickled ({type(error).__name__}: {error}); submit a spec that names the model by its factory"
        ) from None
    (folder / NAME).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def load(folder: Path, digest: str) -> Game:
    """The game in a folder. DigestMismatch, before anything is read from it, unless it is the one that was submitted."""
    path = folder / NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the submitted game is not beside the driver ({error}); submit it again") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise DigestMismatch(f"{NAME} is not the game that was submitted; submit it again")
    try:
        return pickle.loads(data)
    except Exception as error:
        raise InputError(
            f"the submitted game cannot be read here ({type(error).__name__}: {error}); the modules it needs must be on the "
            "cluster, in --working-dir or in --py-module"
        ) from None
