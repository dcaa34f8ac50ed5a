"""What one coordinator carries; one JSON line a figure.

    python benchmarks/scheduler.py --ledger                    the ledger alone: a state machine without I/O, in one process
    python benchmarks/scheduler.py --redis                     commits per second into a Redis on this machine
    python benchmarks/scheduler.py --resume [--units 100000]   time to the first new unit of a resumed job
    python benchmarks/scheduler.py --memory                    peak memory of a coordinator as units grow
    python benchmarks/scheduler.py --ray                       the Ray engine beside the inline one, two actors beside one

Each figure is a function, here or in scheduler_*.py, and says what it measures. Use one thread, and an idle machine: every line tells the
load average at its end.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import resource
import time
from collections.abc import Callable, Iterator

from xai_ray.coalitions import Unit
from xai_ray.engine.events import AddUnits, Assign, Close, Finish, StartWorker, Tick, UnitDone, WorkerReady
from xai_ray.engine.ledger import Ledger

WORKERS = 10_000
AHEAD = 40_000
"""Units that the ledger is told ahead of time, as the Ray engine does: four a worker."""


def events_per_second(units: int = 400_000) -> dict[str, object]:
    """Events handled per second of processor time by one ledger with 10,000 workers, deliveries one by one."""
    fed = Fed(WORKERS, units)
    flight = fed.start()
    began, before = (time.perf_counter(), time.process_time()), fed.events
    for number, assigned in enumerate(flight):
        if number % 1000 == 0:
            fed.tick(number / WORKERS)
        flight += fed.deliver(assigned)
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    assert fed.over
    handled = fed.events - before
    told = {"workers": WORKERS, "wall_seconds": round(wall, 2), "per_wall_second": round(handled / wall)}
    return {"figure": "events per processor second", **told, "value": round(handled / cpu)}


def simulated_workers(seconds: float = 20.0) -> dict[str, object]:
    """Simulated seconds per second of processor time with 10,000 workers at one-second units (0.75 to 1.25 s): above 1, one
    ledger keeps them all busy. Ticks come ten times a second.
    """
    fed = Fed(WORKERS, int(WORKERS * seconds))
    now, last, count = 0.0, 0.0, 0
    # Of two units in flight a worker computes one at a time: the second waits its turn.
    free_at = dict.fromkeys(range(WORKERS), 0.0)
    heap: list[tuple[float, int, Assign]] = []
    for assigned in fed.start():
        count += 1
        _schedule(heap, free_at, count, assigned, now)
    began = time.process_time()
    while heap:
        now, _, assigned = heapq.heappop(heap)
        if now - last >= 0.1:
            last = now
            fed.tick(now)
        for follower in fed.deliver(assigned):
            count += 1
            _schedule(heap, free_at, count, follower, now)
    cpu = time.process_time() - began
    assert fed.over
    done = {"workers": WORKERS, "simulated_seconds": round(now, 1), "processor_seconds": round(cpu, 2)}
    return {"figure": "simulated seconds per processor second", **done, "value": round(now / cpu, 2)}


def memory_over_a_million_units() -> dict[str, object]:
    """Growth of the largest resident memory of this process from 100,000 units to a million, in MiB, 1,000 workers."""
    peaks: list[float] = []
    for units in (100_000, 1_000_000):
        fed = Fed(1000, units)
        pending = fed.start()
        while pending:
            pending = [follower for assigned in pending for follower in fed.deliver(assigned)]
        assert fed.over
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    told = {"units": 1_000_000, "peak_mib": round(peaks[1], 1)}
    return {
        "figure": "memory growth from 100,000 to a million units, MiB",
        **told,
        "value": round(peaks[1] - peaks[0], 1),
    }


class Fed:
    """A ledger that is told of its units as the engine tells them, and counts its events."""

    def __init__(self, workers: int, units: int) -> None:
        self.ledger = Ledger(workers)
        self.workers, self.units, self.told, self.events = workers, units, 0, 0
        self.over = False

    def start(self) -> list[Assign]:
        """All workers are ready; their first units."""
        first = self._tell()
        return [a for s in first if isinstance(s, StartWorker) for a in self._assigned(WorkerReady(s.worker))]

    def deliver(self, assigned: Assign) -> list[Assign]:
        """A unit is done. What its worker gets next."""
        follow = self._assigned(UnitDone(assigned.unit, assigned.worker))
        if self.told < self.units and self.ledger.planned < AHEAD // 2:
            follow += [a for a in self._tell() if isinstance(a, Assign)]
        return follow

    def tick(self, now: float) -> None:
        """Time passed."""
        self._assigned(Tick(now))

    def _tell(self) -> list[object]:
        stop = min(self.units, self.told + AHEAD)
        units = tuple(Unit(i, i + 1) for i in range(self.told, stop))
        self.told = stop
        actions: list[object] = [*self.ledger.handle(AddUnits(units))]
        if stop == self.units:
            actions += self.ledger.handle(Close())
        self.events += 2
        return actions

    def _assigned(self, event: WorkerReady | UnitDone | Tick) -> list[Assign]:
        self.events += 1
        actions = self.ledger.handle(event)
        self.over = self.over or any(isinstance(a, Finish) for a in actions[-1:])
        return [a for a in actions if isinstance(a, Assign)]


def _schedule(heap: list[tuple[float, int, Assign]], free_at: dict[int, float], n: int, a: Assign, now: float) -> None:
    free_at[a.worker] = max(now, free_at[a.worker]) + _unit_seconds(a)
    heapq.heappush(heap, (free_at[a.worker], n, a))


def _unit_seconds(assigned: Assign) -> float:
    return 0.75 + (assigned.unit.start * 7919 % 1000) / 2000


LEDGER: tuple[Callable[[], dict[str, object]], ...] = (
    events_per_second,
    simulated_workers,
    memory_over_a_million_units,
)


def figures(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Those that were asked for, as they come."""
    if options.ledger:
        yield from (figure() for figure in LEDGER)
    if options.redis:
        from scheduler_store import commit_rates

        yield from commit_rates()
    if options.resume:
        from scheduler_store import resume_times

        yield from resume_times(options.units)
    if options.memory:
        from scheduler_memory import coordinator_memory

        yield from coordinator_memory()
    if options.ray:
        from scheduler_ray import ray_beside_inline

        yield from ray_beside_inline()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", action="store_true", help="the figures of the ledger")
    parser.add_argument("--redis", action="store_true", help="commits of 4 KB a second")
    parser.add_argument("--resume", action="store_true", help="seconds to the first new unit, on files and on Redis")
    parser.add_argument("--memory", action="store_true", help="memory of a coordinator over 10,000 to 1,000,000 units")
    parser.add_argument("--ray", action="store_true", help="overhead of Ray, and what a second actor adds")
    parser.add_argument("--units", type=int, default=100_000, help="committed units of --resume (%(default)s)")
    options = parser.parse_args()
    if not (options.ledger or options.redis or options.resume or options.memory or options.ray):
        parser.error("say what to measure: --ledger, --redis, --resume, --memory, --ray")
    for figure in figures(options):
        print(json.dumps({**figure, "load": round(os.getloadavg()[0], 1)}), flush=True)


if __name__ == "__main__":
    main()
