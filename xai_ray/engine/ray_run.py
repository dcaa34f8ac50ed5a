"""The run loop: events from Ray into the ledger, its actions to the pool of actors. What it decides is time and place."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
)

from xai_ray.coalitions import Unit
from xai_ray.engine.committing import Ack, Ties
from xai_ray.engine.events import (
    Action,
    AddUnits,
    Assign,
    Cancel,
    Close,
    Commit,
    Event,
    Fail,
    Leave,
    Probe,
    Release,
    Resize,
    StartWorker,
    Tick,
    UnitDone,
    UnitFailed,
    UnitLeft,
    WorkerBack,
    WorkerDoubtful,
    WorkerLost,
    WorkerReady,
)
from xai_ray.engine.failures import Failure, error_of
from xai_ray.engine.journal import Journal
from xai_ray.engine.ledger import Ledger
from xai_ray.engine.logs import LOGGER, fields
from xai_ray.engine.ray_connection import head_of
from xai_ray.engine.ray_evaluator import Left, Loaded
from xai_ray.engine.ray_metrics import Metrics
from xai_ray.engine.ray_pool import Call, Workers
from xai_ray.engine.ray_shares import Share
from xai_ray.engine.ray_sizing import alive_nodes
from xai_ray.errors import EngineError, StoreError
from xai_ray.stores.protocol import Record

_POLL_SECONDS = 0.1
_PULSE_SECONDS = 1.0
"""How often nodes are counted and the share is asked for."""
_PROBE_SECONDS = 1.0
_PATIENCE_SECONDS = 600.0
"""How long to wait for the first actor: a cluster that scales up from nothing takes minutes."""
_AHEAD = 4
"""Units a worker that the ledger knows of before their time; at least _LEAST in all. It need not hold a million."""
_LEAST = 2048


@dataclass
class RayRun:
    """One call of `run` of an engine on Ray."""

    pool: Workers
    commit: Callable[[Record], None]
    stopped: Callable[[], bool]
    ties: Ties
    share: Share | None
    metrics: Metrics = field(default_factory=Metrics)
    failures: dict[Unit, Failure] = field(default_factory=dict)
    first: dict[Unit, int] = field(default_factory=dict)
    """The first worker of each unit in flight."""
    delivery: Record | Ack | None = None
    """What the event under way delivered."""
    probes: dict[int, float] = field(default_factory=dict)
    """When to ask a worker that is out of reach again."""
    committed: int = 0
    placed: bool = False
    units: Sequence[Unit] = ()
    fed: int = 0
    """How many of them the ledger knows."""

    def run(self, units: Sequence[Unit]) -> None:
        """See `xai_ray.engine.protocol.Engine`."""
        self.units = units
        self.began = self.pulsed = time.monotonic()
        target = max(1, min(len(units), self.pool.sizing.target(alive_nodes().values())))
        self.ledger = Ledger(target)
        self.journal = Journal(self.ties.log, target) if self.ties.log is not None else None
        try:
            self._loop()
        finally:
            self.pool.close()
            if self.share is not None:
                self.share.close()
            if self.journal is not None:
                # The error under way says why the store cannot take it, if it cannot.
                with suppress(StoreError):
                    self.journal.flush()

    def _loop(self) -> None:
        self._send(Tick(0.0))
        self._feed()
        self._pulse()
        while not self.ledger.over:
            if self.stopped():
                self._send(Cancel())
                return
            arrived = self.pool.wait(_POLL_SECONDS)
            now = time.monotonic()
            self._send(Tick(round(now - self.began, 3)))
            for reference in arrived:
                self._arrived(reference)
            self._feed()
            for worker in [w for w, due in self.probes.items() if now >= due]:
                del self.probes[worker]
                self.pool.probe(worker)
            if now - self.pulsed >= _PULSE_SECONDS:
                self.pulsed = now
                self._pulse()

    def _feed(self) -> None:
        """Tell the ledger of units before it needs them."""
        left = len(self.units) - self.fed
        least = max(_LEAST, _AHEAD * self.ledger.crew.target) // 2
        if self.ledger.over or not left or self.ledger.planned >= least:
            return
        some = self.units[self.fed : self.fed + 2 * least]
        self.fed += len(some)
        self._send(AddUnits(tuple(some)))
        if self.fed == len(self.units):
            self._send(Close())

    def _pulse(self) -> None:
        """What is looked at every second: the cluster, the other jobs, the numbers."""
        if self.ledger.over:
            return
        nodes = list(alive_nodes().values())
        open_units = self.ledger.open + len(self.units) - self.fed
        target = self.pool.sizing.target(nodes)
        if self.share is not None:
            # One more than there are units: whoever is at rest takes over from a worker that hangs.
            demand = min(target, open_units + 1)
            self.share.pulse(demand, self.pool.sizing.share(nodes))
            if self.share.target is not None and self.share.target < demand:
                target = self.share.target
        if target != self.ledger.crew.target:
            LOGGER.info("%d actors from now on", target, extra=fields(self.ties.job))
            self._send(Resize(target))
        half_width = self.ties.half_width() if self.ties.half_width is not None else None
        self.metrics.state(self.ledger, len(self.units) - self.fed, self.committed, half_width)
        if not self.placed and target and time.monotonic() - self.began > _PATIENCE_SECONDS:
            raise EngineError(
                f"no worker was ready after {_PATIENCE_SECONDS:.0f} s; {self.pool.sizing.need(nodes)}; add nodes, ask "
                "for less per actor, or wait until other jobs end and resume"
            )

    def _arrived(self, reference: Any) -> None:
        call = self.pool.take(reference)
        if call is None or self.ledger.over:
            return
        answer: Any
        try:
            answer = ray.get(reference)
        except RayTaskError as error:
            # Not from the game (those are told): the answer could not be pickled, say.
            answer = Failure("", head_of(error))
        except RayError as error:
            self._broken(call, error)
            return
        match call.kind:
            case "load":
                self._loaded(call.worker, answer)
            case "probe":
                self._send(WorkerBack(call.worker))
            case "evaluate" if call.unit is not None:
                self._evaluated(call.worker, call.unit, answer)
            case _:
                pass

    def _broken(self, call: Call, error: RayError) -> None:
        """A call came back with an error of Ray's own."""
        worker, why = call.worker, head_of(error)
        if isinstance(error, ActorUnavailableError):
            self.probes[worker] = time.monotonic() + (_PROBE_SECONDS if call.kind == "probe" else 0.0)
            if call.kind != "probe":
                self.metrics.lost()
                self._warn("worker %d is out of reach: %s", worker, why, call.unit)
                self._send(WorkerDoubtful(worker, why))
            return
        if call.kind == "leave":
            return
        self.metrics.lost()
        self._warn("worker %d is lost: %s", worker, why, call.unit)
        self.pool.release(worker)
        self._send(WorkerLost(worker, why, blame=_own_death(error)))

    def _loaded(self, worker: int, answer: Loaded | Failure) -> None:
        if isinstance(answer, Failure):
            raise EngineError(
                f"the game cannot be loaded in a worker: {answer.message}; what it is made of must be importable on "
                "every node: install it there, or name the model by its factory (package.module:function)"
            )
        self.placed = True
        self._send(WorkerReady(worker, answer.node))

    def _evaluated(self, worker: int, unit: Unit, answer: Record | Ack | Failure | Left) -> None:
        if isinstance(answer, Left):
            self._send(UnitLeft(unit, worker))
        elif isinstance(answer, Failure):
            self.failures[unit] = answer
            if not answer.final:
                self.pool.suspect(worker)
            self._send(UnitFailed(unit, worker, answer.message, answer.final))
        else:
            self.delivery = answer
            before = self.committed
            self._send(UnitDone(unit, worker))
            if self.committed == before or (isinstance(answer, Ack) and not answer.put):
                self.metrics.duplicate()

    def _send(self, event: Event) -> None:
        actions = self.ledger.handle(event)
        if self.journal is not None:
            self.journal.note(event, time.monotonic() - self.began)
        for action in actions:
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case StartWorker(worker, avoid):
                self.pool.start(worker, avoid)
            case Assign(unit, worker):
                self.first.setdefault(unit, worker)
                self.pool.evaluate(worker, unit)
            case Commit(unit, worker):
                self._commit(unit, worker)
            case Leave(unit, worker):
                self.pool.leave(worker, unit)
            case Probe(worker):
                self.probes.setdefault(worker, 0.0)
            case Release(worker):
                self.probes.pop(worker, None)
                self.pool.release(worker, ending=self.ledger.over)
            case Fail(unit):
                raise error_of(action, self.failures.get(unit) if unit else None)
            case _:
                pass

    def _commit(self, unit: Unit, worker: int) -> None:
        delivery, self.delivery = self.delivery, None
        began = time.perf_counter()
        if isinstance(delivery, Record):
            self.commit(delivery)
        elif delivery is not None and self.ties.acknowledged is not None:
            self.ties.acknowledged(delivery)
        if delivery is None:
            return
        self.committed += 1
        self.failures.pop(unit, None)
        if self.first.pop(unit, worker) != worker:
            self.metrics.win()
        spent = time.perf_counter() - began
        self.metrics.committed(delivery.facts, float(delivery.facts.get("commit_seconds", spent)))
        if "uncommitted" in delivery.facts:
            self._warn("worker %d cannot commit, its values come home: %s", worker, delivery.facts["uncommitted"], unit)
        if "halved" in delivery.facts:
            self._warn("worker %d halved its batch: %s", worker, f"{delivery.facts['halved']} times", unit)

    def _warn(self, words: str, worker: int, why: str, unit: Unit | None) -> None:
        LOGGER.warning(words, worker, why, extra=fields(self.ties.job, worker, unit))


def _own_death(error: RayError) -> bool:
    """Whether the unit may be to blame: the process died by itself, and not with its node or because it was told to."""
    if isinstance(error, ActorDiedError) and error.preempted:
        return False
    told_to = "SIGTERM" in str(error)
    return isinstance(error, RayActorError | OutOfMemoryError) and not told_to
