"""Numbers of a run for Prometheus, through Ray's own exporter. Few labels: no job ids, no node names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from xai_ray.engine.ledger import Ledger

_SECONDS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]
_COMMIT_SECONDS = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]


class Metrics:
    """The metrics of this process; a run makes its own and counts from zero, as Prometheus expects."""

    def __init__(self) -> None:
        self._units = Gauge("xai_ray_units", "Units of the running job by state", ("state",))
        self._actors = Gauge("xai_ray_actors", "Actors of the running job by state", ("state",))
        self._half_width = Gauge(
            "xai_ray_largest_half_width", "Largest half width of a 95 % interval of the first question, in units of v"
        )
        self._evaluations = Counter("xai_ray_evaluations_total", "Evaluations of v that were committed")
        self._lost = Counter("xai_ray_actors_lost_total", "Actors that died or went out of reach")
        self._duplicates = Counter("xai_ray_duplicates_total", "Units that came in when they were committed already")
        self._wins = Counter("xai_ray_speculation_wins_total", "Copies of stalled units that were faster")
        self._seconds = Histogram("xai_ray_unit_seconds", "Seconds a unit", boundaries=_SECONDS)
        self._commits = Histogram("xai_ray_commit_seconds", "Seconds a commit", boundaries=_COMMIT_SECONDS)

    def committed(self, facts: Mapping[str, Any], commit_seconds: float) -> None:
        """A unit was committed; `facts` are those of its record."""
        if facts["evaluations"]:  # a text that a larger budget gives nothing new has none
            self._evaluations.inc(facts["evaluations"])
        self._seconds.observe(max(facts["seconds"], 1e-6))
        self._commits.observe(max(commit_seconds, 1e-6))

    def duplicate(self) -> None:
        """A unit came in twice."""
        self._duplicates.inc()

    def win(self) -> None:
        """A copy was faster."""
        self._wins.inc()

    def lost(self) -> None:
        """An actor died or went out of reach."""
        self._lost.inc()

    def state(self, ledger: Ledger, waiting: int, committed: int, half_width: float | None) -> None:
        """Where things stand: `waiting` units the ledger does not know yet, `committed` ones of this run."""
        crew = ledger.crew
        leased = sum(len(w.flight) for w in crew.workers.values())
        for state, units in (("planned", ledger.planned + waiting), ("leased", leased), ("committed", committed)):
            self._units.set(units, {"state": state})
        ready = len(crew.workers) - len(crew.asked) - len(crew.doubted)
        for state, actors in (("ready", ready), ("pending", len(crew.asked)), ("doubtful", len(crew.doubted))):
            self._actors.set(actors, {"state": state})
        if half_width is not None:
            self._half_width.set(half_width)
