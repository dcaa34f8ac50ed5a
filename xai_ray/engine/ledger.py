"""The ledger: which unit is where, and what to do next. Pure: no I/O, no clock, no Ray; `handle(event) -> actions`.

Units

    state      event                             next       actions
    (none)     AddUnits                          planned    StartWorker while there are fewer workers than units
    planned    a worker has room                 leased     Assign (two in flight a worker, those at rest first)
    leased     UnitDone                          committed  Commit (the first delivery wins; Finish after the last)
    leased     UnitFailed, final                 (failed)   Fail
    leased     UnitFailed, 1st and 2nd time      planned    Release of that worker, StartWorker: next try elsewhere
    leased     UnitFailed, 3rd time              (failed)   Fail
    leased     WorkerLost, held by nobody else   planned    StartWorker
    leased     WorkerLost, its 3rd worker        (failed)   Fail: the unit kills its workers (quarantine)
    leased     Tick, stalled, a worker at rest   leased     Assign of one copy
    committed  UnitDone, UnitFailed, WorkerLost  committed

Workers: asked for (StartWorker) -> ready (WorkerReady) -> gone (WorkerLost, Release). Losses without a unit done in
between are replaced after longer and longer delays, at last not at all (Fail). Cancel, Fail and Finish release all
workers; what comes in afterwards changes nothing. An event that cannot be (a unit or worker never heard of, time
running backwards) raises IllegalEvent and changes nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import ceil

from xai_ray.coalitions import Unit
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
    Release,
    StartWorker,
    Tick,
    UnitDone,
    UnitFailed,
    WorkerLost,
    WorkerReady,
)

WINDOW = 2
"""Units in flight a worker: the second hides the way to the worker and back."""
TRIES = 3
"""Times a unit may raise, and workers it may kill, before the run fails."""
STALL_SECONDS = 5.0
STALL_FACTOR = 4.0
"""A unit is stalled after max(STALL_SECONDS, STALL_FACTOR x the 95th percentile of the latest unit times)."""
_LOOK_SECONDS = 0.25
_LATEST = 512
_WAVES = 4
"""The run fails when every worker has been lost more often than this since the last unit was done."""
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0


class IllegalEvent(ValueError):
    """An event that cannot happen in this state: an engine's mistake. The ledger is as it was."""


@dataclass(slots=True)
class _Open:
    """A unit that is not committed: planned while it has no holders."""

    holders: list[int] = field(default_factory=list[int])
    seen: set[int] = field(default_factory=set[int])
    kills: int = 0
    failures: int = 0


@dataclass(slots=True)
class _Worker:
    ready: bool = False
    flight: list[Unit] = field(default_factory=list[Unit])
    since: float = 0.0
    """When the first unit in flight became the first."""


