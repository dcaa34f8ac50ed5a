"""The actor: loads the game once, evaluates units, commits them itself where it can."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import ray

from xai_ray.coalitions import Unit
from xai_ray.engine.committing import Ack, Committer, Hand
from xai_ray.engine.failures import Failure, told
from xai_ray.engine.halving import Bench
from xai_ray.engine.shipping import unshipped
from xai_ray.stores.protocol import Record

CONTROL = "control"
"""Calls of this group are answered while a unit is evaluated."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An actor is ready."""

    node: str
    """Ray's id of its node."""


@dataclass(frozen=True, slots=True)
class Left:
    """A unit was given back, unfinished."""


class _Unwanted(Exception):
    """Raised between two batches to leave a unit."""


class Evaluator:
    """It tells of exceptions instead of raising them, so that what Ray raises is about Ray."""

    def __init__(self) -> None:
        self._unwanted: set[Unit] = set()
        self._lock = threading.Lock()
        self._node = ray.get_runtime_context().get_node_id()

    def load(self, parts: list[ray.ObjectRef], committer: Committer | None) -> Loaded | Failure:
        """Fetch the game and the design; inside a list, so that a failure to unpickle them is told as well."""
        try:
            self._bench = Bench(*unshipped(ray.get(parts[0])))
        except Exception as error:
            return told(error)
        self._hand = Hand(committer) if committer is not None else None
        return Loaded(self._node)

    def evaluate(self, start: int, stop: int) -> Record | Ack | Failure | Left:
        """The record of a unit, or the acknowledgement of its commit."""
        unit = Unit(start, stop)
        try:
            record = self._bench.evaluate(unit, lambda: self._check(unit))
            record = Record(unit, record.values, record.facts | {"node": self._node})
            return self._hand.commit(record) if self._hand is not None else record
        except _Unwanted:
            return Left()
        except Exception as error:
            return told(error)
        finally:
            with self._lock:
                self._unwanted.discard(unit)

    @ray.method(concurrency_group=CONTROL)
    def leave(self, start: int, stop: int) -> None:
        """A unit is not wanted any more: leave it at the next batch, or before it begins."""
        with self._lock:
            self._unwanted.add(Unit(start, stop))

    @ray.method(concurrency_group=CONTROL)
    def ping(self) -> bool:
        """A sign of life."""
        return True

    def _check(self, unit: Unit) -> None:
        with self._lock:
            if unit in self._unwanted:
                raise _Unwanted


def actor_class() -> Any:
    """The class for Ray, with a thread of its own for control."""
    remote: Any = ray.remote
    return remote(concurrency_groups={CONTROL: 1})(Evaluator)
