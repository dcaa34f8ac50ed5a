"""How many workers each of several running jobs should have: weighted max-min fairness of dominant shares.

Each job's dominant share is the part of the cluster that its workers take, of the resource they take the largest part
of. Workers are given one by one to the job whose share over its priority is smallest (progressive filling; Ghodsi et
al., "Dominant Resource Fairness", NSDI 2011), after every job has one, as far as the cluster goes round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Demand:
    """What one job could use."""

    job: str
    workers: int
    """At most so many."""
    size: float
    """The part of the cluster that one worker takes, in (0, 1]."""
    priority: float = 1.0
    """Its share grows in proportion to it; positive."""


def targets(demands: Sequence[Demand]) -> dict[str, int]:
    """Workers for each job. A job alone gets all it asks for, even beyond what fits now. Does not depend on the order
    of the demands. Raises ValueError for a size or a priority that is not positive.
    """
    for demand in demands:
        if not demand.size > 0 or not demand.priority > 0:
            raise ValueError(f"job {demand.job}: size and priority must be positive, got {demand}")
    if len(demands) == 1:
        return {demands[0].job: max(0, demands[0].workers)}
    given = {demand.job: 0 for demand in demands}
    by_job = {demand.job: demand for demand in demands if demand.workers > 0}
    left = _first_workers(by_job, given)
    heap = [(_weighted(d, given[d.job]), -d.priority, d.job) for d in by_job.values()]
    heapify(heap)
    while heap:
        demand = by_job[heap[0][2]]
        if given[demand.job] >= demand.workers or demand.size > left + _TINY:
            heappop(heap)
            continue
        given[demand.job] += 1
        left -= demand.size
        heapreplace(heap, (_weighted(demand, given[demand.job]), -demand.priority, demand.job))
    return given


def _first_workers(by_job: dict[str, Demand], given: dict[str, int]) -> float:
    """One worker each, those of higher priority first. Returns what is left of the cluster."""
    left = 1.0
    for demand in sorted(by_job.values(), key=lambda d: (-d.priority, d.job)):
        if demand.size <= left + _TINY:
            given[demand.job] = 1
            left -= demand.size
    return left


def _weighted(demand: Demand, workers: int) -> float:
    # Rounded, so that shares that are equal on paper do not decide by their last bits.
    return round((workers + 1) * demand.size / demand.priority, 12)
