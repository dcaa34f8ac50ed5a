"""Figures of the stores, for `benchmarks/scheduler.py --redis` and `--resume`."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import redis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cluster import local_parts as parts
from cluster import local_state as states
from cluster import measure
from xai_ray.coalitions import Unit
from xai_ray.engine import InlineEngine
from xai_ray.engine.identity import manifest_of
from xai_ray.engine.job import Run
from xai_ray.engine.watching import Silent
from xai_ray.estimators import Ask, plan
from xai_ray.games import GloveGame
from xai_ray.indices import Question
from xai_ray.stores import Record, Segment, Store, open_store

RECORDS = 8_000
"""Of all processes together."""
_BYTES = 4096
_PIPELINE = 32


@contextmanager
def server() -> Iterator[str]:
    """The address of a server with the settings of cluster/redis.conf, on a free port of loopback; its password is in the environment."""
    with tempfile.TemporaryDirectory(prefix="xrs", dir="/tmp") as folder:
        home, port = Path(folder), parts.free_port(set())
        process = states.start("redis", parts.redis_files(home / "redis", port), home / "log", dict(os.environ))
        try:
            password = home / "redis" / "password"
            states.await_ready(process, lambda: parts.redis_answers(port, password), 20)
            os.environ["XAI_RAY_REDIS_USERNAME"] = parts.REDIS_USER
            os.environ["XAI_RAY_REDIS_PASSWORD_FILE"] = str(password)
            yield f"redis://{parts.HOST}:{port}/0"
        finally:
            states.end([process], lambda line: None)


def commit_rates() -> Iterator[dict[str, object]]:
    """Commits of 4 KB a second by 1, 2 and 8 processes through the store, and what redis-py can SET in pipelines of 32 beside it."""
    for processes in (1, 2, 8):
        each = RECORDS // processes
        with tempfile.TemporaryDirectory(prefix="xrs", dir="/tmp") as folder:
            ours = measure.commits(Path(folder), processes, each)
        with server() as url:
            ceiling = _bare(url, processes, each)
        figure = {"figure": "commits of 4 KB per second", "processes": processes, "bare_set_pipelines": round(ceiling)}
        yield {**figure, "value": ours["per_second"], "bytes_each": ours["redis_bytes_per_record"]}


def _bare(url: str, processes: int, each: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes)
    with context.Pool(processes, initializer=_share, initargs=(ready,)) as pool:
        spans = pool.starmap(_set_all, [(url, number, each) for number in range(processes)], chunksize=1)
    return processes * each / (max(stop for _, stop in spans) - min(start for start, _ in spans))


def _share(barrier: object) -> None:
    globals()["_READY"] = barrier


def _set_all(url: str, number: int, count: int) -> tuple[float, float]:
    password = Path(os.environ["XAI_RAY_REDIS_PASSWORD_FILE"]).read_text(encoding="utf-8")
    client = redis.Redis.from_url(url, username=parts.REDIS_USER, password=password)
    value = os.urandom(_BYTES)
    client.ping()
    globals()["_READY"].wait(120)
    began = time.time()
    for first in range(0, count, _PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for at in range(first, min(first + _PIPELINE, count)):
            pipeline.set(f"xr:{number}:{at}", value)
        pipeline.execute()
    return began, time.time()


def resume_times(units: int) -> Iterator[dict[str, object]]:
    """Seconds from `Run.execute` to the first new unit of a job with so many committed units: reading the store, estimating at the
    newest boundary that is passed, and one evaluation. Start-up of the process is left out.
    """
    with tempfile.TemporaryDirectory(prefix="xrs", dir="/tmp") as folder:
        yield _resumed("files", f"file://{folder}", units)
    with server() as url:
        yield _resumed("redis", url, units)


class _First(Silent):
    """Breaks the run off at its first new unit."""

    def advanced(self, done: int) -> None:
        raise KeyboardInterrupt


def _resumed(kind: str, url: str, units: int) -> dict[str, object]:
    run = job_of(units + 100, open_store(url))
    job = run.manifest.job
    began = time.perf_counter()
    run.store.open(run.manifest)
    run.store.extend(job, Segment(0, run.draws, 1))
    for start in range(units):
        run.store.commit(job, record(start))
    filled = time.perf_counter() - began
    fresh = job_of(units + 100, open_store(url))
    fresh.watcher = _First()
    began = time.perf_counter()
    try:
        fresh.execute()
    except KeyboardInterrupt:
        seconds = time.perf_counter() - began
    else:
        raise AssertionError("there was nothing left to do")
    told = {"store": kind, "committed_units": units, "commits_per_second_while_filling": round(units / filled)}
    return {"figure": "seconds to the first new unit of a resumed job", **told, "value": round(seconds, 2)}


def job_of(draws: int, store: Store, engine: object = None, asked: bool = True) -> Run:
    """A run of so many draws of two evaluations each, of a game that costs nothing."""
    game = GloveGame(left=10, right=14)
    planned = plan([Ask(Question("SV"), "leverage")], game.n_players, 2 * draws, 0)
    manifest = manifest_of("measure", game, planned, {"seed": 0})
    asks = planned.asks if asked else ()
    return Run(manifest, game, asks, planned.draws, store, engine or InlineEngine())  # type: ignore[arg-type]


def record(start: int) -> Record:
    """The record of draw `start`, of two evaluations."""
    return Record(Unit(start, start + 1), np.full((2, 1), float(start)), {"seconds": 1.0, "evaluations": 2})
