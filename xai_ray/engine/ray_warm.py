"""The engine that runs units on a warm pool: the run loop over borrowed workers, for answers within a second."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from xai_ray.coalitions import Design, Unit
from xai_ray.engine.committing import Ties
from xai_ray.engine.ray_pool import Call, Calls
from xai_ray.engine.ray_run import RayRun
from xai_ray.engine.ray_warm_pool import REMEDY, joined, warm_actor, warm_names
from xai_ray.errors import EngineError
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record


@dataclass(frozen=True)
class WarmEngine:
    """Runs units on the actors of a warm pool of the same game; see `ray_warm_pool`. `address` names the cluster to join, HOST:6379;
    without it RAY_ADDRESS, or the Ray that this process is connected to.
    """

    address: str | None = None

    def run(
        self,
        game: Game,
        design: Design,
        units: Sequence[Unit],
        commit: Callable[[Record], None],
        stopped: Callable[[], bool],
        ties: Ties | None = None,
    ) -> None:
        """See `xai_ray.engine.protocol.Engine`; records are committed here. EngineError if no warm actor has this game."""
        if not units:
            return
        with joined(self.address):
            names = warm_names(game.digest)
            if not names:
                raise EngineError(f"no warm pool on this cluster has the game {game.digest[:16]}; {REMEDY}")
            pool = Borrowed(names, design.describe(), WarmSizing(len(names)))
            RayRun(pool, commit, stopped, ties or Ties(), None).run(units)


@dataclass(frozen=True, slots=True)
class WarmSizing:
    """As many workers as the pool had when the run began."""

    workers: int

    def target(self, nodes: Iterable[Mapping[str, float]]) -> int:
        """All of them."""
        return self.workers

    def share(self, nodes: Iterable[Mapping[str, float]]) -> float:
        """Nothing of the cluster: what they take, the pool has taken."""
        return 0.0

    def need(self, nodes: Iterable[Mapping[str, float]]) -> str:
        """What is missing, in words."""
        return f"the {self.workers} workers of the warm pool do not answer, `xai-ray serve status` shows them"


@dataclass
class Borrowed(Calls):
    """Workers of a warm pool. They are left as they are, except one that may be broken."""

    names: list[str]
    """Of those that can be borrowed."""
    design: dict[str, Any]
    sizing: WarmSizing
    lent: dict[int, str] = field(default_factory=dict[int, str])
    suspects: set[int] = field(default_factory=set[int])
    """Workers on which a unit raised what it may not raise elsewhere: their device may be broken."""

    def __post_init__(self) -> None:
        self.key = str(self.design)

    def start(self, worker: int, avoid: Collection[str]) -> None:
        """Borrow the next worker that is there. EngineError if this run has none left; else the others do the rest."""
        while self.names:
            name = self.names.pop(0)
            actor = warm_actor(name)
            if actor is not None:
                self.actors[worker], self.lent[worker] = actor, name
                self.calls[actor.facts.remote()] = Call(worker, "load")
                return
        if not self.actors:
            raise EngineError(f"the warm pool has no worker left for this game; {REMEDY}, or run without it")

    def evaluate(self, worker: int, unit: Unit) -> None:
        """Queue a unit with a worker."""
        call = self.actors[worker].evaluate.remote(self.key, self.design, unit.start, unit.stop)
        self.calls[call] = Call(worker, "evaluate", unit)

    def leave(self, worker: int, unit: Unit) -> None:
        """A unit that is not wanted any more is finished, for nothing: others may wait behind it."""

    def probe(self, worker: int) -> None:
        """Ask a worker for a sign of life."""
        if worker in self.actors:
            self.calls[self.actors[worker].facts.remote()] = Call(worker, "probe")

    def suspect(self, worker: int) -> None:
        """A unit failed there that may do better elsewhere."""
        self.suspects.add(worker)

    def release(self, worker: int, ending: bool = False) -> None:
        """Give a worker back; one that is suspected is stopped, unless the run ends and the unit was to blame."""
        actor = self.forget(worker)
        if actor is None:
            return
        if worker in self.suspects and not ending:
            ray.kill(actor, no_restart=True)
        else:
            self.names.append(self.lent[worker])

    def close(self) -> None:
        """Give all workers back: what waits behind a unit under way is not begun."""
        for call in self.calls:
            ray.cancel(call)
        self.calls.clear()
        self.actors.clear()
