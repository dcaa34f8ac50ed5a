"""A store in this process: for `explain` without a directory, and the reference the other stores are compared with."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from xai_ray.coalitions import Unit
from xai_ray.errors import StoreError
from xai_ray.stores.canonical import canonical
from xai_ray.stores.protocol import Log, Manifest, Record, Segment
from xai_ray.stores.records import decode, encode
from xai_ray.stores.refusals import (
    check_digest,
    check_job_id,
    check_lifetime,
    check_segment,
    missing_record,
    unknown_job,
)


@dataclass(slots=True)
class _Job:
    """Everything is kept as bytes, so no caller holds a reference into the store."""

    digest: str
    document: bytes
    segments: list[Segment] = field(default_factory=list)
    records: dict[Unit, bytes] = field(default_factory=dict)
    logs: dict[Log, list[bytes]] = field(default_factory=lambda: {"events": [], "schedule": []})
    cancelled: bool = False
    outcome: bytes | None = None


class MemoryStore:
    """Keeps the laws of `Store` for the threads of one process, and ends with it."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        """Always `memory://`; every `open_store` of it gives a new, empty store."""
        return "memory://"

    @property
    def remote(self) -> bool:
        """False: it is in this process."""
        return False

    def warnings(self) -> list[str]:
        """See `Store.warnings`. None."""
        return []

    def open(self, manifest: Manifest) -> Manifest:
        """See `Store.open`."""
        check_job_id(manifest.job)
        document = canonical(manifest.document, f"the manifest of job {manifest.job!r}")
        with self._lock:
            self._jobs.setdefault(manifest.job, _Job(manifest.digest, document))
            there = self.manifest(manifest.job)
        check_digest(manifest, there, self.url)
        return there

    def manifest(self, job: str) -> Manifest:
        """See `Store.manifest`."""
        found = self._job(job)
        return Manifest(job, found.digest, json.loads(found.document))

    def jobs(self) -> list[str]:
        """See `Store.jobs`."""
        with self._lock:
            return list(self._jobs)

    def extend(self, job: str, segment: Segment) -> list[Segment]:
        """See `Store.extend`."""
        check_segment(segment)
        found = self._job(job)
        with self._lock:
            if segment.start == (found.segments[-1].stop if found.segments else 0):
                found.segments.append(segment)
            return list(found.segments)

    def segments(self, job: str) -> list[Segment]:
        """See `Store.segments`."""
        found = self._job(job)
        with self._lock:
            return list(found.segments)

    def claim(self, job: str) -> int:
        """See `Store.claim`. Always 0."""
        self._job(job)
        return 0

    def commit(self, job: str, record: Record, epoch: int = 0) -> bool:
        """See `Store.commit`."""
        data = encode(job, record)
        found = self._job(job)
        with self._lock:
            return found.records.setdefault(record.unit, data) is data

    def committed(self, job: str) -> set[Unit]:
        """See `Store.committed`."""
        found = self._job(job)
        with self._lock:
            return set(found.records)

    def records(self, job: str, units: list[Unit]) -> Iterator[Record]:
        """See `Store.records`."""
        found = self._job(job)
        return (self._record(job, found, unit) for unit in list(units))

    def discard(self, job: str, unit: Unit) -> None:
        """See `Store.discard`."""
        found = self._job(job)
        with self._lock:
            found.records.pop(unit, None)

    def append(self, job: str, event: dict[str, Any], log: Log = "events") -> None:
        """See `Store.append`."""
        line = canonical(event, f"an event of job {job!r}")
        found = self._job(job)
        with self._lock:
            found.logs[log].append(line)

    def events(self, job: str, log: Log = "events") -> list[dict[str, Any]]:
        """See `Store.events`."""
        found = self._job(job)
        with self._lock:
            lines = list(found.logs[log])
        return [json.loads(line) for line in lines]

    def cancel(self, job: str, requested: bool) -> None:
        """See `Store.cancel`."""
        self._job(job).cancelled = requested

    def cancelled(self, job: str) -> bool:
        """See `Store.cancelled`."""
        return self._job(job).cancelled

    def close(self, job: str, outcome: dict[str, Any], epoch: int = 0) -> None:
        """See `Store.close`."""
        data = canonical(outcome, f"the outcome of job {job!r}")
        self._job(job).outcome = data

    def outcome(self, job: str) -> dict[str, Any] | None:
        """See `Store.outcome`."""
        data = self._job(job).outcome
        return None if data is None else json.loads(data)

    def expire(self, job: str, seconds: int) -> None:
        """See `Store.expire`. StoreError: a store in memory ends with its process."""
        self._job(job)
        check_lifetime(seconds)
        raise StoreError(f"job {job!r} is in memory and ends with this process; only jobs in redis:// stores expire")

    def _job(self, job: str) -> _Job:
        check_job_id(job)
        with self._lock:
            found = self._jobs.get(job)
        if found is None:
            raise unknown_job(job, self.jobs(), self.url)
        return found

    def _record(self, job: str, found: _Job, unit: Unit) -> Record:
        with self._lock:
            data = found.records.get(unit)
        if data is None:
            raise missing_record(job, unit, self.url)
        return decode(data, job, unit, f"{self.url}{job}")
