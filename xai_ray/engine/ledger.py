"""The ledger: which unit is where, and what to do next. Pure: no I/O, no clock, no Ray; `handle(event) -> actions`.

Units

    state      event                             next       actions
    (none)     AddUnits                          planned    StartWorker while there are fewer workers than units
    planned    a worker has room                 leased     Assign (two in flight a worker, those at rest first)
    leased     UnitDone                          committed  Commit, Leave to whoever else has it; after the last, Finish
    leased     UnitFailed, final                 (failed)   Fail
    leased     UnitFailed, twice (then Fail)     planned    Release of that worker, StartWorker: next try elsewhere
    leased     WorkerLost, held by nobody else   planned    StartWorker
    leased     WorkerLost, its 3rd worker        (failed)   Fail: the unit kills its workers (quarantine)
    leased     WorkerDoubtful, nobody else's     planned    Probe, StartWorker
    leased     UnitLeft, held by nobody else     planned    Assign
    leased     Tick, stalled, a worker at rest   leased     Assign of one copy
    committed  UnitDone, UnitFailed, WorkerLost  committed

Workers (see `crew`)

    state      event                             next       actions
    asked for  WorkerReady                       ready      Assign
    ready      WorkerDoubtful                    doubtful   Probe
    doubtful   WorkerBack                        ready      Assign
    doubtful   Tick, 30 s later                  gone       Release; likewise who is ready but at rest for 30 s
    any        Resize to fewer                   gone       Release, of busy ones when their units are done

Losses without a unit done in between are replaced after longer and longer delays, at last not at all (Fail). A node on
which three workers died by themselves is avoided. Cancel, Fail and Finish release all workers; what comes in afterwards
changes nothing. An event that cannot be (a unit or worker never heard of, time running backwards) raises IllegalEvent
and changes nothing.
"""

from __future__ import annotations

