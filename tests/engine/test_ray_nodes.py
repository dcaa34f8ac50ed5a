"""Nodes that join and die while a job runs: several raylets on this machine, one scenario of each kind."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine.engine_games import SumOfProducts
from tests.waiting import until
from xai_ray.coalitions import Exhaustive
from xai_ray.engine import InlineEngine
from xai_ray.engine.committing import Ties
from xai_ray.engine.replay import replay_log
from xai_ray.engine.shipping import shipped
from xai_ray.stores.protocol import Record, Segment
from xai_ray.types import Coalitions, Ints, Values

ray = pytest.importorskip("ray")
from ray.cloudpickle.cloudpickle import dumps  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from xai_ray.engine.ray_engine import RayEngine  # noqa: E402
from xai_ray.engine.ray_evaluator import Loaded  # noqa: E402
from xai_ray.engine.ray_pool import Pool  # noqa: E402
from xai_ray.engine.ray_sizing import Sizing, alive_nodes  # noqa: E402

pytestmark = pytest.mark.ray

DESIGN = Exhaustive(7)
UNITS = list(Segment(0, 128, 8).units())


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head with one CPU, in which this process is connected."""
    # A token in the environment keeps Ray from writing one into the home directory.
    os.environ.setdefault("RAY_AUTH_TOKEN", "a" * 64)
    ray.shutdown()
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=found.address, namespace="xai_ray", log_to_driver=False, logging_level=logging.ERROR)
    yield found
    ray.shutdown()
    found.shutdown()


@dataclass(frozen=True)
class Meeting(SumOfProducts):
    """Leaves its pid, and waits for `go`."""

    folder: str = ""

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        Path(self.folder, f"pid-{os.getpid()}").touch()
        until(Path(self.folder, "go").exists)
        return super().values(coalitions, context)


def test_a_node_joins_midway_and_its_raylet_is_killed(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records: list[Record] = []
    log: list[dict[str, Any]] = []

    def work() -> None:
        game = Meeting(folder=str(tmp_path))
        RayEngine(gpus_per_actor=0).run(game, DESIGN, UNITS, records.append, lambda: False, Ties(log=log.append))

    def pids() -> int:
        return len(list(tmp_path.glob("pid-*")))

    with caplog.at_level(logging.WARNING, logger="xai_ray"), ThreadPoolExecutor(1) as threads:
        run = threads.submit(work)
        try:
            until(lambda: pids() == 1)
            node = cluster.add_node(num_cpus=1)
            until(lambda: pids() == 2)  # the pool has grown to it
            cluster.remove_node(node, allow_graceful=False)
            until(lambda: any("out of reach" in m or "is lost" in m for m in caplog.messages))
        finally:
            (tmp_path / "go").touch()
        run.result()

    expected: list[Record] = []
    InlineEngine().run(SumOfProducts(), DESIGN, UNITS, expected.append, lambda: False)
    records.sort(key=lambda r: r.unit)
    assert [r.unit for r in records] == UNITS
    assert sum(r.facts["evaluations"] for r in records) == 128
    assert b"".join(r.values.tobytes() for r in records) == b"".join(r.values.tobytes() for r in expected)
    (told,) = replay_log(log)
    assert told.ended == "finished"
    assert told.events["Resize"] >= 1
    assert told.events["WorkerDoubtful"] + told.events["WorkerLost"] >= 1


def test_a_bad_node_is_avoided_as_long_as_there_is_another(cluster: Cluster) -> None:
    cluster.add_node(num_cpus=1)
    until(lambda: len(alive_nodes()) == 2)
    head = ray.get_runtime_context().get_node_id()
    (other,) = set(alive_nodes()) - {head}
    game = ray.put(shipped(SumOfProducts(), DESIGN, dumps))
    for avoid, expected in (({head}, other), ({other}, head)):
        pool = Pool(Sizing(1, 0), game, None)
        try:
            pool.start(0, avoid)
            (call,) = pool.calls
            assert ray.get(call, timeout=120) == Loaded(expected)
        finally:
            pool.close()
    pool = Pool(Sizing(1, 0), game, None)
    try:
        pool.start(0, set(alive_nodes()))
        (call,) = pool.calls
        assert ray.get(call, timeout=120).node in {head, other}
    finally:
        pool.close()
