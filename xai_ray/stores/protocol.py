"""What a store promises. It is the one source of truth about a job: a restart reads it and nothing else.

A job in a store has a manifest (what is computed, written once), segments (how far the budget goes and how it is cut
into units; appended when a budget is extended), records (the values of a unit, each put once), an event log, a cancel
flag and an outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from xai_ray.coalitions import Unit
from xai_ray.types import Values


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a job computes. Two manifests with one job id must have one digest."""

    job: str
    """Job id: short name and the head of the digest."""
    digest: str
    """Digest of game, design and compute settings."""
    document: dict[str, Any]
    """JSON object: spec, design description, players, outputs, versions. Never executable."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Draws [start, stop) of a job, cut into units of `unit` draws (the last one may be shorter)."""

    start: int
    stop: int
    unit: int

    def units(self) -> Iterator[Unit]:
        """The units in canonical order."""
        for start in range(self.start, self.stop, self.unit):
            yield Unit(start, min(start + self.unit, self.stop))


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker yields for one unit."""

    unit: Unit
    values: Values
    """Shape (r, k): one row for each row of the unit's draw."""
    facts: dict[str, Any]
    """JSON object: seconds, worker, versions. Not part of the answer."""


Log: TypeAlias = Literal["events", "schedule"]
"""The two logs of a job: `events`, a handful a run, which whoever follows the job reads again and again; and `schedule`, what
the scheduler was told, of any length, read by a replay alone."""


class Store(Protocol):
    """Laws: what `commit` acknowledged survives the death of every process; a second `commit` of a unit changes nothing
    and returns False; `records` yields bit for bit what was committed; a record that is damaged raises CorruptRecord
    that names it, and is never returned. Any number of processes may use one job at a time.

    JSON objects hold no NaN or infinity; SpecError says where one does. Every method that takes a job raises StoreError
    for an unknown one.

    Epochs: a coordinator that works alone on a job claims it, and commits and closes with the epoch it got; a later claim fences it.
    Stores whose processes may work together on a job give epoch 0, which is never fenced.
    """

    @property
    def url(self) -> str:
        """Where this store is, as `open_store` takes it."""
        ...

    @property
    def remote(self) -> bool:
        """Whether a worker on another machine can open this store by its handle and commit by itself."""
        ...

    def warnings(self) -> list[str]:
        """Sentences about settings of the place that put records at risk; empty where there are none."""
        ...

    def open(self, manifest: Manifest) -> Manifest:
        """Create the job, or return the manifest that is there; DigestMismatch if that one has another digest. A job that
        was to expire no longer does.
        """
        ...

    def manifest(self, job: str) -> Manifest:
        """The manifest of a job; StoreError with the nearest job id if there is none."""
        ...

    def jobs(self) -> list[str]:
        """All job ids, oldest first."""
        ...

    def extend(self, job: str, segment: Segment) -> list[Segment]:
        """Append a segment if it starts where the last one stops, else change nothing; the segments that hold now."""
        ...

    def segments(self, job: str) -> list[Segment]:
        """The segments, contiguous from draw 0."""
        ...

    def claim(self, job: str) -> int:
        """The epoch of a new coordinator, higher than every one before; 0 where processes may work together on a job."""
        ...

    def commit(self, job: str, record: Record, epoch: int = 0) -> bool:
        """Put a record if the unit has none. True if this call put it.

        With an epoch lower than the last claim's it changes nothing and raises Fenced; epoch 0 is not fenced.
        """
        ...

    def committed(self, job: str) -> set[Unit]:
        """The units that have a record, without reading the values."""
        ...

    def records(self, job: str, units: list[Unit]) -> Iterator[Record]:
        """The records of these units, in the order given."""
        ...

    def discard(self, job: str, unit: Unit) -> None:
        """Remove the record of one unit (a damaged one, on request), so that it is computed again."""
        ...

    def append(self, job: str, event: dict[str, Any], log: Log = "events") -> None:
        """Append one JSON object to a log."""
        ...

    def events(self, job: str, log: Log = "events") -> list[dict[str, Any]]:
        """A log in order; a torn last line is left out."""
        ...

    def cancel(self, job: str, requested: bool) -> None:
        """Set or clear the cancel flag."""
        ...

    def cancelled(self, job: str) -> bool:
        """Whether cancellation was requested."""
        ...

    def close(self, job: str, outcome: dict[str, Any], epoch: int = 0) -> None:
        """Write how the last run ended (replaces an earlier outcome). Raises Fenced, and changes nothing, as `commit` does."""
        ...

    def outcome(self, job: str) -> dict[str, Any] | None:
        """How the last run ended, or None while it never has."""
        ...

    def expire(self, job: str, seconds: int) -> None:
        """Remove a job whose outcome is `done` after so many seconds, unless it is opened again before.

        StoreError for a job that is not done, and where jobs are removed by other means (the message says which).
        """
        ...
