"""The actors of one run by their number in the ledger, and the calls under way. It decides nothing."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import ray

from xai_ray.coalitions import Unit
from xai_ray.engine.committing import Committer
from xai_ray.engine.ray_evaluator import actor_class
from xai_ray.engine.ray_sizing import Sizing, alive_nodes
from xai_ray.engine.shipping import worker_environment

_PENDING_CALLS = 64
"""A tripwire, far above two units in flight and the calls of control for each."""
_NODE_LABEL = "ray.io/node-id"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was made of a worker."""

    worker: int
    kind: Literal["load", "evaluate", "probe", "leave"]
    unit: Unit | None = None
    made: float = 0.0


@dataclass
class Pool:
    """`max_restarts=0` and no task retries: the ledger decides what is tried again and where."""

    sizing: Sizing
    game: Any
    """Ray's reference to the shipped game."""
    committer: Committer | None
    actors: dict[int, Any] = field(default_factory=dict)
    calls: dict[Any, Call] = field(default_factory=dict)
    """In the order made, so heads of windows come first."""
    kind: Any = field(default_factory=actor_class)

    def start(self, worker: int, avoid: Collection[str]) -> None:
        """A new actor, and its game. It is placed as soon as there is room for it."""
        options: dict[str, Any] = {
            "num_cpus": self.sizing.cpus,
            "num_gpus": self.sizing.gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_pending_calls": _PENDING_CALLS,
            "scheduling_strategy": "SPREAD",
            "runtime_env": {"env_vars": worker_environment(self.sizing.cpus)},
        }
        # Never so many that no node is left.
        if avoid and set(alive_nodes()) - set(avoid):
            options["label_selector"] = {_NODE_LABEL: f"!in({','.join(sorted(avoid))})"}
        actor = self.actors[worker] = self.kind.options(**options).remote()
        self._called(actor.load.remote([self.game], self.committer), Call(worker, "load"))

    def evaluate(self, worker: int, unit: Unit) -> None:
        """Queue a unit with an actor."""
        self._called(self.actors[worker].evaluate.remote(unit.start, unit.stop), Call(worker, "evaluate", unit))

    def leave(self, worker: int, unit: Unit) -> None:
        """Tell an actor that it can leave a unit."""
        if worker in self.actors:
            self._called(self.actors[worker].leave.remote(unit.start, unit.stop), Call(worker, "leave", unit))

    def probe(self, worker: int) -> None:
        """Ask an actor for a sign of life."""
        if worker in self.actors:
            self._called(self.actors[worker].ping.remote(), Call(worker, "probe"))

    def wait(self, seconds: float) -> list[Any]:
        """Calls that have come back; waits for the first one at most so long."""
        calls = list(self.calls)
        if not calls:
            time.sleep(seconds)
            return []
        if not ray.wait(calls, num_returns=1, timeout=seconds)[0]:
            return []
        return ray.wait(calls, num_returns=len(calls), timeout=0)[0]

    def take(self, call: Any) -> Call | None:
        """What a call was for; None if its worker was released meanwhile."""
        return self.calls.pop(call, None)

    def release(self, worker: int) -> None:
        """Stop an actor at once and forget its calls."""
        actor = self.actors.pop(worker, None)
        if actor is not None:
            ray.kill(actor, no_restart=True)
        for call in [c for c, made in self.calls.items() if made.worker == worker]:
            del self.calls[call]

    def close(self) -> None:
        """Stop all actors."""
        for worker in list(self.actors):
            self.release(worker)

    def _called(self, reference: Any, call: Call) -> None:
        self.calls[reference] = Call(call.worker, call.kind, call.unit, time.monotonic())
