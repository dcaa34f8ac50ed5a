"""Fair sharing between the jobs on one cluster: a small detached actor where running jobs say what they could use and
hear how many actors they should have. A job goes on as it is when the actor cannot be had.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from typing import Any

import ray
from ray.exceptions import RayError

from xai_ray.engine.ray_connection import NAMESPACE
from xai_ray.engine.shares import Demand, targets
from xai_ray.engine.shipping import worker_environment

NAME = "shares"
"""Of the detached actor, in the namespace `xai_ray`."""
FORGOTTEN_SECONDS = 10.0
"""A job that has not reported for so long is gone."""
_ALONE_SECONDS = 60.0


class Shares:
    """The actor. It ends by itself after a minute without jobs."""

    def __init__(self) -> None:
        self._demands: dict[str, tuple[float, Demand]] = {}
        self._heard = time.monotonic()
        threading.Thread(target=self._end_when_alone, daemon=True).start()

    def report(self, run: str, workers: int, size: float, priority: float) -> int:
        """What a run could use now. How many actors it should have."""
        now = self._heard = time.monotonic()
        self._demands[run] = (now, Demand(run, workers, size, priority))
        self._demands = {r: d for r, d in self._demands.items() if now - d[0] < FORGOTTEN_SECONDS}
        return targets([demand for _, demand in self._demands.values()])[run]

    def leave(self, run: str) -> None:
        """A run has ended."""
        self._demands.pop(run, None)

    def runs(self) -> list[str]:
        """Those that have reported lately."""
        return sorted(self._demands)

    def _end_when_alone(self) -> None:
        while time.monotonic() - self._heard < _ALONE_SECONDS:
            time.sleep(1.0)
        os._exit(0)


class Share:
    """One run's side. Never waits for an answer: a target is that of the second before."""

    def __init__(self, job: str, priority: float) -> None:
        self._run = f"{job}-{secrets.token_hex(4)}"
        self._priority = priority
        self._actor: Any = None
        self._asked: Any = None
        self.target: int | None = None
        """None while nothing is known."""

    def pulse(self, workers: int, size: float) -> None:
        """Hear the last answer, if it is there, and report again."""
        try:
            if self._asked is not None:
                if not ray.wait([self._asked], timeout=0)[0]:
                    return
                asked, self._asked = self._asked, None
                self.target = ray.get(asked)
            if self._actor is None:
                self._actor = _shares()
            self._asked = self._actor.report.remote(self._run, workers, size, self._priority)
        except (RayError, ValueError):
            # Without it, sharing is what Ray makes of it: whoever comes first.
            self._actor, self._asked, self.target = None, None, None

    def close(self) -> None:
        """Leave what the run had to the others at once."""
        if self._actor is not None:
            try:
                self._actor.leave.remote(self._run)
            except RayError:
                return


def _shares() -> Any:
    environment = {"env_vars": worker_environment(1)}
    actor: Any = ray.remote(num_cpus=0, max_restarts=0, runtime_env=environment)(Shares)
    return actor.options(name=NAME, namespace=NAMESPACE, lifetime="detached", get_if_exists=True).remote()
