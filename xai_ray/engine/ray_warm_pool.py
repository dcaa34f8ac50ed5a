"""A warm pool: detached actors with a game loaded, on a cluster that runs.

An actor belongs to one game, by its digest, and to no run: any number of runs, of any process that joined the cluster, share it unit
by unit. It ends by itself when it was idle for long or outgrew its memory.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import ray
from ray.cloudpickle.cloudpickle import dumps
from ray.exceptions import RayError

from xai_ray.coalitions import Design, Unit, from_description
from xai_ray.engine.failures import Failure, told
from xai_ray.engine.ray_connection import NAMESPACE, connected
from xai_ray.engine.shipping import shipped, unshipped, worker_environment
from xai_ray.engine.worker import evaluate
from xai_ray.errors import EngineError
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record

REMEDY = "start one with `xai-ray serve start --game SPEC --address HOST:6379`"
_PREFIX = "xr-warm-"
_CONTROL = "control"
_LOAD_SECONDS = 600.0
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Facts:
    """How a warm actor stands."""

    name: str
    """Of the actor; ends in its number within the pool."""
    game: str
    """Digest of its game."""
    node: str
    pid: int
    evaluations: int
    idle: float
    """Seconds since it was last used."""
    memory: int
    """Resident bytes."""


def joined(address: str | None) -> AbstractContextManager[object]:
    """Be connected to a cluster that runs. Raises EngineError without one: a warm pool outlives the process that starts it."""
    if not ray.is_initialized() and not (address or os.environ.get("RAY_ADDRESS")):
        raise EngineError(
            f"a warm pool lives on a running cluster; give --address HOST:6379 or RAY_ADDRESS, and {REMEDY}"
        )
    return connected(address, 1)


def start_pool(
    game: Game,
    actors: int,
    *,
    address: str | None = None,
    cpus: float = 1,
    gpus: float = 0,
    idle_seconds: float = 1800.0,
    memory: int | None = None,
) -> list[Facts]:
    """Have `actors` warm actors of this game; those that are there count. Returns when all have loaded it.

    An actor ends after `idle_seconds` without a unit, and at rest when it holds more than `memory` bytes, which are also reserved
    for it on its node. Raises EngineError when they find no room or cannot load the game; those started here are then removed.
    """
    with joined(address):
        # A design comes with each unit.
        data = ray.put(shipped(game, cast(Any, None), dumps))
        before = set(warm_names(game.digest))
        remote: Any = ray.remote
        kind = remote(concurrency_groups={_CONTROL: 1})(_Warm)
        started: list[tuple[str, Any]] = []
        try:
            for number in range(actors):
                name = f"{_PREFIX}{game.digest[:24]}-{number}"
                handle = kind.options(
                    name=name,
                    namespace=NAMESPACE,
                    lifetime="detached",
                    get_if_exists=True,
                    num_cpus=cpus,
                    num_gpus=gpus,
                    memory=memory,
                    max_restarts=0,
                    max_task_retries=0,
                    scheduling_strategy="SPREAD",
                    runtime_env={"env_vars": worker_environment(cpus)},
                ).remote(name, game.digest, idle_seconds, memory)
                started.append((name, handle))
            _check_loaded([actor.load.remote([data]) for _, actor in started], actors, cpus, gpus)
        except BaseException:
            for name, actor in started:
                if name not in before:
                    ray.kill(actor, no_restart=True)
            raise
        return pool_status(address)


def stop_pool(address: str | None = None) -> int:
    """Remove every warm actor of the cluster, of all games; their number."""
    with joined(address):
        names = warm_names("")
        for name in names:
            if (actor := warm_actor(name)) is not None:
                ray.kill(actor, no_restart=True)
        return len(names)


def pool_status(address: str | None = None) -> list[Facts]:
    """The warm actors of the cluster, by name; one that does not answer within ten seconds is left out."""
    with joined(address):
        calls = [actor.facts.remote() for name in warm_names("") if (actor := warm_actor(name)) is not None]
        if not calls:
            return []
        ready, _ = ray.wait(calls, num_returns=len(calls), timeout=_ANSWER_SECONDS)
        out: list[Facts] = []
        for call in ready:
            try:
                out.append(ray.get(call))
            except RayError:
                continue
        return sorted(out, key=lambda facts: facts.name)


class _Warm:
    """The actor. It tells of exceptions instead of raising them."""

    def __init__(self, name: str, digest: str, idle_seconds: float, memory: int | None) -> None:
        self._name, self._digest = name, digest
        self._idle_seconds, self._memory = idle_seconds, memory
        self._used, self._busy, self._evaluations = time.monotonic(), 0, 0
        self._game: Game | None = None
        self._designs: dict[str, Design] = {}
        threading.Thread(target=self._guard, daemon=True).start()

    def load(self, parts: list[ray.ObjectRef]) -> Failure | None:
        if self._game is not None:
            return None
        try:
            self._game = unshipped(ray.get(parts[0]))[0]
        except Exception as error:
            return told(error)
        self._used = time.monotonic()
        return None

    @ray.method(concurrency_group=_CONTROL)
    def facts(self) -> Facts:
        idle = 0.0 if self._busy else time.monotonic() - self._used
        node = ray.get_runtime_context().get_node_id()
        return Facts(self._name, self._digest, node, os.getpid(), self._evaluations, idle, resident_bytes())

    def evaluate(self, key: str, design: dict[str, Any], start: int, stop: int) -> Record | Failure:
        self._busy += 1
        try:
            if self._game is None:
                raise EngineError(
                    "this warm actor has not loaded its game yet; run again when `serve start` is through"
                )
            if key not in self._designs:
                self._designs = {key: from_description(design)}
            record = evaluate(Unit(start, stop), self._game, self._designs[key])
            self._evaluations += len(record.values)
            return record
        except Exception as error:
            return told(error)
        finally:
            self._used = time.monotonic()
            self._busy -= 1

    def _guard(self) -> None:
        """Ends the process; Ray then frees the name and what was reserved."""
        while True:
            time.sleep(min(1.0, self._idle_seconds / 4))
            idle = time.monotonic() - self._used
            over = self._memory is not None and resident_bytes() > self._memory
            if not self._busy and (over or idle > self._idle_seconds):
                os._exit(0)


def resident_bytes() -> int:
    """Memory that this process holds; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def warm_names(digest: str) -> list[str]:
    """Names of the warm actors of a game, or of all games for an empty digest."""
    wanted = f"{_PREFIX}{digest[:24]}"
    found: list[Any] = ray.util.list_named_actors(all_namespaces=True)
    names = [str(entry["name"]) for entry in found if entry["namespace"] == NAMESPACE]
    return sorted(name for name in names if name.startswith(wanted))


def warm_actor(name: str) -> Any:
    """The actor of this name; None when it is gone."""
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None


def _check_loaded(calls: list[Any], actors: int, cpus: float, gpus: float) -> None:
    ready, waiting = ray.wait(calls, num_returns=len(calls), timeout=_LOAD_SECONDS)
    if waiting:
        have = ray.cluster_resources()
        raise EngineError(
            f"{len(waiting)} of {actors} warm actors found no room within {_LOAD_SECONDS:.0f} s: each needs {cpus:g} CPUs and {gpus:g} "
            f"GPUs, the cluster has {have.get('CPU', 0):g} and {have.get('GPU', 0):g}; ask for fewer"
        )
    for call in ready:
        try:
            failure = ray.get(call)
        except RayError as error:
            raise EngineError(f"a warm actor died as it loaded the game: {str(error).splitlines()[0][:300]}") from error
        if failure is not None:
            raise EngineError(
                f"the game cannot be loaded in a warm actor: {failure.message}; what it is made of must be importable on every node"
            )