class Ledger:
    """The state of one run with up to `workers` workers at a time."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"a ledger needs at least one worker, got {workers}")
        self._target = workers
        self._now = 0.0
        self._open: dict[Unit, _Open] = {}
        self._committed: set[Unit] = set()
        self._planned: list[tuple[int, int]] = []
        self._workers: dict[int, _Worker] = {}
        self._started = 0
        # Ready workers by units in flight (0 .. WINDOW); dicts, for their order.
        self._room: tuple[dict[int, None], ...] = tuple({} for _ in range(WINDOW + 1))
        self._delayed: list[float] = []
        self._lost_since_done = 0
        self._times: deque[float] = deque(maxlen=_LATEST)
        self._looked = 0.0
        self._closed = False
        self._over = False

    @property
    def over(self) -> bool:
        """Whether the run has finished, failed or been cancelled."""
        return self._over

    @property
    def open(self) -> int:
        """Number of units that are not committed."""
        return len(self._open)

    def state(self, unit: Unit) -> str:
        """`planned`, `leased` or `committed`. Raises KeyError for a unit that was never added."""
        if unit in self._committed:
            return "committed"
        return "leased" if self._open[unit].holders else "planned"

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
            case WorkerReady(worker):
                self._ready(worker, actions)
            case WorkerLost(worker, reason, blame):
                self._known(None, worker)
                if not self._over and worker in self._workers:
                    self._lost(worker, reason, blame, actions)
            case UnitFailed(unit, worker, reason, final):
                self._known(unit, worker)
                if not self._over:
                    self._failed(unit, worker, reason, final, actions)
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
        return actions

    def _known(self, unit: Unit | None, worker: int) -> None:
        if not 0 <= worker < self._started:
            raise IllegalEvent(f"worker {worker} was never started")
        if unit is None or unit in self._committed:
            return
        if unit not in self._open or worker not in self._open[unit].seen:
            raise IllegalEvent(f"unit [{unit.start}, {unit.stop}) was never given to worker {worker}")

    def _add(self, units: tuple[Unit, ...], actions: list[Action]) -> None:
        if self._closed or self._over:
            raise IllegalEvent("units added after the end")
        known = [u for u in units if u in self._open or u in self._committed]
        if known or len(set(units)) < len(units):
            raise IllegalEvent(f"units added twice: {known or 'repeated in one event'}")
        for unit in units:
            self._open[unit] = _Open()
            heappush(self._planned, (unit.start, unit.stop))
        self._fill(actions)
        self._staff(actions)

    def _ready(self, worker: int, actions: list[Action]) -> None:
        self._known(None, worker)
        state = self._workers.get(worker)
        if state is None or self._over:
            return
        if state.ready:
            raise IllegalEvent(f"worker {worker} is ready already")
        state.ready = True
        self._room[0][worker] = None
        self._fill(actions)

    def _done(self, unit: Unit, worker: int, actions: list[Action]) -> None:
        self._free(unit, worker)
        if unit in self._open:
            # A copy elsewhere keeps its slot until it comes back; if the unit is planned again, `_take` passes over it.
            del self._open[unit]
            self._committed.add(unit)
            self._lost_since_done = 0
            actions.append(Commit(unit, worker))
            self._settle(actions)
        if not self._over:
            self._fill(actions)

    def _failed(self, unit: Unit, worker: int, reason: str, final: bool, actions: list[Action]) -> None:
        state = self._workers.get(worker)
        held = state is not None and unit in state.flight
        opened = self._open.get(unit)
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
        flight = self._drop(worker)
        # Only the first in flight was running; the others waited behind it.
        opened = self._open.get(flight[0]) if blame and flight else None
        if opened is not None:
            opened.kills += 1
            if opened.kills >= TRIES:
                self._end(Fail(flight[0], reason, "kills"), actions)
                return
        self._lost_since_done += 1
        if self._lost_since_done > _WAVES * self._target:
            self._end(Fail(None, reason, "workers"), actions)
            return
        wave = (self._lost_since_done - 1) // self._target
        if wave:
            self._delayed.append(self._now + min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** (wave - 1)))
        self._fill(actions)
        self._staff(actions)

    def _tick(self, actions: list[Action]) -> None:
        if self._delayed:
            self._delayed = [due for due in self._delayed if due > self._now]
            self._staff(actions)
        # Looking costs time in the number of workers, and pays only at the tail of a run.
        if self._open and self._room[0] and self._now - self._looked >= _LOOK_SECONDS:
            self._looked = self._now
            self._speculate(actions)

    def _speculate(self, actions: list[Action]) -> None:
        oldest = self._now - max(STALL_SECONDS, STALL_FACTOR * self._usual_time())
        stalled = [(w.since, unit) for w in self._workers.values() for unit in w.flight if w.since <= oldest]
        for _, unit in sorted(stalled):
            opened = self._open.get(unit)
            if not self._room[0]:
                return
            if opened is not None and len(opened.holders) == 1:
                self._assign(unit, next(iter(self._room[0])), actions)

    def _usual_time(self) -> float:
        times = sorted(self._times)
        return times[ceil(0.95 * len(times)) - 1] if times else 0.0

    def _fill(self, actions: list[Action]) -> None:
        """Give planned units, in canonical order, to workers with room."""
        for room in self._room[:WINDOW]:
            while room:
                unit = self._take()
                if unit is None:
                    return
                self._assign(unit, next(iter(room)), actions)

    def _take(self) -> Unit | None:
        while self._planned:
            unit = Unit(*heappop(self._planned))
            if unit in self._open:
                return unit
        return None

    def _assign(self, unit: Unit, worker: int, actions: list[Action]) -> None:
        state, opened = self._workers[worker], self._open[unit]
        flight = len(state.flight)
        if not flight:
            state.since = self._now
        state.flight.append(unit)
        opened.holders.append(worker)
        opened.seen.add(worker)
        del self._room[flight][worker]
        self._room[flight + 1][worker] = None
        actions.append(Assign(unit, worker))

    def _free(self, unit: Unit, worker: int) -> None:
        state = self._workers.get(worker)
        if state is None or unit not in state.flight:
            return
        flight = len(state.flight)
        if state.flight[0] == unit:
            self._times.append(self._now - state.since)
            state.since = self._now
        state.flight.remove(unit)
        del self._room[flight][worker]
        self._room[flight - 1][worker] = None

    def _drop(self, worker: int) -> list[Unit]:
        """Forget a worker; its units that nobody else holds are planned again. Returns what it had in flight."""
        state = self._workers.pop(worker)
        if state.ready:
            del self._room[len(state.flight)][worker]
        for unit in state.flight:
            opened = self._open.get(unit)
            if opened is not None:
                opened.holders.remove(worker)
                if not opened.holders:
                    heappush(self._planned, (unit.start, unit.stop))
        return state.flight

    def _staff(self, actions: list[Action]) -> None:
        """Ask for workers while there are fewer than wanted and than units; those under a delay count as asked for."""
        wanted = min(self._target, len(self._open)) - len(self._delayed)
        while len(self._workers) < wanted:
            self._workers[self._started] = _Worker()
            actions.append(StartWorker(self._started))
            self._started += 1

    def _settle(self, actions: list[Action]) -> None:
        if self._closed and not self._open and not self._over:
            self._end(Finish(), actions)

    def _end(self, how: Finish | Fail, actions: list[Action]) -> None:
        self._over = True
        actions.extend(Release(worker) for worker in self._workers)
        actions.append(how)
        self._workers.clear()
        for room in self._room:
            room.clear()
