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
from xai_ray.stores import Record, Store, open_store


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
    """Where a worker commits. Travels as it is: passwords are in the worker's own environment, never in here."""

    url: str
    job: str
    epoch: int
    """Of the coordinator that sent it, see `Store.claim`."""

    def store(self) -> Store:
        """The store, in the process that asks."""
        return open_store(self.url)


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
    """Commits one worker's records; connects when it is first used."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._store: Store | None = None

    def commit(self, record: Record) -> Ack | Record:
        """The acknowledgement; the record itself where the store is out of this worker's reach, so that the coordinator
        can commit it. Raises Fenced if another run has taken over the job.
        """
        began = time.perf_counter()
        try:
            self._store = self._store or self._committer.store()
            put = self._store.commit(self._committer.job, record, self._committer.epoch)
        except Fenced:
            raise
        except StoreError:
            self._store = None
            return record
        facts = record.facts | {"commit_seconds": time.perf_counter() - began}
        return Ack(record.unit, len(record.values), facts, put)