from xai_ray.coalitions import Unit
from xai_ray.engine.backlog import Backlog
from xai_ray.engine.crew import WINDOW, Crew
from xai_ray.engine.events import (
    Action,
    AddUnits,
    Assign,
    Cancel,
    Close,
    Commit,
    Event,
    Fail,
    Finish,
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

TRIES = 3
"""Times a unit may raise, and workers it may kill, before the run fails."""
_LOOK_SECONDS = 0.25
_WAVES = 4
"""The run fails when every worker has been lost more often than this since the last unit was done."""


class IllegalEvent(ValueError):
    """An event that cannot happen in this state: an engine's mistake. The ledger is as it was."""


class Ledger:
    """The state of one run with up to `workers` workers at a time."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"a ledger needs at least one worker, got {workers}")
        self._crew = Crew(workers)
        self._now = 0.0
        self._backlog = Backlog()
        self._lost_since_done = 0
        self._looked = 0.0
        self._closed = False
        self._over = False

    @property
    def over(self) -> bool:
        """Whether the run has finished, failed or been cancelled."""
        return self._over

    @property
    def open(self) -> int:
        """Units that are not committed."""
        return len(self._backlog.open)

    @property
    def planned(self) -> int:
        """Number of units that no worker has been given; at most a few too many after late deliveries."""
        return len(self._backlog.planned)

    @property
    def crew(self) -> Crew:
        """The workers, for reading."""
        return self._crew

    def state(self, unit: Unit) -> str:
        """`planned`, `leased` or `committed`. Raises KeyError for a unit that was never added."""
        return self._backlog.state(unit)

    def handle(self, event: Event) -> list[Action]:
        """What to do about an event, in this order. Raises IllegalEvent."""
        actions: list[Action] = []
        match event:
            case UnitDone(unit, worker):
                self._known(unit, worker)
                if not self._over:
                    self._done(unit, worker, actions)
            case Tick(now):
                if not now >= self._now:
                    raise IllegalEvent(f"time ran backwards: from {self._now} to {now}")
                self._now = now
                if not self._over:
                    self._tick(actions)
            case UnitFailed(unit, worker, reason, final):
                self._known(unit, worker)
                if not self._over:
                    self._failed(unit, worker, reason, final, actions)
            case UnitLeft(unit, worker):
                self._known(unit, worker)
                if not self._over:
                    self._left(unit, worker, actions)
            case AddUnits(units):
                self._add(units, actions)
            case Close():
                if self._closed:
                    raise IllegalEvent("closed twice")
                self._closed = True
                self._settle(actions)
            case Cancel():
                if not self._over:
                    self._end(Finish(), actions)
            case Resize(target):
                self._resize(target, actions)
            case WorkerReady() | WorkerLost() | WorkerDoubtful() | WorkerBack():
                self._of_worker(event, actions)
        return actions

    def _of_worker(self, event: WorkerReady | WorkerLost | WorkerDoubtful | WorkerBack, actions: list[Action]) -> None:
        self._known(None, event.worker)
        if self._over or event.worker not in self._crew.workers:
            return
        match event:
            case WorkerReady(worker, node):
                self._ready(worker, node, actions)
            case WorkerLost(worker, reason, blame):
                self._lost(worker, reason, blame, actions)
            case WorkerDoubtful(worker, reason):
                self._doubtful(worker, reason, actions)
            case WorkerBack(worker):
                self._back(worker, actions)

    def _known(self, unit: Unit | None, worker: int) -> None:
        if not 0 <= worker < self._crew.started:
            raise IllegalEvent(f"worker {worker} was never started")
        if unit is not None and not self._backlog.given(unit, worker):
            raise IllegalEvent(f"unit [{unit.start}, {unit.stop}) was never given to worker {worker}")

    def _add(self, units: tuple[Unit, ...], actions: list[Action]) -> None:
        if self._closed or self._over:
            raise IllegalEvent("units added after the end")
        known = self._backlog.repeated(units)
        if known or len(set(units)) < len(units):
            raise IllegalEvent(f"units added twice: {known or 'repeated in one event'}")
        for unit in units:
            self._backlog.add(unit)
        self._fill(actions)
        self._staff(actions)

    def _ready(self, worker: int, node: str, actions: list[Action]) -> None:
        state = self._crew.workers[worker]
        if state.ready:
            raise IllegalEvent(f"worker {worker} is ready already")
        if state.doubted is not None:
            self._crew.readmit(worker, self._now)
        self._crew.enter(worker, node, self._now)
        self._fill(actions)

    def _done(self, unit: Unit, worker: int, actions: list[Action]) -> None:
        self._crew.free(worker, unit, self._now)
        holders = self._backlog.commit(unit)
        if holders is not None:
            self._lost_since_done = 0
            actions.append(Commit(unit, worker))
            # A copy elsewhere keeps its slot until it comes back.
            actions.extend(Leave(unit, other) for other in self._crew.tell(holders, unit, self._now))
            self._settle(actions)
        self._go_on(worker, actions)

    def _left(self, unit: Unit, worker: int, actions: list[Action]) -> None:
        state = self._crew.workers.get(worker)
        if state is not None and unit in state.flight:
            self._crew.free(worker, unit, self._now)
            self._backlog.unhold(unit, worker)
            self._go_on(worker, actions)

    def _go_on(self, worker: int, actions: list[Action]) -> None:
        """After a worker got room."""
        if self._over:
            return
        state = self._crew.workers.get(worker)
        if state is not None and state.leaving and not state.flight:
            self._drop(worker)
            actions.append(Release(worker))
        self._fill(actions)
        self._staff(actions)

    def _failed(self, unit: Unit, worker: int, reason: str, final: bool, actions: list[Action]) -> None:
        state = self._crew.workers.get(worker)
        held = state is not None and unit in state.flight
        opened = self._backlog.open.get(unit)
        if opened is not None and (held or final):
            opened.failures += 1
            if final or opened.failures >= TRIES:
                self._end(Fail(unit, reason, "error"), actions)
                return
        if held:
            # An unknown exception may have left the worker broken (a dead CUDA context, say): try again elsewhere.
            actions.append(Release(worker))
            self._drop(worker)
            self._fill(actions)
            self._staff(actions)

    def _lost(self, worker: int, reason: str, blame: bool, actions: list[Action]) -> None:
        if blame:
            self._crew.blame_node(worker)
        flight = self._drop(worker)
        # Only the first in flight was running; the others waited behind it.
        opened = self._backlog.open.get(flight[0]) if blame and flight else None
        if opened is not None:
            opened.kills += 1
            if opened.kills >= TRIES:
                self._end(Fail(flight[0], reason, "kills"), actions)
                return
        if not self._counted_out(reason, actions):
            self._crew.delay(self._lost_since_done, self._now)
            self._fill(actions)
            self._staff(actions)

    def _doubtful(self, worker: int, reason: str, actions: list[Action]) -> None:
        if self._crew.workers[worker].doubted is not None:
            return
        for unit in self._crew.set_aside(worker, self._now):
            self._backlog.unhold(unit, worker)
        if not self._counted_out(reason, actions):
            actions.append(Probe(worker))
            self._fill(actions)
            self._staff(actions)

    def _counted_out(self, reason: str, actions: list[Action]) -> bool:
        """Whether this was one loss too many."""
        self._lost_since_done += 1
        if self._lost_since_done > _WAVES * max(1, self._crew.target):
            self._end(Fail(None, reason, "workers"), actions)
        return self._over

    def _back(self, worker: int, actions: list[Action]) -> None:
        if self._crew.workers[worker].doubted is not None:
            self._crew.readmit(worker, self._now)
            self._fill(actions)
            self._shrink(actions)

    def _resize(self, target: int, actions: list[Action]) -> None:
        if target < 0:
            raise IllegalEvent(f"a target of {target} workers")
        if not self._over:
            self._crew.target = target
            self._shrink(actions)
            self._staff(actions)

    def _shrink(self, actions: list[Action]) -> None:
        for worker in self._crew.surplus():
            self._drop(worker)
            actions.append(Release(worker))

    def _tick(self, actions: list[Action]) -> None:
        if self._crew.delayed:
            self._crew.delayed = [due for due in self._crew.delayed if due > self._now]
            self._staff(actions)
        # Looking costs time in the number of workers, and pays only at the tail of a run.
        if self._now - self._looked < _LOOK_SECONDS:
            return
        self._looked = self._now
        self._speculate(actions)
        idle = [] if self._backlog.planned else self._crew.rested(self._now)
        for worker in [*self._crew.given_up(self._now), *idle]:
            self._drop(worker)
            actions.append(Release(worker))

    def _speculate(self, actions: list[Action]) -> None:
        room = self._crew.room[0]
        if not room or not self._backlog.open:
            return
        for _, unit in self._crew.stalled(self._now):
            opened = self._backlog.open.get(unit)
            if not room:
                return
            if opened is not None and len(opened.holders) == 1:
                self._assign(unit, next(iter(room)), actions)

    def _fill(self, actions: list[Action]) -> None:
        """Give planned units, in canonical order, to workers with room."""
        for room in self._crew.room[:WINDOW]:
            while room:
                unit = self._backlog.take()
                if unit is None:
                    return
                self._assign(unit, next(iter(room)), actions)

    def _assign(self, unit: Unit, worker: int, actions: list[Action]) -> None:
        self._crew.assign(worker, unit, self._now)
        self._backlog.hold(unit, worker)
        actions.append(Assign(unit, worker))

    def _drop(self, worker: int) -> list[Unit]:
        """Forget a worker; its units that nobody else holds are planned again. Returns what it had in flight."""
        flight = self._crew.drop(worker)
        for unit in flight:
            self._backlog.unhold(unit, worker)
        return flight

    def _staff(self, actions: list[Action]) -> None:
        """Ask for workers while there are fewer than wanted and than planned units; those that leave are kept first."""
        if not self._backlog.planned or not self._crew.wanting:
            return
        if self._crew.keep():
            self._fill(actions)
        avoid = self._crew.avoided()
        actions.extend(StartWorker(worker, avoid) for worker in self._crew.ask(len(self._backlog.planned), self._now))

    def _settle(self, actions: list[Action]) -> None:
        if self._closed and not self._backlog.open and not self._over:
            self._end(Finish(), actions)

    def _end(self, how: Finish | Fail, actions: list[Action]) -> None:
        self._over = True
        actions.extend(Release(worker) for worker in self._crew.workers)
        actions.append(how)
        self._crew.clear()
