"""Commits by the workers themselves, where the store can be reached from every node: values do not pass through the
coordinator, which gets an acknowledgement.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xai_ray.coalitions import Unit
from xai_ray.errors import Fenced, StoreError
from xai_ray.stores import Record, Store


@dataclass(frozen=True, slots=True)
class Ack:
    """A unit that its worker has committed."""

    unit: Unit
    evaluations: int
    facts: dict[str, Any]
    """Those of the record, with the seconds of the commit."""
    put: bool
    """Whether this commit put the record, and not another one before it."""


@dataclass(frozen=True)
class Committer:
    """Where a worker commits."""

    store: Store
    """Travels as a copy, with its password and settings, and connects anew where it arrives: what holds for the coordinator
    holds for its workers."""
    job: str
    epoch: int
    """Of the coordinator that sent it, see `Store.claim`."""


@dataclass(frozen=True, slots=True)
class Ties:
    """What binds an engine's run to a job: all of it can be left out."""

    job: str = ""
    committer: Committer | None = None
    """For workers that commit themselves; without one every record comes back to the coordinator."""
    acknowledged: Callable[[Ack], None] | None = None
    """Called in the coordinator's thread for each unit that its worker committed, once."""
    log: Callable[[dict[str, Any]], None] | None = None
    """Takes JSON objects for the job's event log."""
    half_width: Callable[[], float | None] | None = None
    """The largest half width of a 95 % interval just now, where it is known."""


class Hand:
    """Commits one worker's records."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    def commit(self, record: Record) -> Ack | Record:
        """The acknowledgement. Where the store is out of this worker's reach, the record, with the reason in its facts as
        `uncommitted`, so that the coordinator can commit it. Raises Fenced if another run has taken over the job.
        """
        began = time.perf_counter()
        try:
            put = self._committer.store.commit(self._committer.job, record, self._committer.epoch)
        except Fenced:
            raise
        except StoreError as error:
            return Record(record.unit, record.values, record.facts | {"uncommitted": str(error)[:300]})
        facts = record.facts | {"commit_seconds": time.perf_counter() - began}
        return Ack(record.unit, len(record.values), facts, put)
