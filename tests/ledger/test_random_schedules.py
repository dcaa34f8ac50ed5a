"""Random schedules of losses, duplicates, late deliveries, failures and cancels against a model of the world."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_ray.coalitions import Unit
from xai_ray.engine.crew import WINDOW
from xai_ray.engine.events import (
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
    from_document,
    to_document,
)
from xai_ray.engine.ledger import Ledger


class World:
    """Plays the engine: starts workers, runs units, loses and repeats things; checks every action."""

    def __init__(self, seed: int, workers: int, units: int, trouble: dict[str, float]) -> None:
        self.random = random.Random(seed)
        self.trouble = trouble
        self.ledger = Ledger(workers)
        self.target, self.most, self.now = workers, workers, 0.0
        self.units = [Unit(3 * i, 3 * i + 3) for i in range(units)]
        self.starting: set[int] = set()
        self.flight: dict[int, list[Unit]] = {}
        self.doubtful: dict[int, float] = {}
        self.unwanted: list[tuple[Unit, int]] = []
        self.delivered: list[UnitDone] = []
        self.committed: list[Unit] = []
        self.log: list[tuple[Event, list]] = []
        self.end: Finish | Fail | None = None
        self.cancelled = False

    def send(self, event: Event) -> None:
        actions = self.ledger.handle(event)
        self.log.append((event, actions))
        for action in actions:
            assert self.end is None, "an action after the end"
            self.act(action, event)

    def act(self, action, event: Event) -> None:
        match action:
            case StartWorker(worker):
                assert worker not in self.flight
                self.starting.add(worker)
                assert len(self.starting) <= self.target
                assert len(self.starting) + len(self.flight) <= self.most + len(self.doubtful)
            case Assign(unit, worker):
                assert unit not in self.committed
                assert unit not in self.flight[worker]
                assert worker not in self.doubtful
                self.flight[worker].append(unit)
                assert len(self.flight[worker]) <= WINDOW
                assert sum(unit in f for f in self.flight.values()) <= 2
            case Commit(unit, worker):
                assert event == UnitDone(unit, worker)
                assert unit not in self.committed, "committed twice"
                self.committed.append(unit)
            case Release(worker):
                self.starting.discard(worker)
                self.flight.pop(worker, None)
                self.doubtful.pop(worker, None)
            case Leave(unit, worker):
                assert unit in self.committed
                self.unwanted.append((unit, worker))
            case Probe(worker):
                assert worker in self.doubtful
            case _:
                self.end = action

    def step(self) -> None:
        """One thing happens, at random."""
        chance = self.random.random
        self.now += self.random.choice([0.0, 0.1, 1.0, 8.0])
        self.send(Tick(self.now))
        busy = [w for w, f in self.flight.items() if f and w not in self.doubtful]
        if self.end is not None:
            return
        assert all(self.now - since < 31 + 8 for since in self.doubtful.values()), "never given up"
        if chance() < self.trouble["resize"]:
            self.target = self.random.randrange(4) if chance() < 0.5 else self.most
            self.most = max(self.most, self.target)
            self.send(Resize(self.target))
        elif self.doubtful and chance() < 0.3:
            worker = self.random.choice(sorted(self.doubtful))
            del self.doubtful[worker]
            if chance() < 0.5:
                self.flight[worker] = []
                self.send(WorkerBack(worker))
            else:
                self.flight.pop(worker)
                self.send(WorkerLost(worker, "did not come back", blame=False))
        elif self.unwanted and chance() < 0.5:
            unit, worker = self.unwanted.pop()
            if unit in self.flight.get(worker, []):
                self.flight[worker].remove(unit)
                self.send(UnitLeft(unit, worker))
        elif self.flight and chance() < self.trouble["doubt"]:
            worker = self.random.choice(sorted(self.flight))
            if worker not in self.doubtful:
                self.delivered += [UnitDone(u, worker) for u in self.flight[worker] if chance() < 0.5]
                self.flight[worker] = []
                self.doubtful[worker] = self.now
            self.send(WorkerDoubtful(worker, "out of reach"))
        elif self.starting and chance() < 0.5:
            worker = self.random.choice(sorted(self.starting))
            self.starting.discard(worker)
            if chance() < self.trouble["start"]:
                self.send(WorkerLost(worker, "did not start"))
            else:
                self.flight[worker] = []
                self.send(WorkerReady(worker, node=self.random.choice(["", "a", "b"])))
        elif self.flight and chance() < self.trouble["loss"]:
            worker = self.random.choice(sorted(self.flight))
            held = self.flight.pop(worker)
            self.doubtful.pop(worker, None)
            self.delivered += [UnitDone(u, worker) for u in held if chance() < 0.5]  # may still arrive, late
            self.send(WorkerLost(worker, "killed", blame=chance() < self.trouble["blame"]))
        elif self.delivered and chance() < self.trouble["repeat"]:
            again = self.random.choice(self.delivered)
            if again.unit in self.flight.get(again.worker, []):  # given once more to a worker that came back
                self.flight[again.worker].remove(again.unit)
            self.send(again)
        elif busy:
            worker = self.random.choice(busy)
            unit = self.flight[worker].pop(self.random.choice([0, -1]))
            if chance() < self.trouble["raise"]:
                self.send(UnitFailed(unit, worker, "raised", final=chance() < 0.2))
            else:
                self.delivered.append(UnitDone(unit, worker))
                self.send(self.delivered[-1])
        if self.end is None and chance() < self.trouble["cancel"]:
            self.cancelled = True
            self.send(Cancel())

    def run(self, steps: int) -> None:
        half = len(self.units) // 2
        self.send(AddUnits(tuple(self.units[:half])))
        for _ in range(self.random.randrange(20)):
            self.step()
        if self.end is None:
            self.send(AddUnits(tuple(self.units[half:])))
            self.send(Close())
        while self.end is None:
            assert steps > 0, f"no end in sight: {self.ledger.open} open"
            steps -= 1
            self.step()


chances = st.sampled_from([0.0, 0.05, 0.3])
troubles = st.fixed_dictionaries(
    {"start": chances, "loss": chances, "blame": st.sampled_from([0.0, 0.5, 1.0]), "repeat": chances, "raise": chances}
    | {"cancel": st.sampled_from([0.0, 0.0, 0.01]), "doubt": chances, "resize": chances}
)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 30), troubles)
def test_every_unit_is_committed_once_or_the_run_failed_or_was_cancelled(seed, workers, units, trouble) -> None:
    world = World(seed, workers, units, trouble)
    world.run(steps=20_000)
    if isinstance(world.end, Finish) and not world.cancelled:
        assert sorted(world.committed) == world.units
    assert len(set(world.committed)) == len(world.committed)
    # After the end nothing that comes in changes anything.
    for event in world.delivered:
        assert world.ledger.handle(event) == []
    assert world.ledger.handle(Tick(world.now + 99)) == []


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 30))
def test_without_failures_and_blame_the_run_finishes_in_spite_of_losses(seed, workers, units) -> None:
    quiet = {"start": 0.0, "loss": 0.05, "blame": 0.0, "repeat": 0.3, "raise": 0.0, "cancel": 0.0}
    quiet |= {"doubt": 0.05, "resize": 0.05}
    world = World(seed, workers, units, quiet)
    world.run(steps=20_000)
    # Fail is right only if losses outran progress again and again.
    if isinstance(world.end, Fail):
        assert world.end.cause == "workers"
        lost = sum(isinstance(event, WorkerLost | WorkerDoubtful) for event, _ in world.log)
        assert lost > 4 * min(1, workers)
    else:
        assert sorted(world.committed) == world.units


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 30), troubles)
def test_a_recorded_log_replays_to_the_same_actions(seed, workers, units, trouble) -> None:
    world = World(seed, workers, units, trouble)
    world.run(steps=20_000)
    lines = [json.dumps(to_document(event)) for event, _ in world.log]
    again = Ledger(workers)
    for line, (event, actions) in zip(lines, world.log, strict=True):
        assert from_document(json.loads(line)) == event
        assert again.handle(from_document(json.loads(line))) == actions


def test_a_document_of_no_event_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown event 'Tock'"):
        from_document({"event": "Tock"})
