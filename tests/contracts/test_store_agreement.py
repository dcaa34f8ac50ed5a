"""Whatever is done to both, the store of files and the store in memory give the same answers."""

import shutil
import tempfile
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from xai_ray.coalitions import Unit
from xai_ray.errors import XaiRayError
from xai_ray.stores import ArrowFileStore, MemoryStore, Record, Segment
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

    def both(self, method: str, *arguments: Any) -> None:
        """A fresh handle each time: nothing may depend on what a process remembers."""
        answers = []
        for store in (self.memory, ArrowFileStore(self.directory)):
            try:
                answer = getattr(store, method)(*arguments)
                answers.append(list(map(_bits, answer)) if method == "records" else answer)
            except XaiRayError as error:
                answers.append(type(error))
        assert answers[0] == answers[1]

    @initialize()
    def begin(self) -> None:
        self.both("open", a_manifest("a", "d" * 64))

    @rule(job=jobs, digest=digests)
    def open(self, job: str, digest: str) -> None:
        self.both("open", a_manifest(job, digest))

    @rule(job=jobs, start=starts, length=lengths, unit=st.integers(0, 3))
    def extend(self, job: str, start: int, length: int, unit: int) -> None:
        self.both("extend", job, Segment(start, start + length, unit))

    @rule(job=jobs, start=starts, length=lengths, value=st.floats(), facts=objects)
    def commit(self, job: str, start: int, length: int, value: float, facts: dict[str, Any]) -> None:
        self.both("commit", job, Record(Unit(start, start + length), np.full((length, 2), value), facts))

    @rule(job=jobs, start=starts, length=lengths)
    def discard(self, job: str, start: int, length: int) -> None:
        self.both("discard", job, Unit(start, start + length))

    @rule(job=jobs, units=st.lists(st.builds(lambda a, d: Unit(a, a + d), starts, lengths), max_size=3))
    def records(self, job: str, units: list[Unit]) -> None:
        self.both("records", job, units)

    @rule(job=jobs, event=objects)
    def append(self, job: str, event: dict[str, Any]) -> None:
        self.both("append", job, event)

    @rule(job=jobs, requested=st.booleans())
    def cancel(self, job: str, requested: bool) -> None:
        self.both("cancel", job, requested)

    @rule(job=jobs, outcome=objects)
    def close(self, job: str, outcome: dict[str, Any]) -> None:
        self.both("close", job, outcome)

    @invariant()
    def agree(self) -> None:
        self.both("jobs")
        for job in self.memory.jobs():
            for method in ("manifest", "segments", "committed", "events", "cancelled", "outcome"):
                self.both(method, job)
            self.both("records", job, sorted(self.memory.committed(job)))


def _bits(record: Record) -> tuple[Any, ...]:
    return record.unit, record.facts, record.values.shape, record.values.tobytes()


StoresAgree.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestStoresAgree = StoresAgree.TestCase
