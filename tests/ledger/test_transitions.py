"""The rows of the transition table, one by one."""

from __future__ import annotations

import copy
import time

import pytest

from xai_ray.coalitions import Unit
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
    Release,
    StartWorker,
    Tick,
    UnitDone,
    UnitFailed,
    WorkerLost,
    WorkerReady,
)
from xai_ray.engine.ledger import IllegalEvent, Ledger

A, B, C, D, E, F = (Unit(i, i + 1) for i in range(6))


def after(workers: int, *events: Event) -> Ledger:
    ledger = Ledger(workers)
    for event in events:
        ledger.handle(event)
    return ledger


def test_no_units_finish_at_once() -> None:
    ledger = Ledger(1)
    assert ledger.handle(AddUnits(())) == []
    assert ledger.handle(Close()) == [Finish()]


def test_no_more_workers_than_units() -> None:
    assert Ledger(5).handle(AddUnits((A, B))) == [StartWorker(0), StartWorker(1)]


def test_two_in_flight_and_workers_at_rest_come_first() -> None:
    ledger = after(2, AddUnits((A, B, C, D, E)))
    assert ledger.handle(WorkerReady(0)) == [Assign(A, 0), Assign(B, 0)]
    assert ledger.handle(WorkerReady(1)) == [Assign(C, 1), Assign(D, 1)]
    assert ledger.handle(UnitDone(A, 0)) == [Commit(A, 0), Assign(E, 0)]
    assert [ledger.state(u) for u in (A, B, E)] == ["committed", "leased", "leased"]


def test_the_last_unit_finishes_and_releases() -> None:
    ledger = after(1, AddUnits((A,)), Close(), WorkerReady(0))
    assert ledger.handle(UnitDone(A, 0)) == [Commit(A, 0), Release(0), Finish()]


def test_a_loss_plans_again_in_canonical_order() -> None:
    ledger = after(2, AddUnits((A, B, C, D, E)), WorkerReady(0), WorkerReady(1))
    assert ledger.handle(WorkerLost(0, "killed")) == [StartWorker(2)]
    assert [ledger.state(u) for u in (A, B, C)] == ["planned", "planned", "leased"]
    assert ledger.handle(WorkerReady(2)) == [Assign(A, 2), Assign(B, 2)]


def test_a_late_delivery_of_a_lost_worker_is_committed_and_never_evaluated_again() -> None:
    ledger = after(1, AddUnits((A, B)), WorkerReady(0), WorkerLost(0, "unavailable", blame=False))
    assert ledger.handle(UnitDone(A, 0)) == [Commit(A, 0)]
    assert ledger.handle(UnitDone(A, 0)) == []
    assert ledger.handle(WorkerReady(1)) == [Assign(B, 1)]


def test_a_unit_that_kills_three_workers_is_quarantined_and_named() -> None:
    ledger = after(1, AddUnits((A, B)))
    for worker in range(2):
        ledger.handle(WorkerReady(worker))
        ledger.handle(WorkerLost(worker, "killed"))
        ledger.handle(Tick(worker + 1.0))
    ledger.handle(WorkerReady(2))
    assert ledger.handle(WorkerLost(2, "SIGKILL")) == [Fail(A, "SIGKILL", "kills")]


def test_only_the_first_in_flight_is_blamed_for_a_loss() -> None:
    ledger = after(1, AddUnits((A, B)), WorkerReady(0), WorkerLost(0, "x"), WorkerReady(1), UnitDone(A, 1))
    for worker in (1, 2):  # B, now the first, kills two; it was waiting when worker 0 died
        ledger.handle(WorkerLost(worker, "x"))
        ledger.handle(Tick(100.0 * worker))
        assert ledger.handle(WorkerReady(worker + 1)) == [Assign(B, worker + 1)]
    assert ledger.handle(WorkerLost(3, "x"))[-1] == Fail(B, "x", "kills")


