"""Whatever is done to all of them, the stores in memory, of files and in Redis give the same answers."""

import shutil
import tempfile
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.redis_server import KINDS, Server, running
from xai_ray.coalitions import Unit
from xai_ray.errors import XaiRayError
from xai_ray.stores import ArrowFileStore, MemoryStore, Record, Segment, Store, redis_folding
from xai_ray.stores.redis_store import RedisStore
from xai_ray.testing.stores import a_manifest

jobs = st.sampled_from(["a", "b-1"])
digests = st.sampled_from(["d" * 64, "e" * 64])
starts, lengths = st.integers(0, 2), st.integers(1, 2)
objects = st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text() | st.floats(), max_size=3)


class StoresAgree(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.memory = MemoryStore()

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    def others(self) -> list[Store]:
        """Fresh handles each time: nothing may depend on what a process remembers."""
        return [ArrowFileStore(self.directory)]

    def all_of_them(self, method: str, *arguments: Any) -> None:
        """Each answers the same, or refuses with the same class of error."""
        answers = []
        for store in (self.memory, *self.others()):
            try:
                answer = getattr(store, method)(*arguments)
                answers.append(list(map(_bits, answer)) if method == "records" else answer)
            except XaiRayError as error:
                answers.append(type(error))
        assert all(answer == answers[0] for answer in answers)

    @initialize()
    def begin(self) -> None:
        self.all_of_them("open", a_manifest("a", "d" * 64))

    @rule(job=jobs, digest=digests)
    def open(self, job: str, digest: str) -> None:
        self.all_of_them("open", a_manifest(job, digest))

    @rule(job=jobs, start=starts, length=lengths, unit=st.integers(0, 3))
    def extend(self, job: str, start: int, length: int, unit: int) -> None:
        self.all_of_them("extend", job, Segment(start, start + length, unit))

    @rule(job=jobs, start=starts, length=lengths, value=st.floats(), facts=objects)
    def commit(self, job: str, start: int, length: int, value: float, facts: dict[str, Any]) -> None:
        self.all_of_them("commit", job, Record(Unit(start, start + length), np.full((length, 2), value), facts))

    @rule(job=jobs, start=starts, length=lengths)
    def discard(self, job: str, start: int, length: int) -> None:
        self.all_of_them("discard", job, Unit(start, start + length))

    @rule(job=jobs, units=st.lists(st.builds(lambda a, d: Unit(a, a + d), starts, lengths), max_size=3))
    def records(self, job: str, units: list[Unit]) -> None:
        self.all_of_them("records", job, units)

    @rule(job=jobs, event=objects)
    def append(self, job: str, event: dict[str, Any]) -> None:
        self.all_of_them("append", job, event)

    @rule(job=jobs, requested=st.booleans())
    def cancel(self, job: str, requested: bool) -> None:
        self.all_of_them("cancel", job, requested)

    @rule(job=jobs, outcome=objects)
    def close(self, job: str, outcome: dict[str, Any]) -> None:
        self.all_of_them("close", job, outcome)

    @invariant()
    def agree(self) -> None:
        self.all_of_them("jobs")
        for job in self.memory.jobs():
            for method in ("manifest", "segments", "committed", "events", "cancelled", "outcome"):
                self.all_of_them(method, job)
            self.all_of_them("records", job, sorted(self.memory.committed(job)))


def _bits(record: Record) -> tuple[Any, ...]:
    return record.unit, record.facts, record.values.shape, record.values.tobytes()


class RedisAgrees(StoresAgree):
    """Groups of two units, so that almost every commit folds and many a discard takes a fold apart."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        with self.server.admin() as client:
            client.flushall()

    def others(self) -> list[Store]:
        return [RedisStore(self.server.url)]

    @rule(job=jobs)
    def fold(self, job: str) -> None:
        if job in self.memory.jobs():
            RedisStore(self.server.url).fold(job)


StoresAgree.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestStoresAgree = StoresAgree.TestCase


@pytest.mark.parametrize("kind", KINDS)
def test_redis_agrees(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_folding, "GROUP", 2)
    with running(kind) as RedisAgrees.server:
        run_state_machine_as_test(
            RedisAgrees, settings=settings(max_examples=30, stateful_step_count=25, deadline=None)
        )
