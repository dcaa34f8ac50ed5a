"""Peak memory of a coordinator, for `benchmarks/scheduler.py --memory`. Each size is measured in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scheduler_store import job_of, record

from xai_ray.coalitions import Design, Unit
from xai_ray.engine.committing import Ack, Ties
from xai_ray.engine.events import AddUnits, Assign, Close, StartWorker, UnitDone, WorkerReady
from xai_ray.engine.ledger import Ledger
from xai_ray.games.protocol import Game
from xai_ray.stores import MemoryStore, Record, Segment

SIZES = (10_000, 100_000, 1_000_000)
WORKERS = 1000
_AHEAD = 4 * WORKERS


class Elsewhere(MemoryStore):
    """A store whose records are with somebody else: they cost this process nothing until they are read."""

    @property
    def remote(self) -> bool:
        return True

    def records(self, job: str, units: list[Unit]) -> Iterator[Record]:
        return (record(unit.start) for unit in units)


class Acknowledging:
    """An engine whose 1,000 workers commit by themselves: the ledger is told of units as the Ray engine tells it."""

    def run(
        self,
        game: Game,
        design: Design,
        units: Sequence[Unit],
        commit: Callable[[Record], None],
        stopped: Callable[[], bool],
        ties: Ties | None = None,
    ) -> None:
        assert ties is not None
        assert ties.acknowledged is not None
        ledger, fed = Ledger(WORKERS), min(len(units), _AHEAD)
        actions = list(ledger.handle(AddUnits(tuple(units[:fed]))))
        closed = False
        while not ledger.over:
            if fed < len(units) and ledger.planned < _AHEAD // 2:
                some, fed = units[fed : fed + _AHEAD], min(len(units), fed + _AHEAD)
                actions += ledger.handle(AddUnits(tuple(some)))
            if fed == len(units) and not closed:
                closed = True
                actions += ledger.handle(Close())
            doing, actions = actions, []
            for action in doing:
                if isinstance(action, StartWorker):
                    actions += ledger.handle(WorkerReady(action.worker))
                elif isinstance(action, Assign):
                    actions += ledger.handle(UnitDone(action.unit, action.worker))
                    ties.acknowledged(Ack(action.unit, 2, {"seconds": 1.0}, True))
        raise KeyboardInterrupt  # what the last answer takes depends on the estimator, not on the coordinator


def peak_mib() -> float:
    """Largest resident memory of this process up to now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peaks(units: int, asked: bool) -> dict[str, float]:
    """Before and after a job of so many units, with its values read at boundaries and answered, or not."""
    store = Elsewhere()
    run = job_of(units, store, Acknowledging(), asked)
    store.open(run.manifest)
    store.extend(run.manifest.job, Segment(0, run.draws, 1))
    before = peak_mib()
    try:
        run.execute()
    except KeyboardInterrupt:
        return {"before_mib": round(before, 1), "peak_mib": round(peak_mib(), 1)}
    raise AssertionError("the engine did not get to its end")


def coordinator_memory() -> Iterator[dict[str, object]]:
    """MiB that a coordinator takes beyond a process that has loaded its job, by number of units of two evaluations: its books alone, and
    with the values of the newest boundary read and answered on the way.
    """
    for asked in (False, True):
        for units in SIZES:
            command = [sys.executable, __file__, str(units), str(int(asked))]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800)
            told = json.loads(done.stdout)
            name = "books and running answers" if asked else "books"
            more = told["peak_mib"] - told["before_mib"]
            yield {"figure": f"MiB of a coordinator: {name}", "units": units, **told, "value": round(more, 1)}


if __name__ == "__main__":
    print(json.dumps(peaks(int(sys.argv[1]), sys.argv[2] == "1")))
