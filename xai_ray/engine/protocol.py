"""What an engine promises: it evaluates units and hands back their records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from xai_ray.coalitions import Design, Unit
from xai_ray.engine.committing import Ties
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record


class Engine(Protocol):
    """Laws: every unit is committed once, or `run` raises or was stopped; the values are those of `worker.evaluate`,
    bit for bit, whatever was lost, retried or evaluated twice on the way; when `run` returns or raises, its workers
    are released.
    """

    def run(
        self,
        game: Game,
        design: Design,
        units: Sequence[Unit],
        commit: Callable[[Record], None],
        stopped: Callable[[], bool],
        ties: Ties | None = None,
    ) -> None:
        """Evaluate the pending `units`, given in canonical order.

        `commit` is called in the calling thread, once for each unit that is finished, in any order. `stopped` is polled
        between units and batches, and at least every 0.2 s while the engine waits; once it is True, `run` returns and
        leaves the rest.

        `ties` bind the run to its job: with a committer, workers in other processes may commit by themselves, and a unit
        is then told to `ties.acknowledged` instead of `commit`.

        Raises the error of the first unit that fails (NonFiniteValue, ModelOutputError, ...), XaiRayError if the game
        raises an exception of its own again and again, EngineError if a unit keeps killing its workers or no worker can
        be had, and whatever `commit` and `stopped` raise.
        """
        ...
