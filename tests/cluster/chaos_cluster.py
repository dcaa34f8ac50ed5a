"""Several raylets on this machine with a Redis behind their GCS, and what can be done to them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.cluster.running import free_ports
from tests.redis_server import KINDS, running

SECONDS = 120.0
"""A bound on every wait, not a measure."""


def state(pid: int) -> str:
    """Linux' letter for what a process does: T is stopped; empty when there is none, or a dead one."""
    try:
        letter = _fields(pid)[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if letter in "ZX" else letter


def parent(pid: int) -> int:
    """Id of the process that started this one; 0 when there is none."""
    try:
        return int(_fields(pid)[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


class ChaosCluster:
    """A head without work, and worker nodes of one CPU each. This process does not connect to it: drivers are processes of their own."""

    def __init__(self, redis_port: int) -> None:
        from ray.cluster_utils import Cluster

        # A token in the environment keeps Ray from writing one into the home directory.
        os.environ.setdefault("RAY_AUTH_TOKEN", "a" * 64)
        os.environ["RAY_REDIS_ADDRESS"] = f"127.0.0.1:{redis_port}"
        try:
            head = {"num_cpus": 0, "include_dashboard": False}
            self.ray = Cluster(initialize_head=True, head_node_args=head)
        finally:
            del os.environ["RAY_REDIS_ADDRESS"]
        self.address: str = self.ray.address

    def with_workers(self, count: int) -> list[Any]:
        """Exactly so many worker nodes that are alive."""
        alive = self.alive()
        for node in list(self.ray.worker_nodes):
            if node.node_id not in alive or len(self.ray.worker_nodes) > count:
                self.ray.remove_node(node, allow_graceful=False)
        while len(self.ray.worker_nodes) < count:
            self.add()
        return list(self.ray.worker_nodes)

    def add(self) -> Any:
        """One more worker node."""
        return self.ray.add_node(num_cpus=1)

    def alive(self) -> set[str]:
        """Ids of the nodes that the head counts as alive."""
        from ray._raylet import GcsClient

        told = GcsClient(address=self.address).get_all_node_info(timeout=30)
        return {key.hex() for key, node in told.items() if node.state == 0}

    def runs(self, pid: int) -> bool:
        """Whether a worker runs, not stopped, on a node that is there: Ray leaves those of a lost one to end when they will."""
        return state(pid) not in ("", "T") and parent(pid) in {raylet(n) for n in self.ray.worker_nodes}

    def node_of(self, worker: int) -> Any:
        """The worker node that runs a process."""
        (found,) = [n for n in self.ray.worker_nodes if raylet(n) == parent(worker)]
        return found

    def close(self) -> None:
        """End everything that was started here."""
        for node in self.ray.worker_nodes:
            thaw(node)
        self.ray.shutdown()


def raylet(node: Any) -> int:
    """Process id of a node's raylet."""
    return node.all_processes["raylet"][0].process.pid


def freeze(node: Any) -> None:
    """Stop a node's raylet and all that it started, as a machine that hangs."""
    os.kill(raylet(node), signal.SIGSTOP)
    for child in _children(raylet(node)):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGSTOP)


def thaw(node: Any) -> None:
    """Let a frozen node go on."""
    if "raylet" not in node.all_processes:
        return
    for pid in (*_children(raylet(node)), raylet(node)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    found = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [process for process in found if parent(process) == pid]


@contextmanager
def chaos_cluster() -> Iterator[ChaosCluster]:
    """A cluster whose GCS survives its own death: what it knows is in a Redis of its own."""
    with running(KINDS[0], port=free_ports(1)[0]) as redis:
        made = ChaosCluster(redis.port)
        try:
            yield made
        finally:
            made.close()
