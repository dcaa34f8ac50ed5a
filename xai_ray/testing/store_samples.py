"""What the contract of a store is tried with: manifests, records, and threads that start together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from xai_ray.coalitions import Unit
from xai_ray.stores.protocol import Manifest, Record

JOB = "cat-0123456789ab"
T = TypeVar("T")

ODD_BITS = np.array(
    [0x7FF8000000000001, 0xFFF80000DEADBEEF, 0x7FF0000000000001, 0x8000000000000000, 1, 0xFFF0000000000000], np.uint64
)
"""NaN payloads (quiet, negative, signalling), minus zero, the smallest subnormal, minus infinity."""


def a_manifest(job: str = JOB, digest: str = "0123456789abcdef" * 4) -> Manifest:
    """A manifest with a document of every JSON type."""
    return Manifest(job, digest, {"spec": {"seed": 0, "p": 0.1}, "players": ["ä", "b"], "note": None, "exact": True})


def a_record(start: int, stop: int, outputs: int = 2, shift: float = 0.0) -> Record:
    """A record whose values are a function of unit, outputs and shift."""
    rows = np.arange(start, stop, dtype=np.float64)[:, None]
    return Record(Unit(start, stop), np.sin(rows + np.arange(outputs)) + shift, {"seconds": 0.25, "worker": "w0"})


def same_record(a: Record, b: Record) -> bool:
    """Equality of units, facts, shapes and bits."""
    return (a.unit, a.facts, a.values.shape) == (
        b.unit,
        b.facts,
        b.values.shape,
    ) and a.values.tobytes() == b.values.tobytes()


def together(tasks: list[Callable[[], T]]) -> list[T]:
    """The results of tasks that threads start at the same moment."""
    results: dict[int, T] = {}
    gate = threading.Barrier(len(tasks))

    def work(number: int) -> None:
        gate.wait()
        results[number] = tasks[number]()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[number] for number in range(len(tasks))]
