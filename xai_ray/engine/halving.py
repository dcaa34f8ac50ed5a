"""A worker that runs out of an accelerator's memory goes on with batches of half the size, and says so in the facts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from xai_ray.coalitions import Design, Unit
from xai_ray.engine.worker import evaluate
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record


@runtime_checkable
class Divisible(Protocol):
    """A game that can do with less memory."""

    def halved(self) -> Game | None:
        """The same game with half the batch; None if it is as small as can be."""
        ...


class Bench:
    """Evaluates units one after the other with one game. A batch that does not fit into memory is halved, for that unit
    and all later ones: the last bits of a forward pass may change with the size of its batch, so the facts of each such
    record hold `halved`, how often.
    """

    def __init__(self, game: Game, design: Design) -> None:
        self._game, self._design = game, design
        self._times = 0

    def evaluate(self, unit: Unit, between: Callable[[], None]) -> Record:
        """See `worker.evaluate`. The error of a batch that does not fit and cannot be halved is raised as it is."""
        while True:
            try:
                record = evaluate(unit, self._game, self._design, between)
            except Exception as error:
                smaller = self._game.halved() if out_of_memory(error) and isinstance(self._game, Divisible) else None
                if smaller is None:
                    raise
            else:
                facts = record.facts | {"halved": self._times} if self._times else record.facts
                return Record(record.unit, record.values, facts)
            # Outside the handler: the traceback of the error holds the tensors that filled the memory.
            self._game, self._times = smaller, self._times + 1
            _release_cached()


def out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator's memory was too small, by the name of the error's class: no framework is imported."""
    return any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)


def _release_cached() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
