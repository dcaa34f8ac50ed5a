"""The workers as the ledger sees them: who was asked for, who has room, who is out of reach, and how many there should
be. Pure, as the ledger is; times are those of its Ticks, in seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil

from xai_ray.coalitions import Unit

WINDOW = 2
"""Units in flight a worker: the second hides the way to the worker and back."""
REST_SECONDS = 30.0
"""A worker that has had nothing to do for so long, with nothing planned, is released."""
STALL_SECONDS = 5.0
STALL_FACTOR = 4.0
"""A unit is stalled after max(STALL_SECONDS, STALL_FACTOR x the 95th percentile of the latest unit times)."""
PROBE_SECONDS = 30.0
"""A worker out of reach for so long is given up."""
NODE_LOSSES = 3
"""Workers that may die by themselves on a node before new ones avoid it."""
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0


@dataclass(slots=True)
class Worker:
    """One worker. Asked for until it is `ready`; takes no units while it is `doubted` or `leaving`."""

    since: float
    """When it was asked for; once it is ready, when the first unit in flight became the first, or it came to rest."""
    ready: bool = False
    node: str = ""
    leaving: bool = False
    doubted: float | None = None
    """Since when it is out of reach."""
    flight: list[Unit] = field(default_factory=list[Unit])


@dataclass(slots=True)
class Crew:
    """Up to `target` workers, numbered in the order in which they are asked for."""

    target: int
    workers: dict[int, Worker] = field(default_factory=dict[int, Worker])
    started: int = 0
    room: tuple[dict[int, None], ...] = field(
        default_factory=lambda: tuple(dict[int, None]() for _ in range(WINDOW + 1))
    )
    """Workers that take units, by units in flight (0 .. WINDOW); dicts, for their order."""
    asked: dict[int, None] = field(default_factory=dict[int, None])
    leaving: dict[int, None] = field(default_factory=dict[int, None])
    doubted: dict[int, None] = field(default_factory=dict[int, None])
    told: dict[int, float] = field(default_factory=dict[int, float])
    """Since when those know who are at a unit that is not wanted any more."""
    delayed: list[float] = field(default_factory=list[float])
    """When those come that are to replace lost ones."""
    node_losses: dict[str, int] = field(default_factory=dict[str, int])
    times: deque[float] = field(default_factory=lambda: deque[float](maxlen=512))
    """Seconds of the latest units."""

    @property
    def counted(self) -> int:
        """Workers that count towards the target: not those that leave or are out of reach."""
        return len(self.workers) - len(self.leaving) - len(self.doubted)

    def avoided(self) -> tuple[str, ...]:
        """Nodes for new workers to avoid."""
        return tuple(sorted(n for n, losses in self.node_losses.items() if losses >= NODE_LOSSES))

    @property
    def wanting(self) -> int:
        """How many are missing; those under a delay count as asked for."""
        return self.target - self.counted - len(self.delayed)

    def keep(self) -> bool:
        """Let workers that are about to leave stay, as many as are missing. Whether there were any."""
        kept = list(self.leaving)[: self.wanting]
        for worker in kept:
            state = self.workers[worker]
            state.leaving = False
            del self.leaving[worker]
            self.room[len(state.flight)][worker] = None
        return bool(kept)

    def ask(self, planned: int, now: float) -> list[int]:
        """Numbers of workers to start: as many as are missing, and no more than there are `planned` units to wait for
        them.
        """
        missing = min(self.wanting, planned - len(self.asked) - len(self.delayed))
        numbers = list(range(self.started, self.started + max(0, missing)))
        for worker in numbers:
            self.workers[worker] = Worker(now)
            self.asked[worker] = None
        self.started += len(numbers)
        return numbers

    def enter(self, worker: int, node: str, now: float) -> None:
        """A worker that was asked for is ready."""
        state = self.workers[worker]
        state.ready, state.node, state.since = True, node, now
        del self.asked[worker]
        self.room[0][worker] = None

    def assign(self, worker: int, unit: Unit, now: float) -> None:
        """One more unit in flight for a worker with room."""
        state = self.workers[worker]
        flight = len(state.flight)
        if not flight:
            state.since = now
        state.flight.append(unit)
        del self.room[flight][worker]
        self.room[flight + 1][worker] = None

    def free(self, worker: int, unit: Unit, now: float) -> None:
        """A unit is not in flight any more."""
        state = self.workers.get(worker)
        if state is None or unit not in state.flight:
            return
        flight = len(state.flight)
        if state.flight[0] == unit:
            self.times.append(now - state.since)
            state.since = now
        state.flight.remove(unit)
        self.told.pop(worker, None)
        if worker in self.room[flight]:
            del self.room[flight][worker]
            self.room[flight - 1][worker] = None

    def drop(self, worker: int) -> list[Unit]:
        """Forget a worker. Returns what it had in flight."""
        state = self.workers.pop(worker)
        self._nowhere(worker, state)
        self.doubted.pop(worker, None)
        self.leaving.pop(worker, None)
        self.asked.pop(worker, None)
        self.told.pop(worker, None)
        return state.flight

    def blame_node(self, worker: int) -> None:
        """A worker died by itself: count it against its node, if it is known."""
        node = self.workers[worker].node
        if node:
            self.node_losses[node] = self.node_losses.get(node, 0) + 1

    def delay(self, losses: int, now: float) -> None:
        """Replacements of the first `target` losses come at once, those of later waves later and later."""
        wave = (losses - 1) // max(1, self.target)
        if wave:
            self.delayed.append(now + min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (wave - 1)))

    def set_aside(self, worker: int, now: float) -> list[Unit]:
        """A worker is out of reach. Returns what it had in flight, which counts as nobody's from now on."""
        state = self.workers[worker]
        self._nowhere(worker, state)
        self.leaving.pop(worker, None)
        self.asked.pop(worker, None)
        self.told.pop(worker, None)
        flight, state.flight = state.flight, []
        state.leaving, state.doubted = False, now
        self.doubted[worker] = None
        return flight

    def tell(self, holders: list[int], unit: Unit, now: float) -> list[int]:
        """Those of the holders of a unit that still have it, now that it is not wanted any more."""
        still = [w for w in holders if w in self.workers and unit in self.workers[w].flight]
        self.told |= {w: now for w in still if self.workers[w].flight[0] == unit}
        return still

    def readmit(self, worker: int, now: float) -> None:
        """A worker that was out of reach is back."""
        state = self.workers[worker]
        del self.doubted[worker]
        state.doubted, state.since = None, now
        if state.ready:
            self.room[0][worker] = None
        else:
            self.asked[worker] = None

    def given_up(self, now: float) -> list[int]:
        """Workers that have been out of reach for too long, or have not left an unwanted unit for as long."""
        found = [(w, self.workers[w].doubted) for w in self.doubted]
        return [w for w, since in [*found, *self.told.items()] if since is not None and now - since >= PROBE_SECONDS]

    def rested(self, now: float) -> list[int]:
        """Workers at rest, or asked for in vain, for so long that they are not needed; but for one at rest, which is to
        take over from a worker that hangs.
        """
        idle = [*list(self.room[0])[:-1], *self.asked]
        return [w for w in idle if now - self.workers[w].since >= REST_SECONDS]

    def surplus(self) -> list[int]:
        """Workers to release because there are more than wanted: the newest that are not ready yet, then those at rest;
        busy ones are marked to leave when their units are done.
        """
        extra = self.counted - self.target
        if extra <= 0:
            return []
        spare = [*reversed(self.asked), *reversed(self.room[0])][:extra]
        busy = [*reversed(self.room[1]), *reversed(self.room[2])][: extra - len(spare)]
        for worker in busy:
            self._nowhere(worker, self.workers[worker])
            self.workers[worker].leaving = True
            self.leaving[worker] = None
        return spare

    def stalled(self, now: float) -> list[tuple[float, Unit]]:
        """Units in flight with workers that have been at the first of them for unusually long, the oldest first."""
        times = sorted(self.times)
        usual = times[ceil(0.95 * len(times)) - 1] if times else 0.0
        before = now - max(STALL_SECONDS, STALL_FACTOR * usual)
        return sorted((w.since, unit) for w in self.workers.values() if w.since <= before for unit in w.flight)

    def clear(self) -> None:
        """Forget everybody."""
        for workers in (self.workers, self.asked, self.leaving, self.doubted, self.told, *self.room):
            workers.clear()

    def _nowhere(self, worker: int, state: Worker) -> None:
        self.room[len(state.flight)].pop(worker, None)
