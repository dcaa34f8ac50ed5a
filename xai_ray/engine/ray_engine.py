"""The Ray engine: the ledger over a pool of actors. Ray is imported here and nowhere else.

The pool is our own: `max_restarts=0` and no task retries, since the ledger decides what is tried again and where.
Only the two integers of a unit travel to an actor, and only values and facts travel back; every actor fetches the
game once.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil, floor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.cloudpickle.cloudpickle import dumps
from ray.exceptions import (
    ActorUnavailableError,
    AuthenticationError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
)

from xai_ray.coalitions import Design, Unit
from xai_ray.engine.events import (
    Action,
    AddUnits,
    Assign,
    Cancel,
    Close,
    Commit,
    Event,
    Fail,
    Release,
    StartWorker,
    Tick,
    UnitDone,
    UnitFailed,
    WorkerLost,
    WorkerReady,
)
from xai_ray.engine.failures import Failure, error_of, told
from xai_ray.engine.ledger import Ledger
from xai_ray.engine.shipping import cores, shipped, worker_environment
from xai_ray.engine.worker import evaluate
from xai_ray.errors import EngineError
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record

_NAMESPACE = "xai_ray"
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 600.0
"""How long to wait for the first actor: a cluster that scales up from nothing takes minutes."""


@dataclass(frozen=True)
class RayEngine:
    """Runs units on Ray actors. A Ray that this process is connected to already is used as it is and left running.

    Otherwise `address` (or RAY_ADDRESS) names the cluster to join, and without one a local Ray is started and shut
    down again. As many actors as fit, or `actors` of them: those that do not fit wait for a node to join.
    `gpus_per_actor` is 1 by default where there are GPUs, else 0; several actors share a GPU at fractions such as
    0.5.
    """

    actors: int | None = None
    cpus_per_actor: float = 1
    gpus_per_actor: float | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.actors is not None and self.actors < 1:
            raise EngineError(f"actors must be at least 1, got {self.actors}; leave it out to use all that fit")
        if not self.cpus_per_actor > 0:
            raise EngineError(f"cpus_per_actor must be positive, got {self.cpus_per_actor}")
        if self.gpus_per_actor is not None and not self.gpus_per_actor >= 0:
            raise EngineError(f"gpus_per_actor must not be negative, got {self.gpus_per_actor}")

    def run(
        self,
        game: Game,
        design: Design,
        units: Sequence[Unit],
        commit: Callable[[Record], None],
        stopped: Callable[[], bool],
    ) -> None:
        """See `xai_ray.engine.protocol.Engine`. EngineError if Ray is out of reach or the game cannot be sent."""
        if not units:
            return
        wanted = ceil(self.cpus_per_actor * (self.actors or 1))
        with connected(self.address, max(cores(), wanted)):
            workers, gpus = self._pool(len(units))
            options = {
                "num_cpus": self.cpus_per_actor,
                "num_gpus": gpus,
                "max_restarts": 0,
                "max_task_retries": 0,
                "scheduling_strategy": "SPREAD",
                "runtime_env": {"env_vars": worker_environment(self.cpus_per_actor)},
            }
            actor: Any = ray.remote(_Evaluator)
            game_ref = ray.put(shipped(game, design, dumps))
            _Run(Ledger(workers), game_ref, actor.options(**options), options, commit, stopped).run(units)

    def _pool(self, units: int) -> tuple[int, float]:
        """Number of actors, and GPUs of each."""
        have = ray.cluster_resources()
        cpus, gpus = have.get("CPU", 0.0), have.get("GPU", 0.0)
        each = self.gpus_per_actor if self.gpus_per_actor is not None else (1.0 if gpus else 0.0)
        fit = floor(cpus / self.cpus_per_actor + 1e-9)
        if each:
            # An actor with a fraction of a GPU cannot take the rest of it from two of them.
            fit = min(fit, floor(gpus) * floor(1 / each + 1e-9) if each < 1 else floor(gpus / each + 1e-9))
        if self.actors is None and fit < 1:
            raise EngineError(
                f"an actor needs {self.cpus_per_actor:g} CPUs and {each:g} GPUs, the cluster has {cpus:g} CPUs and "
                f"{gpus:g} GPUs in all; ask for less per actor, or name the number of actors to wait for nodes to join"
            )
        return min(units, self.actors or fit), each


@contextmanager
def connected(address: str | None, cpus: int) -> Iterator[None]:
    """Be connected to Ray within the block; shut down only what was started here. `cpus` is the size of a local Ray."""
    if ray.is_initialized():
        yield
        return
    # Not Ray's own choice, which without an address joins the latest Ray anyone left running on this machine.
    address = address or os.environ.get("RAY_ADDRESS")
    if address and address != "local":
        _join(address)
    else:
        _start(cpus)
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    remedy = "check that the cluster runs (`ray status`), the address and the network; leave it out to start Ray here"
    try:
        # Ray itself retries for a long time, and then ends the process.
        parts = urlsplit(address if "://" in address else f"//{address}")
        if parts.hostname and parts.port:
            socket.create_connection((parts.hostname, parts.port), timeout=5).close()
        ray.init(address=address, namespace=_NAMESPACE, logging_level=logging.ERROR, log_to_driver=False)
    except AuthenticationError as error:
        raise EngineError(
            f"the Ray cluster at {address} refused the token; set RAY_AUTH_TOKEN to the cluster's"
        ) from error
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise EngineError(f"no Ray cluster at {address}: {_head(error)}; {remedy}") from error


def _start(cpus: int) -> None:
    # Even a local Ray listens on the address of the host, where whoever connects runs code, so it must ask for a token.
    # Ray >= 2.60 does so by itself and writes one to the home directory; a token that lives only in this process and
    # its children needs no file. It stays for the life of the process, because Ray caches the first one it sees.
    named = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    if not named and not (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # These say at each start what the lines above decide, or warn of defaults that no actor here depends on.
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            namespace=_NAMESPACE,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise EngineError(
            f"Ray cannot be started here: {_head(error)}; check free memory and disk in the temporary directory, or "
            "run with the inline engine"
        ) from error


class _Evaluator:
    """The actor. It tells of exceptions instead of raising them, so that what Ray raises is about Ray."""

    def load(self, parts: list[ray.ObjectRef]) -> Failure | None:
        """Fetch the game and the design; inside a list, so that a failure to unpickle them is told as well."""
        try:
            self._game, self._design = pickle.loads(memoryview(ray.get(parts[0])))
        except Exception as error:
            return told(error)
        return None

    def evaluate(self, start: int, stop: int) -> Record | Failure:
        try:
            return evaluate(Unit(start, stop), self._game, self._design)
        except Exception as error:
            return told(error)


@dataclass
class _Run:
    ledger: Ledger
    game: Any
    actor: Any
    options: dict[str, Any]
    commit: Callable[[Record], None]
    stopped: Callable[[], bool]
    actors: dict[int, Any] = field(default_factory=dict)
    calls: dict[Any, tuple[int, Unit | None]] = field(default_factory=dict)
    """Calls under way: the worker, and the unit or None while it loads. In the order made, so heads of windows come
    first.
    """
    record: Record | None = None
    failures: dict[Unit, Failure] = field(default_factory=dict)
    placed: bool = False

    def run(self, units: Sequence[Unit]) -> None:
        began = time.monotonic()
        try:
            for event in (Tick(began), AddUnits(tuple(units)), Close()):
                self._send(event)
            while not self.ledger.over:
                if self.stopped():
                    self._send(Cancel())
                    return
                arrived = self._wait()
                self._send(Tick(time.monotonic()))
                for call in arrived:
                    self._arrived(call)
                if not self.placed and time.monotonic() - began > _PATIENCE_SECONDS:
                    raise EngineError(f"no worker was ready after {_PATIENCE_SECONDS:.0f} s; {self._need()}")
        finally:
            for worker in list(self.actors):
                self._release(worker)

    def _wait(self) -> list[Any]:
        calls = list(self.calls)
        if not calls:
            time.sleep(_POLL_SECONDS)
            return []
        if not ray.wait(calls, num_returns=1, timeout=_POLL_SECONDS)[0]:
            return []
        return ray.wait(calls, num_returns=len(calls), timeout=0)[0]

    def _arrived(self, call: Any) -> None:
        if call not in self.calls or self.ledger.over:
            return
        worker, unit = self.calls.pop(call)
        answer: Any
        try:
            answer = ray.get(call)
        except RayTaskError as error:
            # Not from the game (those are told): the answer could not be pickled, say.
            answer = Failure("", _head(error))
        except RayError as error:
            self._release(worker)
            # Unavailable: whether the unit was done is unknown, and the node is to blame, not the unit.
            own = isinstance(error, RayActorError | OutOfMemoryError) and not isinstance(error, ActorUnavailableError)
            self._send(WorkerLost(worker, _head(error), blame=own))
            return
        if unit is None and isinstance(answer, Failure):
            raise EngineError(
                f"the game cannot be loaded in a worker: {answer.message}; what it is made of must be importable on "
                "every node: install it there, or name the model by its factory (package.module:function)"
            )
        if unit is None:
            self.placed = True
            self._send(WorkerReady(worker))
        elif isinstance(answer, Failure):
            self.failures[unit] = answer
            self._send(UnitFailed(unit, worker, answer.message, answer.final))
        else:
            self.record = answer
            self._send(UnitDone(unit, worker))

    def _send(self, event: Event) -> None:
        for action in self.ledger.handle(event):
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case StartWorker(worker):
                actor = self.actor.remote()
                self.actors[worker] = actor
                self.calls[actor.load.remote([self.game])] = (worker, None)
            case Assign(unit, worker):
                self.calls[self.actors[worker].evaluate.remote(unit.start, unit.stop)] = (worker, unit)
            case Commit() if self.record is not None:
                self.commit(self.record)
            case Release(worker):
                self._release(worker)
            case Fail(unit):
                raise error_of(action, self.failures.get(unit) if unit else None)
            case _:
                pass

    def _release(self, worker: int) -> None:
        actor = self.actors.pop(worker, None)
        if actor is not None:
            ray.kill(actor, no_restart=True)
        for call in [c for c, (owner, _) in self.calls.items() if owner == worker]:
            del self.calls[call]

    def _need(self) -> str:
        cpus, gpus = self.options["num_cpus"], self.options["num_gpus"]
        have = ray.cluster_resources()
        return (
            f"each needs {cpus:g} CPUs and {gpus:g} GPUs, the cluster has {have.get('CPU', 0):g} CPUs and "
            f"{have.get('GPU', 0):g} GPUs; add nodes or ask for less"
        )


def _head(error: Exception) -> str:
    """The line of a Ray error that says why, cut to a readable length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told_why = [line for line in lines if "exit" in line or "because" in line or "Error" in line]
    return (told_why or lines or [type(error).__name__])[-1][:300]
