"""A cluster of several hosts: what a link that goes down or a host that dies costs is time, never a value.

Each host is a network namespace with its own address; a partition is its link taken down, its death the end of its namespace.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cluster.host_run import UNITS, evaluated, values
from tests.cluster.netns import Host, Network, missing, must_work, network
from xai_ray.engine import InlineEngine

REASON = missing()
pytestmark = [pytest.mark.ray, pytest.mark.skipif(REASON is not None and not must_work(), reason=REASON or "")]

ROOT = Path(__file__).resolve().parents[2]
RAY = Path(sys.executable).with_name("ray")
PORT = 6379
BEAT = {
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "8",
}
"""A host counts as lost after some 16 to 30 seconds instead of 64: a partition of ten is one that it survives."""


class Cluster:
    """A head without work on the first host, one worker node with one CPU on each of the others."""

    def __init__(self, net: Network, folder: Path) -> None:
        self.net, self.folder = net, folder
        self.head = net.hosts[0]
        self.workers: dict[str, Host] = {}
        self.environment = {
            **BEAT,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(ROOT),
        }
        self.start(self.head, "--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false")
        self.wait_for(lambda: len(self.alive()) == 1)

    def start(self, host: Host, *arguments: str) -> None:
        common = (
            f"--node-ip-address={host.address}",
            f"--temp-dir={self.folder / str(host.number)}",
            *("--block", "--object-store-memory=100000000", "--disable-usage-stats"),
        )
        command = [str(RAY), "start", *arguments, *common]
        self.net.start(host, command, self.folder / f"host{host.number}.log", self.environment)

    def with_workers(self, count: int) -> list[Host]:
        """So many worker nodes that are alive; new hosts take the place of those that were lost."""
        there = [host for address, host in self.workers.items() if address in self.alive()]
        new = [self.net.add() for _ in range(count - len(there))]
        for host in new:
            self.start(host, f"--address={self.head.address}:{PORT}", "--num-cpus=1")
            self.workers[host.address] = host
        self.wait_for(lambda: {host.address for host in new} <= self.alive())
        return there + new

    def alive(self) -> set[str]:
        """Addresses of the nodes that the head counts as alive."""
        script = (
            "import sys\nfrom ray._raylet import GcsClient\n"
            "for n in GcsClient(address=sys.argv[1]).get_all_node_info(timeout=5).values():\n"
            "    print(n.state, n.node_manager_address)\n"
        )
        command = [
            "ip",
            "netns",
            "exec",
            self.head.namespace,
            sys.executable,
            "-c",
            script,
            f"{self.head.address}:{PORT}",
        ]
        told = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60, check=False
        )
        return {line.split()[1] for line in told.stdout.splitlines() if line.startswith("0 ")}

    def run(self, name: str, seconds: float) -> Running:
        return Running(self, self.folder / f"{name}.npy", seconds)

    def wait_for(self, holds: Callable[[], bool], seconds: float = 90) -> None:
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, f"not so after {seconds} s; {self.logs()}"
            time.sleep(0.2)

    def logs(self) -> str:
        return "\n".join(f"{p.name}: {p.read_text(errors='replace')[-1500:]}" for p in self.folder.glob("*.log"))


class Running:
    """A run that is driven from the head."""

    def __init__(self, cluster: Cluster, out: Path, seconds: float) -> None:
        self.cluster, self.out = cluster, out
        command = [
            sys.executable,
            "-m",
            "tests.cluster.host_run",
            f"{cluster.head.address}:{PORT}",
            str(out),
            str(seconds),
        ]
        self.process = cluster.net.start(cluster.head, command, out.with_suffix(".log"), cluster.environment)

    def commits(self) -> int:
        told = self.out.with_suffix(".commits")
        return len(told.read_text().splitlines()) if told.exists() else 0

    def under_way(self, commits: int) -> None:
        """Wait until so many units are committed, and more are to come."""
        self.cluster.wait_for(lambda: self.commits() >= commits or self.process.poll() is not None)
        assert commits <= self.commits() < len(UNITS)

    def same_as_inline(self, seconds: float = 120) -> None:
        """The run ends well, with every unit committed once and the bytes of an inline run."""
        assert self.process.wait(seconds) == 0, self.cluster.logs()
        assert self.commits() == len(UNITS)
        assert np.load(self.out).tobytes() == values(evaluated(InlineEngine(), 0.0)).tobytes()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="xrh", dir="/tmp") as folder, network(1) as net:
        yield Cluster(net, Path(folder))


def test_a_head_and_two_workers_give_the_bytes_of_one_process(cluster: Cluster) -> None:
    workers = cluster.with_workers(2)
    assert len({cluster.head.address, *(w.address for w in workers)}) == 3
    cluster.run("plain", 0.01).same_as_inline()


def test_a_partition_of_ten_seconds(cluster: Cluster) -> None:
    far = cluster.with_workers(2)[1]
    running = cluster.run("ten", 0.3)
    running.under_way(10)
    cluster.net.partition(far)
    time.sleep(10)
    cluster.net.heal(far)
    running.same_as_inline()


def test_a_partition_that_never_heals(cluster: Cluster) -> None:
    far = cluster.with_workers(2)[1]
    running = cluster.run("ever", 0.1)
    running.under_way(10)
    cluster.net.partition(far)
    running.same_as_inline()
    cluster.wait_for(lambda: far.address not in cluster.alive())


def test_the_death_of_a_host(cluster: Cluster) -> None:
    victim = cluster.with_workers(2)[1]
    running = cluster.run("death", 0.1)
    running.under_way(10)
    cluster.net.kill(victim)
    running.same_as_inline()
