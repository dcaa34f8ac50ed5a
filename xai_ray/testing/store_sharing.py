"""The part of the contract of a store about many units, several coordinators and expiry; see `xai_ray.testing.stores`."""

# ruff: noqa: D102, because the names of the tests say which law they check

from __future__ import annotations

import pickle
from contextlib import suppress

import numpy as np
import pytest

from xai_ray.coalitions import Unit
from xai_ray.errors import Fenced, SpecError, StoreError
from xai_ray.stores.protocol import Record, Segment, Store
from xai_ray.testing.store_samples import a_manifest, a_record, same_record, together


class SharingContract:
    """The laws about many units, epochs and expiry. `StoreContract` has them too."""

    def reopen(self, store: Store) -> Store:
        """Another handle of the same store."""
        return store

    # --- many units -------------------------------------------------------------------------------------------------

    def test_units_of_a_segment_committed_in_any_order(self, store: Store, job: str) -> None:
        """More units than a store that folds keeps apart, several sizes, gaps that close late, and one put again."""
        segments = [Segment(0, 1600, 3), Segment(1600, 1900, 1)]
        for segment in segments:
            store.extend(job, segment)
        units = [unit for segment in segments for unit in segment.units()]
        order = [units[number] for number in np.random.default_rng(0).permutation(len(units))]
        put = [self.reopen(store).commit(job, a_record(u.start, u.stop, outputs=1 + u.start // 900)) for u in order[:5]]
        put += [store.commit(job, a_record(u.start, u.stop, outputs=1 + u.start // 900)) for u in order[5:]]
        assert all(put)
        assert not any(store.commit(job, a_record(u.start, u.stop, shift=1.0)) for u in order[::50])
        assert store.commit(job, a_record(0, 4))
        other = self.reopen(store)
        assert other.committed(job) == {*units, Unit(0, 4)}
        for asked in (units, order[:200], units[::-7]):
            for unit, record in zip(asked, other.records(job, asked), strict=True):
                assert same_record(record, a_record(unit.start, unit.stop, outputs=1 + unit.start // 900))

    def test_a_discard_leaves_the_units_beside_it(self, store: Store, job: str) -> None:
        segment = Segment(0, 300, 1)
        store.extend(job, segment)
        for unit in segment.units():
            store.commit(job, a_record(unit.start, unit.stop))
        for start in (150, 0, 299, 150):
            store.discard(job, Unit(start, start + 1))
        gone = {Unit(start, start + 1) for start in (0, 150, 299)}
        left = [unit for unit in segment.units() if unit not in gone]
        assert store.committed(job) == set(left)
        for unit, record in zip(left, self.reopen(store).records(job, left), strict=True):
            assert same_record(record, a_record(unit.start, unit.stop))
        for unit in gone:
            with pytest.raises(StoreError, match=rf"unit \[{unit.start}, "):
                next(store.records(job, [unit]))
            assert store.commit(job, a_record(unit.start, unit.stop, shift=2.0))
            assert not store.commit(job, a_record(unit.start, unit.stop))
        assert store.committed(job) == set(segment.units())
        (found,) = store.records(job, [Unit(150, 151)])
        assert same_record(found, a_record(150, 151, shift=2.0))

    def test_facts_may_be_changed_by_whoever_reads_them(self, store: Store, job: str) -> None:
        store.extend(job, Segment(0, 300, 1))
        for start in range(300):
            store.commit(job, Record(Unit(start, start + 1), np.zeros((1, 1)), {"deep": {"list": [start]}}))
        reading = store.records(job, [Unit(7, 8), Unit(7, 8)])
        first = next(reading)
        first.facts["deep"]["list"].append("changed")
        first.values[:] = 1.0
        second = next(reading)
        assert second.facts == {"deep": {"list": [7]}}
        assert second.values.tolist() == [[0.0]]

    # --- epochs -----------------------------------------------------------------------------------------------------

    def test_a_later_claim_fences_where_coordinators_work_alone(self, store: Store, job: str) -> None:
        assert store.commit(job, a_record(0, 2), 0)
        first, second = store.claim(job), self.reopen(store).claim(job)
        if second == 0:
            assert first == 0
            return
        assert 0 < first < second
        for _ in range(2):
            with pytest.raises(Fenced, match=f"another run took job '{job}'"):
                store.commit(job, a_record(2, 4), first)
        with pytest.raises(Fenced):
            store.commit(job, a_record(0, 2), first)
        assert store.committed(job) == {Unit(0, 2)}
        assert self.reopen(store).commit(job, a_record(2, 4), second)
        assert store.commit(job, a_record(4, 6), 0)
        assert not store.commit(job, a_record(4, 6), second)
        store.close(job, {"state": "done"}, second)
        with pytest.raises(Fenced):
            store.close(job, {"state": "failed"}, first)
        assert store.outcome(job) == {"state": "done"}

    def test_racing_claims_give_every_coordinator_its_own_epoch(self, store: Store, job: str) -> None:
        handles = [self.reopen(store) for _ in range(6)]
        epochs = together([lambda h=h: h.claim(job) for h in handles])
        assert sorted(epochs) in ([0] * 6, list(range(1, 7)))

    def test_workers_elsewhere_commit_through_a_copy_of_a_remote_store(self, store: Store, job: str) -> None:
        assert isinstance(store.remote, bool)
        if store.remote:
            copy: Store = pickle.loads(pickle.dumps(store))
            assert copy.commit(job, a_record(0, 2))
            assert (copy.url, store.committed(job)) == (store.url, {Unit(0, 2)})

    # --- expiry -----------------------------------------------------------------------------------------------------

    def test_only_a_job_that_is_done_expires(self, store: Store, job: str) -> None:
        store.commit(job, a_record(0, 2))
        for state in (None, "failed", "cancelled"):
            if state:
                store.close(job, {"state": state})
            with pytest.raises(StoreError, match=job):
                store.expire(job, 3600)
        with pytest.raises(SpecError, match="1 second"):
            store.expire(job, 0)
        store.close(job, {"state": "done"})
        with suppress(StoreError):  # a store whose jobs are removed by other means says so
            store.expire(job, 3600)
        assert store.open(a_manifest()) == a_manifest()
        assert (store.committed(job), store.outcome(job)) == ({Unit(0, 2)}, {"state": "done"})
