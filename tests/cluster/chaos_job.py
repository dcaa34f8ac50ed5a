"""One job on a chaos cluster, in a Redis of its own: its drivers, the gate that holds its workers, and what must be true at the end."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cli.runs import ROOT, environment
from tests.cluster.chaos_cluster import SECONDS, ChaosCluster, state, thaw
from tests.cluster.chaos_run import game, result
from tests.redis_server import KINDS, Server, running
from tests.waiting import until
from xai_ray.coalitions import Unit
from xai_ray.stores import redis_scripts as scripts
from xai_ray.stores.redis_store import RedisStore

FREE = 20
"""Calls before the gate closes for the first time."""


@functools.cache
def undisturbed() -> bytes:
    """The result of a run in one process that nothing happened to."""
    return result(game(), "inline")


class ChaosJob:
    """The job, and whoever runs it at the moment. Workers are let through the gate a number of calls at a time."""

    def __init__(self, cluster: ChaosCluster, server: Server, folder: Path) -> None:
        self.cluster, self.server, self.folder = cluster, server, folder
        self.drivers: list[subprocess.Popen[bytes]] = []
        for name in ("calls", "waiting"):
            (folder / name).mkdir()
        self.allow(FREE)

    @property
    def driver(self) -> subprocess.Popen[bytes]:
        """The newest one."""
        return self.drivers[-1]

    @property
    def store(self) -> RedisStore:
        """A fresh handle, which remembers nothing."""
        return RedisStore(self.server.url)

    @property
    def name(self) -> str:
        """The job's id."""
        (only,) = self.store.jobs()
        return only

    def start(self) -> subprocess.Popen[bytes]:
        """One more coordinator for the job."""
        arguments = (self.cluster.address, self.server.url, str(self.folder))
        command = [sys.executable, "-m", "tests.cluster.chaos_run", *arguments]
        with open(self.folder / f"driver{len(self.drivers)}", "wb") as log:
            self.drivers.append(subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=log, stderr=log))
        return self.driver

    def said(self, driver: subprocess.Popen[bytes]) -> str:
        """What a driver has printed."""
        return (self.folder / f"driver{self.drivers.index(driver)}").read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL of the newest coordinator; its workers go with it."""
        workers = self.workers()
        runs = self.cluster.runs
        self.driver.send_signal(signal.SIGKILL)
        self.driver.wait(SECONDS)
        until(lambda: not any(map(runs, workers)), "the workers of a killed driver to end")

    # --- the gate -----------------------------------------------------------------------------------------------------

    def allow(self, calls: int) -> None:
        """Let so many calls through, counted from the job's first one."""
        new = self.folder / "allowed.new"
        new.write_text(str(calls))
        new.rename(self.folder / "allowed")

    def allow_more(self, calls: int) -> None:
        """Let so many more calls through than were allowed up to now."""
        self.allow(int((self.folder / "allowed").read_text()) + calls)

    def open_gate(self) -> None:
        """Hold nobody any more."""
        self.allow(1_000_000)

    def workers(self) -> list[int]:
        """Processes that have evaluated something and live."""
        pids = {int(name.split("-")[0]) for name in os.listdir(self.folder / "calls")}
        return sorted(pid for pid in pids if state(pid))

    def held(self, least: int = 1) -> list[int]:
        """Workers that stand at the gate, once there are so many; frozen ones do not count."""
        until(lambda: len(self._at_the_gate()) >= least, f"{least} workers at the gate", seen=self._seen)
        return self._at_the_gate()

    def nobody_held(self) -> None:
        """Wait until all have passed."""
        waiting = self.folder / "waiting"
        until(
            lambda: not any(self.cluster.runs(int(name)) for name in os.listdir(waiting)),
            "the workers to pass the gate",
        )

    def _at_the_gate(self) -> list[int]:
        assert self.driver.poll() is None, self._seen()
        if len(os.listdir(self.folder / "calls")) <= int((self.folder / "allowed").read_text()):
            return []  # who waits has not seen yet that it need not
        pids = sorted(map(int, os.listdir(self.folder / "waiting")))
        return [pid for pid in pids if self.cluster.runs(pid)]

    def _seen(self) -> str:
        return "\n".join(f"exit code {d.poll()}: {self.said(d)[-2000:]}" for d in self.drivers)

    # --- what is there ------------------------------------------------------------------------------------------------

    def committed(self) -> set[Unit]:
        """Units with a record."""
        return self.store.committed(self.name)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The entries of this kind in the job's log."""
        return [e for e in self.store.events(self.name) if e["event"] == kind]

    def same_as_undisturbed(self) -> None:
        """The newest driver ends well with the bytes of an undisturbed run; every unit was put once, and no evaluation is missing or
        counted twice.
        """
        driver = self.driver
        assert driver.wait(SECONDS) == 0, self._seen()
        assert (self.folder / f"result-{driver.pid}.json").read_bytes() == undisturbed()
        store, job, evaluations = self.store, self.name, json.loads(undisturbed())["evaluations"]
        units = [unit for segment in store.segments(job) for unit in segment.units()]
        assert store.committed(job) == set(units)
        assert sum(len(record.values) for record in store.records(job, units)) == evaluations
        with self.server.admin() as client:
            status = scripts.keys_of(job)[scripts.KEYS.index("status")]
            put = [int(client.hget(status, field) or 0) for field in ("units", "evaluations")]  # type: ignore[arg-type]
        assert put == [len(units), evaluations]
        assert (store.outcome(job) or {})["state"] == "done"

    def close(self) -> None:
        """End the drivers that are left."""
        for driver in self.drivers:
            if driver.poll() is None:
                driver.kill()
                driver.wait(SECONDS)


@contextmanager
def chaos_job(cluster: ChaosCluster, folder: Path) -> Iterator[ChaosJob]:
    """A job that nobody has started yet, on two worker nodes."""
    cluster.with_workers(2)
    with running(KINDS[0]) as server:
        job = ChaosJob(cluster, server, folder)
        try:
            yield job
        finally:
            job.close()
            for node in cluster.ray.worker_nodes:
                thaw(node)
