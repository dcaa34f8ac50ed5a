"""Workers that come, go, are out of reach, or are more or fewer than wanted."""

from __future__ import annotations

import pytest

from xai_ray.coalitions import Unit
from xai_ray.engine.events import (
    AddUnits,
    Assign,
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
    UnitLeft,
    WorkerBack,
    WorkerDoubtful,
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


def test_a_worker_out_of_reach_is_probed_and_its_units_planned_again() -> None:
    ledger = after(1, AddUnits((A, B, C)), WorkerReady(0))
    assert ledger.handle(WorkerDoubtful(0, "no answer")) == [Probe(0), StartWorker(1)]
    assert [ledger.state(u) for u in (A, B)] == ["planned", "planned"]
    assert ledger.handle(WorkerDoubtful(0, "no answer")) == []
    assert ledger.handle(WorkerReady(1)) == [Assign(A, 1), Assign(B, 1)]


def test_what_it_delivers_nevertheless_counts() -> None:
    ledger = after(1, AddUnits((A, B)), WorkerReady(0), WorkerDoubtful(0, "no answer"))
    assert ledger.handle(UnitDone(A, 0)) == [Commit(A, 0)]
    assert ledger.handle(WorkerReady(1)) == [Assign(B, 1)]


def test_a_worker_that_answers_again_takes_units_and_its_replacement_is_called_off() -> None:
    ledger = after(1, AddUnits((A, B, C)), WorkerReady(0), WorkerDoubtful(0, "no answer"))
    assert ledger.handle(WorkerBack(0)) == [Assign(A, 0), Assign(B, 0), Release(1)]
    assert ledger.handle(WorkerBack(0)) == []


def test_a_worker_that_never_answers_is_given_up_after_half_a_minute() -> None:
    ledger = after(1, AddUnits((A, B, C)), WorkerReady(0), Tick(100.0), WorkerDoubtful(0, "x"), WorkerReady(1))
    assert ledger.handle(Tick(129.0)) == []
    assert Release(0) in ledger.handle(Tick(130.0))
    assert ledger.handle(WorkerBack(0)) == []


def test_a_worker_that_is_known_to_be_dead_is_not_probed_any_more() -> None:
    ledger = after(1, AddUnits((A, B, C)), WorkerReady(0), WorkerDoubtful(0, "x"))
    assert ledger.handle(WorkerLost(0, "dead", blame=False)) == []
    assert ledger.handle(Tick(99.0)) == []


def test_out_of_reach_again_and_again_without_progress_is_the_end() -> None:
    ledger = after(1, AddUnits((A,)))
    for worker in range(4):
        ledger.handle(WorkerReady(worker))
        ledger.handle(WorkerDoubtful(worker, "no answer"))
        ledger.handle(Tick(100.0 * (worker + 1)))
    ledger.handle(WorkerReady(4))
    assert ledger.handle(WorkerDoubtful(4, "no answer"))[-1] == Fail(None, "no answer", "workers")


def test_growing_starts_workers_for_planned_units() -> None:
    ledger = after(1, AddUnits((A, B, C, D, E)), WorkerReady(0))
    assert ledger.handle(Resize(3)) == [StartWorker(1), StartWorker(2)]
    assert ledger.handle(Resize(9)) == [StartWorker(3)]  # three units wait, no more workers than that


def test_shrinking_releases_who_is_not_ready_then_who_rests_then_who_is_done() -> None:
    ledger = after(4, AddUnits((A, B, C, D, E)), *(WorkerReady(w) for w in range(3)))
    # 0: A and B, 1: C and D, 2: E, 3: not ready.
    assert ledger.handle(Resize(2)) == [Release(3)]
    assert ledger.handle(UnitDone(E, 2)) == [Commit(E, 2), Release(2)]
    assert ledger.handle(Resize(1)) == []
    assert ledger.handle(UnitDone(C, 1)) == [Commit(C, 1)]
    assert ledger.handle(UnitDone(D, 1)) == [Commit(D, 1), Release(1)]
    assert ledger.handle(UnitDone(A, 0)) == [Commit(A, 0)]


def test_a_worker_that_is_to_leave_takes_no_more_units_and_stays_if_it_is_wanted_again() -> None:
    ledger = after(2, AddUnits((A, B, C, D, E, F)), WorkerReady(0), WorkerReady(1), Resize(1))
    assert ledger.handle(UnitDone(C, 1)) == [Commit(C, 1)]
    assert ledger.handle(Resize(2)) == [Assign(E, 1)]


def test_down_to_nothing_and_up_again() -> None:
    ledger = after(1, AddUnits((A, B, C)), WorkerReady(0), Close())
    assert ledger.handle(Resize(0)) == []
    ledger.handle(UnitDone(A, 0))
    assert ledger.handle(UnitDone(B, 0)) == [Commit(B, 0), Release(0)]
    assert ledger.handle(Tick(100.0)) == []
    assert ledger.handle(Resize(1)) == [StartWorker(1)]
    ledger.handle(WorkerReady(1))
    assert ledger.handle(UnitDone(C, 1)) == [Commit(C, 1), Release(1), Finish()]


def test_a_negative_target_cannot_be() -> None:
    with pytest.raises(IllegalEvent):
        Ledger(1).handle(Resize(-1))


def test_workers_at_rest_for_half_a_minute_are_released() -> None:
    ledger = after(3, AddUnits((A, B, C)), WorkerReady(0), WorkerReady(1), Tick(1.0), UnitDone(C, 1))
    ledger.handle(Tick(7.0))  # a copy of A at worker 1
    assert ledger.handle(UnitDone(A, 1)) == [Commit(A, 1), Leave(A, 0)]
    assert ledger.handle(Tick(36.0)) == [Assign(B, 1), Release(2)]  # the third was never needed


def test_one_worker_stays_at_rest_to_take_over_from_one_that_hangs() -> None:
    ledger = after(3, AddUnits((A, B, C, D)), WorkerReady(0), WorkerReady(1), Tick(20.0))
    # Units take 20 s, so a stall is noticed after 80.
    for event in (UnitDone(A, 0), UnitDone(C, 1), UnitDone(D, 1), WorkerReady(2)):
        ledger.handle(event)
    assert ledger.handle(Tick(50.0)) == [Release(1)]
    assert ledger.handle(Tick(99.0)) == []
    assert ledger.handle(Tick(100.5)) == [Assign(B, 2)]


def test_a_unit_that_was_left_behind_is_free_again() -> None:
    ledger = after(1, AddUnits((A, B, C)), WorkerReady(0))
    assert ledger.handle(UnitLeft(A, 0)) == [Assign(A, 0)]
    assert ledger.handle(UnitLeft(A, 0)) == [Assign(A, 0)]
    assert ledger.handle(UnitDone(A, 0)) == [Commit(A, 0), Assign(C, 0)]
    assert ledger.handle(UnitLeft(A, 0)) == []


def test_leaving_a_copy_makes_room_at_once() -> None:
    ledger = after(2, AddUnits((A, B, C)), WorkerReady(0), WorkerReady(1), Tick(1.0), UnitDone(C, 1), Tick(6.0))
    assert ledger.handle(UnitDone(A, 1)) == [Commit(A, 1), Leave(A, 0)]
    ledger.handle(AddUnits((D, E, F)))
    assert ledger.handle(UnitLeft(A, 0)) == [Assign(F, 0)]


def test_a_worker_that_cannot_leave_an_unwanted_unit_is_given_up_after_half_a_minute() -> None:
    ledger = after(2, AddUnits((A, B, C)), WorkerReady(0), WorkerReady(1), Tick(1.0), UnitDone(C, 1), Tick(6.0))
    assert ledger.handle(UnitDone(A, 1)) == [Commit(A, 1), Leave(A, 0)]
    assert ledger.handle(Tick(35.0)) == [Assign(B, 1)]
    assert ledger.handle(Tick(36.0)) == [Release(0)]
    assert ledger.state(B) == "leased"


def test_a_worker_is_not_given_up_for_a_unit_that_waits_behind_another() -> None:
    ledger = after(2, AddUnits((A, B, C)), WorkerReady(0), WorkerReady(1), Tick(1.0), UnitDone(C, 1), Tick(6.0))
    ledger.handle(UnitLeft(A, 1))
    assert ledger.handle(UnitDone(B, 0)) == [Commit(B, 0)]
    assert ledger.handle(Tick(99.0)) == [Assign(A, 1)]


def test_a_node_on_which_three_workers_died_is_avoided() -> None:
    ledger = after(2, AddUnits(tuple(Unit(i, i + 1) for i in range(20))))
    busy = ledger.handle(WorkerReady(0, "good"))
    for worker in (1, 2, 3):
        ledger.handle(WorkerReady(worker, "bad"))
        assert ledger.handle(WorkerLost(worker, "killed"))[-1] == StartWorker(
            worker + 1, () if worker < 3 else ("bad",)
        )
        assigned = busy.pop(0)
        assert isinstance(assigned, Assign)
        busy += ledger.handle(UnitDone(assigned.unit, 0))[1:]


def test_losses_that_are_nobodys_fault_do_not_count_against_the_node() -> None:
    ledger = after(1, AddUnits((A, B, C)))
    for worker in range(3):
        ledger.handle(WorkerReady(worker, "a"))
        ledger.handle(WorkerLost(worker, "preempted", blame=False))
        ledger.handle(Tick(100.0 * (worker + 1)))
    assert ledger.crew.avoided() == ()
