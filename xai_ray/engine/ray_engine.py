"""The Ray engine: the ledger over an elastic pool of actors. Ray is imported in the files engine/ray_*.py and nowhere else.

Only the two integers of a unit travel to an actor, and only values and facts travel back, or an acknowledgement where
the actor commits by itself; every actor fetches the game once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import ceil

import ray
from ray.cloudpickle.cloudpickle import dumps

from xai_ray.coalitions import Design, Unit
from xai_ray.engine.committing import Ties
from xai_ray.engine.ray_connection import connected
from xai_ray.engine.ray_pool import Pool
from xai_ray.engine.ray_run import RayRun
from xai_ray.engine.ray_shares import Share
from xai_ray.engine.ray_sizing import alive_nodes, sizing_of
from xai_ray.engine.shipping import cores, shipped
from xai_ray.errors import EngineError
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record


@dataclass(frozen=True)
class RayEngine:
    """Runs units on Ray actors. A Ray that this process is connected to already is used as it is and left running.

    Otherwise `address` (or RAY_ADDRESS) names the cluster to join, and without one a local Ray is started and shut
    down again. As many actors as fit, also when nodes join or leave meanwhile, or `actors` of them: those that do not
    fit wait for a node to join. `gpus_per_actor` is 1 by default where there are GPUs, else 0; several actors share a
    GPU at fractions such as 0.5. Jobs that run at the same time on one cluster share it in proportion to `priority`.
    """

    actors: int | None = None
    cpus_per_actor: float = 1
    gpus_per_actor: float | None = None
    address: str | None = None
    priority: float = 1.0

    def __post_init__(self) -> None:
        if self.actors is not None and self.actors < 1:
            raise EngineError(f"actors must be at least 1, got {self.actors}; leave it out to use all that fit")
        if not self.cpus_per_actor > 0:
            raise EngineError(f"cpus_per_actor must be positive, got {self.cpus_per_actor}")
        if self.gpus_per_actor is not None and not self.gpus_per_actor >= 0:
            raise EngineError(f"gpus_per_actor must not be negative, got {self.gpus_per_actor}")
        if not 0 < self.priority < float("inf"):
            raise EngineError(f"priority must be a positive number, got {self.priority}; 1 is the usual one")

    def held(self) -> AbstractContextManager[bool]:
        """Stay connected within the block, so that jobs one after the other do not start Ray each. Raises EngineError."""
        return connected(self.address, max(cores(), self._wanted))

    @property
    def _wanted(self) -> int:
        return ceil(self.cpus_per_actor * (self.actors or 1))

    def run(
        self,
        game: Game,
        design: Design,
        units: Sequence[Unit],
        commit: Callable[[Record], None],
        stopped: Callable[[], bool],
        ties: Ties | None = None,
    ) -> None:
        """See `xai_ray.engine.protocol.Engine`. EngineError if Ray is out of reach or the game cannot be sent."""
        if not units:
            return
        ties = ties or Ties()
        with self.held() as shared:
            nodes = alive_nodes().values()
            sizing = sizing_of(self.actors, self.cpus_per_actor, self.gpus_per_actor, nodes)
            pool = Pool(sizing, ray.put(shipped(game, design, dumps)), ties.committer)
            share = Share(ties.job or "run", self.priority) if shared else None
            RayRun(pool, commit, stopped, ties, share).run(units)
