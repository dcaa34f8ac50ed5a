"""How many actors fit into a cluster, and what one of them takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor
from typing import Any

import ray

from xai_ray.errors import EngineError

PENDING = 2
"""Actors beyond those that fit, up to the number that was asked for: they come to life at once when a node joins, and
their demand is what makes an autoscaler add one."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Sizing:
    """What an actor takes, and how many are wanted: `actors`, or as many as fit."""

    cpus: float
    gpus: float
    actors: int | None = None

    def fit(self, nodes: Iterable[Mapping[str, float]]) -> int:
        """Actors that fit on empty nodes with these resources."""
        return sum(self._on(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes)

    def target(self, nodes: Iterable[Mapping[str, float]]) -> int:
        """Actors to have or to wait for: those that fit, and of the others that were asked for two at a time."""
        fit = self.fit(nodes)
        return fit if self.actors is None else min(self.actors, fit + PENDING)

    def share(self, nodes: Iterable[Mapping[str, float]]) -> float:
        """The part of the cluster that one actor takes, of the resource that it takes the largest part of."""
        totals = list(nodes)
        cpus, gpus = sum(n.get("CPU", 0.0) for n in totals), sum(n.get("GPU", 0.0) for n in totals)
        return max(self.cpus / cpus if cpus else 1.0, (self.gpus / gpus if gpus else 1.0) if self.gpus else 0.0)

    def need(self, nodes: Iterable[Mapping[str, float]]) -> str:
        """What an actor needs beside what the cluster has, in words."""
        totals = list(nodes)
        cpus, gpus = sum(n.get("CPU", 0.0) for n in totals), sum(n.get("GPU", 0.0) for n in totals)
        return (
            f"an actor needs {self.cpus:g} CPUs and {self.gpus:g} GPUs, the cluster has {cpus:g} CPUs and {gpus:g} "
            f"GPUs in all, {self.fit(totals)} such actors fit"
        )

    def _on(self, cpus: float, gpus: float) -> int:
        fit = floor(cpus / self.cpus + _TINY)
        if not self.gpus:
            return fit
        # An actor with a fraction of a GPU cannot take the rest of it from two of them.
        shared = floor(gpus) * floor(1 / self.gpus + _TINY) if self.gpus < 1 else floor(gpus / self.gpus + _TINY)
        return min(fit, shared)


def sizing_of(actors: int | None, cpus: float, gpus: float | None, nodes: Iterable[Mapping[str, float]]) -> Sizing:
    """The sizing for a cluster: without `gpus`, one GPU an actor where there are any. EngineError if nothing fits and no
    number of actors says that nodes will join.
    """
    totals = list(nodes)
    each = gpus if gpus is not None else (1.0 if any(n.get("GPU", 0.0) for n in totals) else 0.0)
    sizing = Sizing(cpus, each, actors)
    if actors is None and sizing.fit(totals) < 1:
        raise EngineError(
            f"{sizing.need(totals)}; ask for less per actor, or name the number of actors to wait for nodes to join"
        )
    return sizing


def alive_nodes() -> dict[str, dict[str, float]]:
    """Resources of the nodes of the cluster that are alive, by Ray's id."""
    nodes: list[dict[str, Any]] = ray.nodes()
    return {n["NodeID"]: n["Resources"] for n in nodes if n["Alive"]}
