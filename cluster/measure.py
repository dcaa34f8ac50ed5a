"""What a cluster on this machine takes: `python cluster/measure.py start | commits`, one JSON line.

`start`: seconds until a head answers, and until each of N workers that start together is counted as alive. `commits`: records of
4 KB a second that N processes put into a Redis of `cluster/redis.conf`, through the store of the package. Both bring up what they
need on free ports of loopback and take it down again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cluster import local_parts as parts
from cluster import local_state as states
from xai_ray.errors import XaiRayError


def start(folder: Path, workers: int) -> dict[str, object]:
    """Seconds of a head, and of each worker in the order in which they joined."""
    taken: set[int] = set()
    port, dashboard, client = (parts.free_port(taken) for _ in range(3))
    token, environment = parts.secret_file(folder / "token"), parts.ray_environment(folder / "token")
    began, started = time.perf_counter(), []
    try:
        command = parts.head_command(port, dashboard, client, folder / "n0", 100 << 20)
        started.append(states.start("head", command, folder / "head.log", environment))
        states.await_ready(started[0], lambda: parts.nodes_alive(dashboard, token) >= 1, 120)
        head, joined = time.perf_counter() - began, []
        began = time.perf_counter()
        for i in range(1, workers + 1):
            command = parts.worker_command(port, 1, folder / f"n{i}", 100 << 20)
            started.append(states.start(f"worker{i}", command, folder / f"worker{i}.log", environment))
        for i in range(1, workers + 1):
            states.await_ready(started[i], lambda i=i: parts.nodes_alive(dashboard, token) > i, 300)
            joined.append(round(time.perf_counter() - began, 1))
    finally:
        states.end(started, lambda line: None)
    return {
        "figure": "start",
        "cores": os.cpu_count(),
        "head_seconds": round(head, 1),
        "workers_joined_after_seconds": joined,
    }


def commits(folder: Path, processes: int, records: int) -> dict[str, object]:
    """Commits per second, all processes together."""
    port = parts.free_port(set())
    server = states.start("redis", parts.redis_files(folder / "redis", port), folder / "redis.log", dict(os.environ))
    try:
        password = folder / "redis" / "password"
        states.await_ready(server, lambda: parts.redis_answers(port, password), 20)
        os.environ["XAI_RAY_REDIS_USERNAME"] = parts.REDIS_USER
        os.environ["XAI_RAY_REDIS_PASSWORD_FILE"] = str(password)
        url = f"redis://{parts.HOST}:{port}/0"
        _open(url, processes * records)
        empty = _memory(port, folder)
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(processes)
        with context.Pool(processes, initializer=_share, initargs=(ready,)) as pool:
            spans = pool.starmap(_commit, [(url, i * records, records) for i in range(processes)], chunksize=1)
        bytes_each = (_memory(port, folder) - empty) / (processes * records)
    finally:
        states.end([server], lambda line: None)
    seconds = max(last for _, last in spans) - min(first for first, _ in spans)
    return {
        "figure": "commits",
        "cores": os.cpu_count(),
        "processes": processes,
        "per_second": round(processes * records / seconds),
        "redis_bytes_per_record": round(bytes_each),
    }


_ROWS = 512
"""Rows of one float64 each: 4 KB of values."""


def _open(url: str, units: int) -> None:
    from xai_ray.stores import Manifest, Segment, open_store

    store = open_store(url)
    store.open(Manifest("measure", "0" * 64, {"kind": "measure"}))
    store.extend("measure", Segment(0, units * _ROWS, _ROWS))


def _memory(port: int, folder: Path) -> int:
    password = (folder / "redis" / "operator_password").read_text(encoding="utf-8")
    with redis.Redis(parts.HOST, port, username="operator", password=password) as client:
        return int(client.info("memory")["used_memory"])


def _share(barrier: object) -> None:
    globals()["_READY"] = barrier


def _commit(url: str, first: int, records: int) -> tuple[float, float]:
    import numpy as np

    from xai_ray.coalitions import Unit
    from xai_ray.stores import Record, open_store

    store = open_store(url)
    store.manifest("measure")
    values = np.random.default_rng(first).normal(size=(_ROWS, 1))
    globals()["_READY"].wait(120)
    began = time.time()
    for i in range(first, first + records):
        assert store.commit("measure", Record(Unit(i * _ROWS, (i + 1) * _ROWS), values, {}))
    return began, time.time()


def main() -> int:
    """Measure one figure; the exit code."""
    parser = argparse.ArgumentParser(prog="cluster/measure.py", description="What a cluster on this machine takes.")
    figures = parser.add_subparsers(dest="figure", required=True)
    figures.add_parser("start").add_argument("--workers", type=int, default=3)
    rate = figures.add_parser("commits")
    rate.add_argument("--processes", type=int, default=2)
    rate.add_argument("--records", type=int, default=4000, help="of each process (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xrm", dir="/tmp") as folder:
        try:
            place = Path(folder)
            found = (
                start(place, given.workers)
                if given.figure == "start"
                else commits(place, given.processes, given.records)
            )
        except XaiRayError as error:
            print(f"cluster/measure.py: {error}", file=sys.stderr)
            return error.exit_code
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