def test_losses_without_blame_quarantine_no_unit_but_end_when_nothing_gets_done() -> None:
    ledger = after(1, AddUnits((A,)))
    for worker in range(4):
        ledger.handle(WorkerReady(worker))
        ledger.handle(WorkerLost(worker, "node gone", blame=False))
        ledger.handle(Tick(100.0 * (worker + 1)))
    assert ledger.handle(WorkerLost(4, "node gone", blame=False)) == [Fail(None, "node gone", "workers")]


def test_replacement_is_at_once_then_later_and_later() -> None:
    ledger = after(1, AddUnits((A,)), Tick(10.0))
    assert ledger.handle(WorkerLost(0, "x")) == [StartWorker(1)]
    assert ledger.handle(WorkerLost(1, "x")) == []
    assert ledger.handle(Tick(10.4)) == []
    assert ledger.handle(Tick(10.5)) == [StartWorker(2)]
    assert ledger.handle(WorkerLost(2, "x")) == []
    assert ledger.handle(Tick(11.4)) == []
    assert ledger.handle(Tick(11.5)) == [StartWorker(3)]


def test_progress_forgives_losses() -> None:
    ledger = after(1, AddUnits((A, B, C)), WorkerLost(0, "x"), WorkerReady(1), UnitDone(A, 1))
    assert ledger.handle(WorkerLost(1, "x")) == [StartWorker(2)]


def test_a_final_error_fails_at_once() -> None:
    ledger = after(2, AddUnits((A, B, C)), WorkerReady(0))
    assert ledger.handle(UnitFailed(A, 0, "NaN", final=True)) == [Release(0), Release(1), Fail(A, "NaN", "error")]


def test_an_unknown_exception_is_tried_on_two_other_workers() -> None:
    ledger = after(1, AddUnits((A, B)), WorkerReady(0))
    assert ledger.handle(UnitFailed(A, 0, "odd", final=False)) == [Release(0), StartWorker(1)]
    assert ledger.handle(WorkerReady(1)) == [Assign(A, 1), Assign(B, 1)]
    assert ledger.handle(UnitFailed(A, 1, "odd", final=False)) == [Release(1), StartWorker(2)]
    ledger.handle(WorkerReady(2))
    assert ledger.handle(UnitFailed(A, 2, "odd", final=False)) == [Release(2), Fail(A, "odd", "error")]


def test_a_late_failure_of_a_lost_worker_counts_only_if_it_is_final() -> None:
    ledger = after(1, AddUnits((A,)), WorkerReady(0), WorkerLost(0, "unavailable", blame=False), WorkerReady(1))
    for _ in range(3):
        assert ledger.handle(UnitFailed(A, 0, "odd", final=False)) == []
    assert ledger.handle(UnitFailed(A, 0, "NaN", final=True)) == [Release(1), Fail(A, "NaN", "error")]


def test_a_stalled_unit_gets_one_copy_and_the_first_delivery_wins() -> None:
    ledger = after(2, AddUnits((A, B, C)), WorkerReady(0), WorkerReady(1), Tick(1.0))
    ledger.handle(UnitDone(C, 1))
    assert ledger.handle(Tick(4.9)) == []
    # A has been running for 5 s, B waits behind it; one worker is at rest.
    assert ledger.handle(Tick(5.2)) == [Assign(A, 1)]
    assert ledger.handle(Tick(5.5)) == []
    assert ledger.handle(UnitDone(A, 1)) == [Commit(A, 1), Leave(A, 0)]
    assert ledger.handle(Tick(5.8)) == [Assign(B, 1)]
    assert ledger.handle(UnitDone(A, 0)) == []
    ledger.handle(Close())
    assert ledger.handle(UnitDone(B, 0)) == [Commit(B, 0), Leave(B, 1), Release(0), Release(1), Finish()]


def test_slow_units_are_not_stalled() -> None:
    ledger = after(2, AddUnits((A, B, C, D, E)), WorkerReady(0), WorkerReady(1))
    ledger.handle(Tick(10.0))  # units take 10 s, so 40 s is usual
    for unit, worker in ((A, 0), (C, 1)):
        ledger.handle(UnitDone(unit, worker))
    ledger.handle(Tick(20.0))
    for unit, worker in ((D, 1), (B, 0)):
        ledger.handle(UnitDone(unit, worker))
    assert ledger.handle(Tick(49.0)) == []
    assert ledger.handle(Tick(60.5)) == [Assign(E, 1)]


