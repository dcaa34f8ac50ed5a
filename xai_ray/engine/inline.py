"""The reference engine: the ledger with one worker, in this process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from xai_ray.coalitions import Design, Unit
from xai_ray.engine.ahead import Ahead
from xai_ray.engine.committing import Ties
from xai_ray.engine.events import (
    Action,
    AddUnits,
    Assign,
    Cancel,
    Close,
    Commit,
    Event,
    Fail,
    Release,
    StartWorker,
    Tick,
    UnitDone,
    UnitFailed,
    WorkerReady,
)
from xai_ray.engine.failures import Failure, error_of, told
from xai_ray.engine.halving import Bench
from xai_ray.engine.ledger import Ledger
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record


class _Stopped(Exception):
    """Raised between two batches to leave a unit unfinished."""


@dataclass(frozen=True)
class InlineEngine:
    """Evaluates the units one after the other in the calling thread; `stopped` is polled between batches."""

    def run(
        self,
        game: Game,
        design: Design,
        units: Sequence[Unit],
        commit: Callable[[Record], None],
        stopped: Callable[[], bool],
        ties: Ties | None = None,
    ) -> None:
        """See `xai_ray.engine.protocol.Engine`."""
        _Run(Ahead(Bench(game, design), design, units), commit, stopped).run(units)


@dataclass
class _Run:
    ahead: Ahead
    commit: Callable[[Record], None]
    stopped: Callable[[], bool]
    inbox: deque[Event] = field(default_factory=deque)
    work: deque[Assign] = field(default_factory=deque)
    done: Record | None = None
    failure: Failure | None = None

    def run(self, units: Sequence[Unit]) -> None:
        ledger = Ledger(workers=1)
        self.inbox.extend([Tick(time.monotonic()), AddUnits(tuple(units)), Close()])
        while not ledger.over:
            if not self.inbox:
                outcome = self._next(self.work.popleft())
                self.inbox.extend([Tick(time.monotonic()), outcome])
            for action in ledger.handle(self.inbox.popleft()):
                self._act(action)

    def _next(self, assigned: Assign) -> Event:
        try:
            self._between()
            self.done = self.ahead.evaluate(assigned.unit, self._between)
        except _Stopped:
            return Cancel()
        except Exception as error:
            self.failure = told(error)
            return UnitFailed(assigned.unit, assigned.worker, self.failure.message, self.failure.final)
        return UnitDone(assigned.unit, assigned.worker)

    def _act(self, action: Action) -> None:
        match action:
            case StartWorker(worker):
                self.inbox.append(WorkerReady(worker))
            case Assign():
                self.work.append(action)
            case Commit() if self.done is not None:
                self.commit(self.done)
            case Release():
                self.work.clear()
            case Fail():
                raise error_of(action, self.failure)
            case _:
                pass

    def _between(self) -> None:
        if self.stopped():
            raise _Stopped
