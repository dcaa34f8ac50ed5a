"""Faults of whole systems: coordinators, Redis, GCS, nodes. Each run ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.chaos_cluster import ChaosCluster, chaos_cluster, freeze, state, thaw
from tests.cluster.chaos_job import ChaosJob, chaos_job
from tests.waiting import until

pytest.importorskip("ray")

pytestmark = pytest.mark.ray

SCHEDULES = int(os.environ.get("XAI_RAY_CHAOS_SCHEDULES") or (2 if os.environ.get("CI") else 12))


@pytest.fixture(scope="module")
def cluster() -> Iterator[ChaosCluster]:
    with chaos_cluster() as made:
        yield made


@pytest.fixture
def job(cluster: ChaosCluster, tmp_path: Path) -> Iterator[ChaosJob]:
    with chaos_job(cluster, tmp_path) as made:
        yield made


def test_a_coordinator_killed_between_commit_and_acknowledgement(job: ChaosJob) -> None:
    """It is stopped while its workers commit, so that what they acknowledge reaches nobody."""
    coordinator = job.start()
    job.held(2)
    coordinator.send_signal(signal.SIGSTOP)
    before = job.committed()
    job.open_gate()
    until(lambda: len(job.committed() - before) >= 2, "commits that nobody hears of")
    job.kill()
    there = len(job.committed())
    job.start()
    job.same_as_undisturbed()
    first, second = (e["pending"] for e in job.events("started"))
    assert first - second == there >= len(before) + 2


def test_of_two_coordinators_the_first_is_fenced_and_the_second_ends(job: ChaosJob) -> None:
    first = job.start()
    job.held(2)
    second = job.start()
    until(lambda: len(job.events("started")) == 2, "the second coordinator", seen=lambda: job.said(second))
    job.open_gate()
    job.same_as_undisturbed()
    assert first.wait(60) == 3
    assert "Fenced: " in job.said(first)
    assert "another run took" in job.said(first)
    assert "nothing is lost" in job.said(first)


def test_redis_killed_and_restarted_while_actors_commit(job: ChaosJob) -> None:
    job.start()
    job.held(2)
    job.server.kill()
    job.open_gate()
    job.nobody_held()
    job.server.start()
    job.same_as_undisturbed()


def test_redis_out_of_memory_is_named_and_the_job_goes_on_when_there_is_more(job: ChaosJob) -> None:
    first = job.start()
    job.held(2)
    with job.server.admin() as admin:
        admin.config_set("maxmemory", "512kb")
        job.open_gate()
        assert first.wait(120) == 3
        said, there = job.said(first), job.committed()
        assert "out of memory; raise its maxmemory, or set XAI_RAY_REDIS_SPILL" in said
        assert "nothing that was committed is lost" in said
        assert "Traceback" not in said
        admin.config_set("maxmemory", 0)
    assert 0 < len(there) < 120
    job.start()
    job.same_as_undisturbed()
    assert job.events("started")[-1]["pending"] == 120 - len(there)


def test_gcs_killed_and_restarted_under_a_running_job(job: ChaosJob) -> None:
    job.start()
    job.held(2)
    before = job.committed()
    head = job.cluster.ray.head_node
    head.kill_gcs_server()
    job.open_gate()
    until(lambda: len(job.committed() - before) >= 2, "commits without a GCS")
    head.start_gcs_server()
    job.same_as_undisturbed()


def test_a_frozen_node_is_overtaken(job: ChaosJob) -> None:
    job.start()
    victim = job.held(2)[0]
    node = job.cluster.node_of(victim)
    freeze(node)
    try:
        job.open_gate()
        job.same_as_undisturbed()
        assert state(victim) == "T", "it was not overtaken: it went on"
    finally:
        thaw(node)


# --- random schedules -------------------------------------------------------------------------------------------------


def kill_a_worker(job: ChaosJob) -> None:
    os.kill(job.held()[-1], signal.SIGKILL)


def kill_two_workers(job: ChaosJob) -> None:
    for worker in job.held(2)[:2]:
        os.kill(worker, signal.SIGKILL)


def freeze_a_node(job: ChaosJob) -> None:
    freeze(job.cluster.node_of(job.held(2)[0]))


def restart_redis(job: ChaosJob) -> None:
    job.server.kill()
    job.allow_more(2)
    job.server.start()


def join_a_node(job: ChaosJob) -> None:
    job.cluster.add()


def kill_the_coordinator(job: ChaosJob) -> None:
    job.kill()
    job.start()


FAULTS: tuple[Callable[[ChaosJob], None], ...] = (
    kill_a_worker,
    kill_two_workers,
    freeze_a_node,
    restart_redis,
    join_a_node,
    kill_the_coordinator,
)


def schedule(number: int) -> list[tuple[Callable[[ChaosJob], None], int]]:
    """Three different faults, and how many calls pass after each; any two that follow each other have all faults."""
    faults = list(FAULTS)
    random.Random(number // 2).shuffle(faults)
    half = faults[:3] if number % 2 == 0 else faults[3:]
    return [(fault, random.Random(number).randrange(12, 24)) for fault in half]


def test_schedules_have_every_fault() -> None:
    for number in range(0, 12, 2):
        assert {fault for n in (number, number + 1) for fault, _ in schedule(n)} == set(FAULTS)
    assert len({tuple(fault for fault, _ in schedule(n)) for n in range(12)}) > 6


@pytest.mark.parametrize("number", range(SCHEDULES))
def test_a_random_schedule(job: ChaosJob, number: int) -> None:
    """A node stays frozen until the next fault, the last one for good."""
    job.start()
    for fault, calls in schedule(number):
        job.held()
        for node in job.cluster.ray.worker_nodes:
            thaw(node)
        fault(job)
        job.allow_more(calls)
    job.open_gate()
    job.same_as_undisturbed()