def test_a_copy_that_is_lost_leaves_the_other() -> None:
    ledger = after(2, AddUnits((A, B, C)), WorkerReady(0), WorkerReady(1), UnitDone(C, 1), UnitDone(B, 0))
    assert ledger.handle(Tick(6.0)) == [Assign(A, 1)]
    assert ledger.handle(WorkerLost(0, "x", blame=False)) == []
    assert ledger.state(A) == "leased"


def test_cancel_releases_everything_and_ends() -> None:
    ledger = after(2, AddUnits((A, B, C)), WorkerReady(0))
    assert ledger.handle(Cancel()) == [Release(0), Release(1), Finish()]
    assert ledger.handle(UnitDone(A, 0)) == []
    assert ledger.handle(WorkerLost(0, "x")) == []
    assert ledger.handle(Cancel()) == []


def test_units_can_be_added_while_it_runs() -> None:
    ledger = after(2, AddUnits((A,)), WorkerReady(0))
    assert ledger.handle(AddUnits((B, C))) == [Assign(B, 0), StartWorker(1)]


BASE = (AddUnits((A, B, C)), WorkerReady(0), UnitDone(A, 0), Tick(5.0))


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Tick(4.0), "time ran backwards"),
        (Tick(float("nan")), "time ran backwards"),
        (WorkerReady(0), "ready already"),
        (WorkerReady(9), "worker 9 was never started"),
        (WorkerLost(9, "x"), "worker 9 was never started"),
        (WorkerLost(-1, "x"), "worker -1 was never started"),
        (UnitDone(F, 0), r"unit \[5, 6\) was never given to worker 0"),
        (UnitDone(B, 1), r"unit \[1, 2\) was never given to worker 1"),
        (UnitFailed(F, 0, "x", final=True), r"unit \[5, 6\) was never given"),
        (AddUnits((D, A)), "added twice"),
        (AddUnits((D, D)), "added twice"),
    ],
)
def test_an_event_that_cannot_be_raises_and_changes_nothing(event: Event, message: str) -> None:
    ledger, untouched = after(2, *BASE), after(2, *BASE)
    before = copy.deepcopy(vars(ledger))
    with pytest.raises(IllegalEvent, match=message):
        ledger.handle(event)
    assert vars(ledger) == before
    for later in (UnitDone(B, 0), WorkerReady(1), Tick(6.0), WorkerLost(0, "x"), Close()):
        assert ledger.handle(later) == untouched.handle(later)


def test_nothing_can_be_added_after_the_end() -> None:
    ledger = after(1, AddUnits((A,)), Close())
    for event in (AddUnits((B,)), Close()):
        with pytest.raises(IllegalEvent):
            ledger.handle(event)


def test_throughput() -> None:
    """Loose bound; the aim is ten times more (`python tests/ledger/test_transitions.py` prints the rate)."""
    assert events_per_second(units=20_000, workers=500) > 5_000


def events_per_second(units: int, workers: int) -> float:
    ledger, flight, events = Ledger(workers), [], units + workers + 1
    began = time.perf_counter()
    actions = ledger.handle(AddUnits(tuple(Unit(i, i + 1) for i in range(units))))
    for start in [a for a in actions if isinstance(a, StartWorker)]:
        flight += ledger.handle(WorkerReady(start.worker))
    for number, assigned in enumerate(flight):
        if number % 100 == 0:
            ledger.handle(Tick(number / 1000))
            events += 1
        flight += [a for a in ledger.handle(UnitDone(assigned.unit, assigned.worker)) if isinstance(a, Assign)]
    assert ledger.open == 0
    return events / (time.perf_counter() - began)


if __name__ == "__main__":
    print(f"{events_per_second(200_000, 10_000):.0f} events/s")
