"""The actors of one run by their number in the ledger, and the calls under way. It decides nothing."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

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


class Measure(Protocol):
    """How many workers there can be. `nodes` are the resources of those that are alive."""

    def target(self, nodes: Iterable[Mapping[str, float]]) -> int:
        """Workers to have or to wait for."""
        ...

    def share(self, nodes: Iterable[Mapping[str, float]]) -> float:
        """The part of the cluster that one of them takes."""
        ...

    def need(self, nodes: Iterable[Mapping[str, float]]) -> str:
        """What is missing where none comes, in words."""
        ...


@dataclass
class Calls:
    """Workers and the calls under way, whoever the workers are."""

    actors: dict[int, Any] = field(default_factory=dict, init=False)
    calls: dict[Any, Call] = field(default_factory=dict, init=False)
    """In the order made, so heads of windows come first."""

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

    def forget(self, worker: int) -> Any:
        """Forget a worker and its calls. Its actor, None if it was forgotten before."""
        for call in [c for c, made in self.calls.items() if made.worker == worker]:
            del self.calls[call]
        return self.actors.pop(worker, None)


class Workers(Protocol):
    """What the run loop asks of its workers."""

    @property
    def sizing(self) -> Measure:
        """How many there can be."""
        ...

    def start(self, worker: int, avoid: Collection[str]) -> None:
        """Have one more, on none of the nodes to avoid; its call of kind `load` answers with the `node` it is on."""
        ...

    def evaluate(self, worker: int, unit: Unit) -> None:
        """Queue a unit."""
        ...

    def leave(self, worker: int, unit: Unit) -> None:
        """A unit is not wanted any more."""
        ...

    def probe(self, worker: int) -> None:
        """Ask for a sign of life."""
        ...

    def suspect(self, worker: int) -> None:
        """A unit failed there that may do better elsewhere."""
        ...

    def release(self, worker: int, ending: bool = False) -> None:
        """Nothing more is wanted of a worker; `ending`: of none."""
        ...

    def wait(self, seconds: float) -> list[Any]:
        """See `Calls`."""
        ...

    def take(self, call: Any) -> Call | None:
        """See `Calls`."""
        ...

    def close(self) -> None:
        """Release all."""
        ...


@dataclass
class Pool(Calls):
    """Actors of this run. `max_restarts=0` and no task retries: the ledger decides what is tried again and where."""

    sizing: Sizing
    game: Any
    """Ray's reference to the shipped game."""
    committer: Committer | None
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
        self.calls[actor.load.remote([self.game], self.committer)] = Call(worker, "load")

    def evaluate(self, worker: int, unit: Unit) -> None:
        """Queue a unit with an actor."""
        self.calls[self.actors[worker].evaluate.remote(unit.start, unit.stop)] = Call(worker, "evaluate", unit)

    def leave(self, worker: int, unit: Unit) -> None:
        """Tell an actor that it can leave a unit."""
        if worker in self.actors:
            self.calls[self.actors[worker].leave.remote(unit.start, unit.stop)] = Call(worker, "leave", unit)

    def probe(self, worker: int) -> None:
        """Ask an actor for a sign of life."""
        if worker in self.actors:
            self.calls[self.actors[worker].ping.remote()] = Call(worker, "probe")

    def suspect(self, worker: int) -> None:
        """Nothing to note: whoever is released is stopped."""

    def release(self, worker: int, ending: bool = False) -> None:
        """Stop an actor at once and forget its calls."""
        actor = self.forget(worker)
        if actor is not None:
            ray.kill(actor, no_restart=True)

    def close(self) -> None:
        """Stop all actors."""
        for worker in list(self.actors):
            self.release(worker)
