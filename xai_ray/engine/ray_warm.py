"""The engine that runs units on a warm pool: the ledger over borrowed workers, for answers within a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from xai_ray.coalitions import Design, Unit
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
    WorkerLost,
    WorkerReady,
)
from xai_ray.engine.failures import Failure, error_of
from xai_ray.engine.journal import Journal
from xai_ray.engine.ledger import Ledger
from xai_ray.engine.ray_warm_pool import REMEDY, joined, warm_actor, warm_names
from xai_ray.errors import EngineError, StoreError
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class WarmEngine:
    """Runs units on the actors of a warm pool of the same game; see `ray_warm_pool`. `address` names the cluster to join, HOST:6379;
    without it RAY_ADDRESS, or the Ray that this process is connected to.
    """

    address: str | None = None

    def run(
        self,
        game: Game,
        design: Design,
        units: Sequence[Unit],
        commit: Callable[[Record], None],
        stopped: Callable[[], bool],
        ties: Ties | None = None,
    ) -> None:
        """See `xai_ray.engine.protocol.Engine`; records are committed here. EngineError if no warm actor has this game."""
        if not units:
            return
        with joined(self.address):
            names = warm_names(game.digest)
            if not names:
                raise EngineError(f"no warm pool on this cluster has the game {game.digest[:16]}; {REMEDY}")
            workers = min(len(names), len(units))
            journal = Journal(ties.log, workers) if ties is not None and ties.log is not None else None
            _Run(Ledger(workers), names, design.describe(), commit, stopped, journal).run(units)


@dataclass
class _Run:
    """The ledger over borrowed workers: they are left as they are, except one that may be broken."""

    ledger: Ledger
    names: list[str]
    design: dict[str, Any]
    commit: Callable[[Record], None]
    stopped: Callable[[], bool]
    journal: Journal | None
    began: float = field(default_factory=time.monotonic)
    actors: dict[int, Any] = field(default_factory=dict[int, Any])
    calls: dict[Any, tuple[int, Unit | None]] = field(default_factory=dict[Any, "tuple[int, Unit | None]"])
    record: Record | None = None
    failures: dict[Unit, Failure] = field(default_factory=dict[Unit, Failure])
    suspects: set[int] = field(default_factory=set[int])
    """Workers on which a unit raised what it may not raise elsewhere: their device may be broken."""

    def run(self, units: Sequence[Unit]) -> None:
        try:
            for event in (Tick(0.0), AddUnits(tuple(units)), Close()):
                self._send(event)
            while not self.ledger.over:
                if self.stopped():
                    self._send(Cancel())
                    return
                ready = self._wait()
                self._send(Tick(time.monotonic() - self.began))
                for call in ready:
                    self._arrived(call)
        finally:
            for call in self.calls:
                # What waits behind a unit under way is not begun; the actor itself stays for others.
                ray.cancel(call)
            if self.journal is not None:
                # The error under way says why the store cannot take it, if it cannot.
                with suppress(StoreError):
                    self.journal.flush()

    def _wait(self) -> list[Any]:
        calls = list(self.calls)
        if not calls:
            time.sleep(_POLL_SECONDS)
            return []
        ready, _ = ray.wait(calls, num_returns=1, timeout=_POLL_SECONDS)
        return ready and ray.wait(calls, num_returns=len(calls), timeout=0)[0]

    def _arrived(self, call: Any) -> None:
        if call not in self.calls or self.ledger.over:
            return
        worker, unit = self.calls.pop(call)
        try:
            answer: Any = ray.get(call)
        except RayError as error:
            self._forget(worker)
            reason = str(error).splitlines()[0][:300]
            self._send(WorkerLost(worker, reason, blame=isinstance(error, RayActorError) and unit is not None))
            return
        if unit is None:
            self._send(WorkerReady(worker))
        elif isinstance(answer, Failure):
            self.failures[unit] = answer
            self.suspects |= set() if answer.final else {worker}
            self._send(UnitFailed(unit, worker, answer.message, answer.final))
        else:
            self.record = answer
            self._send(UnitDone(unit, worker))

    def _send(self, event: Event) -> None:
        if self.journal is not None:
            self.journal.note(event, time.monotonic() - self.began)
        for action in self.ledger.handle(event):
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case StartWorker():
                self._borrow(action.worker)
            case Assign(unit, worker):
                key = str(self.design)
                call = self.actors[worker].evaluate.remote(key, self.design, unit.start, unit.stop)
                self.calls[call] = (worker, unit)
            case Commit() if self.record is not None:
                self.commit(self.record)
            case Release(worker):
                actor = self._forget(worker)
                if actor is not None and worker in self.suspects and not self.ledger.over:
                    # One that is only at rest stays for others.
                    ray.kill(actor, no_restart=True)
            case Fail(unit):
                raise error_of(action, self.failures.get(unit) if unit else None)
            case _:
                pass

    def _borrow(self, worker: int) -> None:
        while self.names:
            actor = warm_actor(self.names.pop(0))
            if actor is not None:
                self.actors[worker] = actor
                self.calls[actor.facts.remote()] = (worker, None)
                return
        if not self.actors:
            raise EngineError(f"the warm pool has no worker left for this game; {REMEDY}, or run without it")
        # The others do the rest.

    def _forget(self, worker: int) -> Any:
        for call in [c for c, (owner, _) in self.calls.items() if owner == worker]:
            del self.calls[call]
        return self.actors.pop(worker, None)
