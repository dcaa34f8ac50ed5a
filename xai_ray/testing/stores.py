"""The contract of a store as a pytest class. A store of your own must pass it:

class TestMyStore(StoreContract):
    @pytest.fixture
    def store(self):
        return MyStore(...)          # empty

    def reopen(self, store):         # another handle of the same store; the default is the same handle
        return MyStore(...)
"""

# ruff: noqa: D102, because the names of the tests say which law they check

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord, DigestMismatch, SpecError, StoreError
from xai_ray.stores.protocol import Manifest, Record, Segment, Store
from xai_ray.testing.store_samples import JOB, ODD_BITS, a_manifest, a_record, same_record, together
from xai_ray.testing.store_sharing import SharingContract

__all__ = ["JOB", "ODD_BITS", "StoreContract", "a_manifest", "a_record", "same_record", "together"]


class StoreContract(SharingContract):
    """Every law of `xai_ray.stores.protocol.Store`. The subclass supplies the fixture `store`: an empty store."""

    def reopen(self, store: Store) -> Store:
        """Another handle of the same store, as a second process would have it."""
        return store

    @pytest.fixture
    def job(self, store: Store) -> str:
        """A job that is open in the store."""
        return store.open(a_manifest()).job

    # --- jobs -------------------------------------------------------------------------------------------------------

    def test_opening_twice_gives_the_manifest_that_is_there(self, store: Store) -> None:
        first = store.open(a_manifest())
        later = Manifest(JOB, first.digest, {"other": "document"})
        assert first == a_manifest()
        assert self.reopen(store).open(later) == first
        assert self.reopen(store).manifest(JOB) == first

    def test_another_digest_is_refused_and_changes_nothing(self, store: Store, job: str) -> None:
        store.commit(job, a_record(0, 4))
        with pytest.raises(DigestMismatch, match=job):
            store.open(a_manifest(digest="f" * 64))
        assert store.manifest(job) == a_manifest()
        assert store.committed(job) == {Unit(0, 4)}

    def test_jobs_oldest_first(self, store: Store) -> None:
        assert self.reopen(store).jobs() == []
        for name in ("zebra-1", "apple-2", "mango-0"):
            store.open(a_manifest(name))
        assert self.reopen(store).jobs() == ["zebra-1", "apple-2", "mango-0"]

    def test_jobs_are_separate(self, store: Store) -> None:
        for name in ("one", "two"):
            store.open(a_manifest(name))
        store.commit("one", a_record(0, 4))
        store.extend("one", Segment(0, 8, 4))
        store.append("one", {"event": 1})
        store.cancel("one", True)
        store.close("one", {"state": "done"})
        assert store.committed("two") == set()
        assert (store.segments("two"), store.events("two"), store.outcome("two")) == ([], [], None)
        assert not store.cancelled("two")

    @pytest.mark.parametrize("bad", ["", "..", "../up", "a/b", "/etc", "Cat", "a b", "a\n", "a.b", "é", "x" * 300])
    def test_a_job_id_that_could_be_a_path_is_refused(self, store: Store, bad: str) -> None:
        with pytest.raises(SpecError, match="job id"):
            store.open(a_manifest(bad))
        with pytest.raises(SpecError, match="job id"):
            store.commit(bad, a_record(0, 1))

    def test_an_unknown_job_is_named_with_the_nearest(self, store: Store, job: str) -> None:
        asked = job[:-1] + "0"
        calls: list[Callable[[], Any]] = [
            lambda: store.manifest(asked),
            lambda: store.extend(asked, Segment(0, 4, 2)),
            lambda: store.segments(asked),
            lambda: store.commit(asked, a_record(0, 2)),
            lambda: store.committed(asked),
            lambda: store.records(asked, []),
            lambda: store.discard(asked, Unit(0, 2)),
            lambda: store.append(asked, {}),
            lambda: store.events(asked),
            lambda: store.cancel(asked, True),
            lambda: store.cancelled(asked),
            lambda: store.close(asked, {}),
            lambda: store.outcome(asked),
            lambda: store.claim(asked),
            lambda: store.expire(asked, 60),
        ]
        for call in calls:
            with pytest.raises(StoreError, match=f"no job '{asked}'.*did you mean '{job}'.*xai-ray list"):
                call()
        assert store.jobs() == [job]

    def test_a_document_that_is_no_json_is_refused_by_its_place(self, store: Store, job: str) -> None:
        bad = Manifest("bad", "d" * 64, {"spec": {"std_error": [0.0, float("inf")]}})
        with pytest.raises(SpecError, match=r"\$\.spec\.std_error\[1\] is inf"):
            store.open(bad)
        with pytest.raises(SpecError, match=r"\$\.worker"):
            store.append(job, {"worker": object()})
        with pytest.raises(SpecError, match=r"\$\.rate"):
            store.commit(job, Record(Unit(0, 1), np.zeros((1, 1)), {"rate": float("nan")}))
        with pytest.raises(SpecError, match=r"\$\.names"):
            store.close(job, {"names": {"a"}})
        nobody = job[:-1] + "0"  # what is no JSON is said before anything is looked up, whatever the store
        with pytest.raises(SpecError, match=r"\$\.worker"):
            store.append(nobody, {"worker": object()})
        with pytest.raises(SpecError, match=r"\$\.rate"):
            store.commit(nobody, Record(Unit(0, 1), np.zeros((1, 1)), {"rate": float("nan")}))
        with pytest.raises(SpecError, match=r"\$\.names"):
            store.close(nobody, {"names": {"a"}})
        assert (store.jobs(), store.events(job), store.committed(job), store.outcome(job)) == ([job], [], set(), None)

    # --- segments ---------------------------------------------------------------------------------------------------

    def test_segments_are_contiguous_from_draw_zero(self, store: Store, job: str) -> None:
        assert store.segments(job) == []
        assert store.extend(job, Segment(4, 8, 2)) == []
        first, second = Segment(0, 10, 4), Segment(10, 25, 5)
        assert store.extend(job, first) == [first]
        assert store.extend(job, Segment(0, 10, 5)) == [first]
        assert store.extend(job, Segment(9, 12, 3)) == [first]
        assert store.extend(job, Segment(11, 12, 1)) == [first]
        assert store.extend(job, second) == [first, second]
        assert self.reopen(store).segments(job) == [first, second]

    def test_an_empty_segment_is_refused(self, store: Store, job: str) -> None:
        for bad in (Segment(0, 0, 1), Segment(0, 4, 0), Segment(-2, 4, 1), Segment(4, 0, 1)):
            with pytest.raises(SpecError, match="segment"):
                store.extend(job, bad)
        assert store.segments(job) == []

    def test_one_of_two_racing_extensions_wins(self, store: Store, job: str) -> None:
        for turn in range(5):
            at = 100 * turn
            wanted = [Segment(at, at + 100, unit) for unit in range(1, 9)]
            handles = [self.reopen(store) for _ in wanted]
            seen = together([lambda h=h, s=s: h.extend(job, s) for h, s in zip(handles, wanted, strict=True)])
            held = store.segments(job)
            assert len(held) == turn + 1
            assert held[-1] in wanted
            assert all(view == held for view in seen)

    # --- records ----------------------------------------------------------------------------------------------------

    def test_a_record_is_put_once(self, store: Store, job: str) -> None:
        first = a_record(0, 5)
        assert store.commit(job, first) is True
        assert self.reopen(store).commit(job, a_record(0, 5, shift=1.0)) is False
        assert store.commit(job, first) is False
        (found,) = self.reopen(store).records(job, [first.unit])
        assert same_record(found, first)

    @pytest.mark.parametrize("outputs", [1, 3, 1000])
    def test_values_come_back_bit_for_bit(self, store: Store, job: str, outputs: int) -> None:
        bits = np.resize(ODD_BITS, (7, outputs))
        record = Record(Unit(3, 10), bits.view(np.float64), {"name": "ü\ud800", "big": 2**70, "small": 5e-324})
        store.commit(job, record)
        (found,) = self.reopen(store).records(job, [record.unit])
        assert same_record(found, record)
        assert (found.values.dtype, found.values.flags.c_contiguous) == (np.dtype(np.float64), True)

    def test_layout_of_the_committed_array_does_not_matter(self, store: Store, job: str) -> None:
        wide = np.arange(24.0).reshape(4, 6)
        store.commit(job, Record(Unit(0, 4), wide[:, ::2], {}))
        store.commit(job, Record(Unit(4, 8), np.asfortranarray(wide), {}))
        found = list(store.records(job, [Unit(0, 4), Unit(4, 8)]))
        assert np.array_equal(found[0].values, wide[:, ::2])
        assert np.array_equal(found[1].values, wide)

    @pytest.mark.parametrize(
        "values", [np.zeros(3), np.zeros((3, 0)), np.zeros((3, 1), np.float32), np.zeros((1, 1, 1))]
    )
    def test_values_of_another_shape_or_type_are_refused(self, store: Store, job: str, values: Any) -> None:
        with pytest.raises(ValueError, match=r"unit \[0, 3\)"):
            store.commit(job, Record(Unit(0, 3), values, {}))
        assert store.committed(job) == set()

    def test_what_the_caller_changes_does_not_change_the_store(self, store: Store, job: str) -> None:
        record, kept = a_record(0, 3), a_record(0, 3)
        store.commit(job, record)
        record.values[:] = -1.0
        record.facts["worker"] = "changed"
        (found,) = store.records(job, [record.unit])
        assert same_record(found, kept)
        found.values[:] = -2.0
        found.facts.clear()
        store.manifest(job).document.clear()
        store.committed(job).clear()
        store.extend(job, Segment(0, 3, 3)).clear()
        store.segments(job).clear()
        (again,) = store.records(job, [record.unit])
        assert same_record(again, kept)
        assert store.manifest(job) == a_manifest()
        assert (store.committed(job), store.segments(job)) == ({kept.unit}, [Segment(0, 3, 3)])

    def test_records_come_in_the_order_asked_for(self, store: Store, job: str) -> None:
        units = [Unit(start, start + 3) for start in range(0, 60, 3)]
        for unit in reversed(units):
            store.commit(job, a_record(unit.start, unit.stop))
        assert sorted(store.committed(job)) == units
        assert [record.unit for record in store.records(job, units)] == units
        assert [record.unit for record in store.records(job, units[::-2])] == units[::-2]
        assert list(store.records(job, [])) == []

    def test_a_unit_without_a_record_is_named(self, store: Store, job: str) -> None:
        store.commit(job, a_record(0, 2))
        reading = store.records(job, [Unit(0, 2), Unit(2, 4)])
        assert next(reading).unit == Unit(0, 2)
        with pytest.raises(StoreError, match=r"unit \[2, 4\).*xai-ray resume") as caught:
            next(reading)
        assert not isinstance(caught.value, CorruptRecord)

    def test_units_of_another_size_are_other_units(self, store: Store, job: str) -> None:
        assert store.commit(job, a_record(0, 4))
        assert store.commit(job, a_record(0, 8))
        assert store.committed(job) == {Unit(0, 4), Unit(0, 8)}

    def test_a_discarded_unit_can_be_committed_again(self, store: Store, job: str) -> None:
        store.commit(job, a_record(0, 4))
        store.commit(job, a_record(4, 8))
        self.reopen(store).discard(job, Unit(0, 4))
        store.discard(job, Unit(90, 94))
        assert store.committed(job) == {Unit(4, 8)}
        new = a_record(0, 4, shift=1.0)
        assert store.commit(job, new)
        (found,) = store.records(job, [new.unit])
        assert same_record(found, new)

    def test_racing_commits_put_each_unit_once(self, store: Store, job: str) -> None:
        starts = range(0, 160, 4)

        def commit_all(handle: Store, shift: float) -> list[bool]:
            return [handle.commit(job, a_record(start, start + 4, shift=shift)) for start in starts]

        handles = [self.reopen(store) for _ in range(4)]
        put = np.array(together([lambda h=h, s=s: commit_all(h, float(s)) for s, h in enumerate(handles)]))
        assert put.sum(axis=0).tolist() == [1] * len(starts)
        winners = put.argmax(axis=0)
        for start, winner in zip(starts, winners, strict=True):
            (found,) = store.records(job, [Unit(start, start + 4)])
            assert same_record(found, a_record(start, start + 4, shift=float(winner)))

    def test_many_units(self, store: Store, job: str) -> None:
        segment = Segment(0, 10_000, 5)
        for unit in segment.units():
            store.commit(job, Record(unit, np.full((5, 1), float(unit.start)), {}))
        units = list(segment.units())
        other = self.reopen(store)
        assert other.committed(job) == set(units)
        assert [record.values[0, 0] for record in other.records(job, units)] == [float(unit.start) for unit in units]

    # --- events, cancel flag, outcome -------------------------------------------------------------------------------

    def test_events_keep_their_order(self, store: Store, job: str) -> None:
        assert store.events(job) == []
        events = [{"n": n, "text": "line\nbreak ä", "nested": {"a": [1, 2.5, None, True]}} for n in range(50)]
        for n, event in enumerate(events):
            (store if n % 2 else self.reopen(store)).append(job, event)
        assert self.reopen(store).events(job) == events

    def test_the_two_logs_are_separate(self, store: Store, job: str) -> None:
        for n in range(150):
            store.append(job, {"n": n, "fill": "x" * n}, "schedule")
        store.append(job, {"event": "started"})
        assert self.reopen(store).events(job) == [{"event": "started"}]
        assert [entry["n"] for entry in self.reopen(store).events(job, "schedule")] == list(range(150))

    def test_warnings_are_sentences(self, store: Store) -> None:
        assert all(isinstance(warning, str) and warning for warning in store.warnings())

    def test_racing_events_are_all_kept_whole(self, store: Store, job: str) -> None:
        def write(handle: Store, who: int) -> None:
            for n in range(50):
                handle.append(job, {"who": who, "n": n, "fill": "x" * (n * 97)})

        handles = [self.reopen(store) for _ in range(4)]
        together([lambda h=h, w=w: write(h, w) for w, h in enumerate(handles)])
        events = store.events(job)
        assert all(len(event["fill"]) == event["n"] * 97 for event in events)
        for who in range(4):
            assert [event["n"] for event in events if event["who"] == who] == list(range(50))

    def test_the_cancel_flag_is_set_and_cleared(self, store: Store, job: str) -> None:
        assert not store.cancelled(job)
        for wanted in (False, True, True, False, False, True):
            store.cancel(job, wanted)
            assert self.reopen(store).cancelled(job) is wanted

    def test_an_outcome_replaces_the_one_before(self, store: Store, job: str) -> None:
        assert store.outcome(job) is None
        for outcome in ({"state": "cancelled"}, {"state": "done", "evaluations": 3000, "reason": None}):
            store.close(job, outcome)
            assert self.reopen(store).outcome(job) == outcome
        assert store.commit(job, a_record(0, 2))
        assert store.extend(job, Segment(0, 2, 2)) == [Segment(0, 2, 2)]
