"""The event log of a run: compact, and the same run again when it is read back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.test_random_schedules import World, troubles
from xai_ray.coalitions import Unit
from xai_ray.engine.events import AddUnits, Commit, Tick, UnitDone
from xai_ray.engine.journal import Journal, decoded, encoded
from xai_ray.engine.replay import replay_log
from xai_ray.errors import StoreError
from xai_ray.stores.protocol import Segment


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 30), troubles)
def test_a_log_that_went_through_json_replays_to_the_same_actions(seed, workers, units, trouble) -> None:
    world, entries = World(seed, workers, units, trouble), []
    world.run(steps=20_000)
    journal = Journal(entries.append, workers)
    for event, _ in world.log:
        journal.note(event, world.now)
    journal.flush()
    entries = json.loads(json.dumps([{"event": "started"}, *entries, {"event": "done"}]))
    (told,) = replay_log(entries)
    kept = [(e, a) for e, a in world.log if a or not isinstance(e, Tick)]
    assert [(event, actions) for _, event, actions in told.steps] == kept
    assert told.actions["Commit"] == len(world.committed)
    late = [e for e, a in world.log if isinstance(e, UnitDone) and not any(isinstance(x, Commit) for x in a)]
    assert told.duplicates == len(late)
    assert told.ended.startswith("finished" if type(world.end).__name__ == "Finish" else "failed")


@given(st.lists(st.integers(1, 40), max_size=6), st.integers(1, 7))
def test_units_of_any_cut_come_back(stops: list[int], size: int) -> None:
    at, units = 0, []
    for step, stop in enumerate(stops):
        units += list(Segment(at, at + stop, size + step % 2).units())[step % 3 :: 1 + step % 2]
        at += stop
    event = AddUnits(tuple(units))
    assert decoded(encoded(event)) == event


def test_a_thousand_units_in_order_are_three_integers() -> None:
    assert len(encoded(AddUnits(tuple(Segment(0, 4_999, 5).units())))) == 1 + 3


def test_two_runs_in_one_log_are_told_apart() -> None:
    entries: list = []
    for workers in (1, 2):
        journal = Journal(entries.append, workers)
        journal.note(Tick(1.0), 1.0)
        journal.flush()
    assert [(told.workers, told.ended) for told in replay_log(entries)] == [(1, "open"), (2, "open")]


def test_a_gap_is_refused() -> None:
    entries: list = []
    journal = Journal(entries.append, 1)
    for now in (5.0, 10.0, 15.0):
        journal.note(Tick(now), now)
    with pytest.raises(StoreError, match=r"has a gap: event 2 follows 0"):
        replay_log([entries[0], entries[2]])


@pytest.mark.parametrize("line", [[99], [], [7, 0, 1], [10, 1.0, 2.0], ["x"], [0, 1, 2], [7, 3, 3, 0]])
def test_what_is_no_event_is_refused(line: list) -> None:
    with pytest.raises(StoreError, match="damaged at event 0"):
        replay_log([{"event": "ledger", "run": "r", "from": 0, "workers": 1, "log": [line]}])


def test_an_event_that_cannot_have_been_is_refused() -> None:
    line = encoded(UnitDone(Unit(0, 1), 3))
    with pytest.raises(StoreError, match="worker 3 was never started"):
        replay_log([{"event": "ledger", "run": "r", "from": 0, "workers": 1, "log": [line]}])
