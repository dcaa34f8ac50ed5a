"""A Redis Cluster of two nodes: every job lies on one of them, whichever address is given."""

import pickle
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.redis_server import KINDS, Server, running
from xai_ray.coalitions import Unit
from xai_ray.errors import StoreError
from xai_ray.stores import Segment
from xai_ray.stores.redis_store import RedisStore
from xai_ray.testing.stores import a_manifest, a_record, same_record


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture(params=KINDS)
def nodes(request: pytest.FixtureRequest) -> Iterator[list[Server]]:
    ports = free_ports(4)
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                running(request.param, port=port, cluster_enabled="yes", cluster_port=str(bus), maxmemory="200mb")
            )
            for port, bus in zip(ports[:2], ports[2:], strict=True)
        ]
        first, second = (stack.enter_context(node.admin()) for node in started)
        first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        second.execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        first.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[1], ports[3])
        deadline = time.monotonic() + 60
        for client in (first, second):
            while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
                assert time.monotonic() < deadline, "the nodes do not find each other"
                time.sleep(0.05)
        yield started


def test_jobs_spread_over_a_cluster_and_each_is_whole(nodes: list[Server]) -> None:
    jobs = [f"job-{number}" for number in range(8)]
    units = [Unit(start, start + 1) for start in range(40)]
    for number, job in enumerate(jobs):
        store = RedisStore(f"redis://127.0.0.1:{nodes[number % 2].port}")
        store.open(a_manifest(job))
        store.extend(job, Segment(0, 40, 1))
        worker = pickle.loads(pickle.dumps(store))
        epoch = store.claim(job)
        assert all(worker.commit(job, a_record(unit.start, unit.stop), epoch) for unit in units)
        store.close(job, {"state": "done"})
        store.expire(job, 100)
    for node in nodes:
        fresh = RedisStore(f"redis://127.0.0.1:{node.port}")
        assert fresh.jobs() == jobs
        for job in jobs:
            assert fresh.committed(job) == set(units)
            for unit, record in zip(units, fresh.records(job, units), strict=True):
                assert same_record(record, a_record(unit.start, unit.stop))
        assert fresh.facts()["cluster"] is True
        with node.admin() as client:
            assert client.dbsize() > 0
    with nodes[1].admin() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreError, match="noeviction"):
        RedisStore(f"redis://127.0.0.1:{nodes[0].port}").open(a_manifest("other"))


def test_a_socket_of_a_node_is_refused(nodes: list[Server]) -> None:
    with pytest.raises(StoreError, match=r"node of a Redis Cluster; use redis://HOST:PORT"):
        RedisStore(nodes[0].url).open(a_manifest())
