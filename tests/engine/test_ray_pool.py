"""The pool beside others: jobs that share a cluster, workers that are told to stop, numbers for Prometheus."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.engine_games import SumOfProducts
from tests.waiting import until
from xai_ray.coalitions import Exhaustive
from xai_ray.engine.committing import Ties
from xai_ray.engine.events import WorkerLost
from xai_ray.engine.replay import replay_log
from xai_ray.stores.protocol import Record, Segment
from xai_ray.types import Coalitions, Ints, Values

ray = pytest.importorskip("ray")
from xai_ray.engine.ray_engine import RayEngine  # noqa: E402

pytestmark = pytest.mark.ray

DESIGN = Exhaustive(7)
UNITS = list(Segment(0, 128, 8).units())


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    # A token in the environment keeps Ray from writing one into the home directory.
    os.environ.setdefault("RAY_AUTH_TOKEN", "a" * 64)
    ray.shutdown()
    often = {"metrics_report_interval_ms": 500}
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=40,
        namespace="xai_ray",
        _system_config=often,
    )
    yield
    ray.shutdown()


@dataclass(frozen=True)
class Waiting(SumOfProducts):
    """Leaves its pid; the coalition of all players waits for the file `go`."""

    folder: str = ""

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        Path(self.folder, f"pid-{os.getpid()}").touch()
        if coalitions.all(axis=1).any():
            until(Path(self.folder, "go").exists)
        return super().values(coalitions, context)


def pids(folder: Path) -> int:
    return len(list(folder.glob("pid-*")))


def test_a_job_that_comes_later_gets_its_share(tmp_path: Path) -> None:
    long, short = tmp_path / "long", tmp_path / "short"
    long.mkdir()
    short.mkdir()
    (short / "go").touch()
    records: dict[str, list[Record]] = {"long": [], "short": []}
    log: list[dict[str, Any]] = []

    def work(name: str, ties: Ties) -> None:
        game = Waiting(folder=str(tmp_path / name), seconds=0.05)
        RayEngine(gpus_per_actor=0).run(game, DESIGN, UNITS, records[name].append, lambda: False, ties)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(work, "long", Ties("long", log=log.append))
        try:
            until(lambda: pids(long) == 2)
            # The long job holds both CPUs, and cannot end before the short one has.
            threads.submit(work, "short", Ties("short")).result()
        finally:
            (long / "go").touch()
        first.result()
    assert [sorted(r.unit for r in records[name]) for name in ("long", "short")] == [UNITS, UNITS]
    (told,) = replay_log(log)
    assert told.events["Resize"] >= 1
    assert told.events["UnitFailed"] == 0  # nobody gave up waiting
    assert told.ended == "finished"


def test_a_stop_does_not_wait_for_units(tmp_path: Path) -> None:
    records: list[Record] = []
    began = time.monotonic()
    game = Waiting(folder=str(tmp_path))
    RayEngine(gpus_per_actor=0).run(game, DESIGN, UNITS[::-1], records.append, lambda: len(records) == len(UNITS) - 1)
    assert time.monotonic() - began < 120
    assert len(records) == len(UNITS) - 1


@dataclass(frozen=True)
class Terminated(SumOfProducts):
    """Its process gets SIGTERM at code 20, the first time; code 127 waits until that has happened."""

    folder: str = ""

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        codes = coalitions @ (1 << np.arange(7))
        if (codes == 20).any() and not pids(Path(self.folder)):
            os.kill(os.getpid(), signal.SIGTERM)
            Path(self.folder, f"pid-{os.getpid()}").touch()
            time.sleep(1.0)
        if (codes == 127).any():
            until(lambda: pids(Path(self.folder)))
        return super().values(coalitions, context)


def test_a_worker_that_is_told_to_stop_is_replaced_and_not_to_blame(tmp_path: Path) -> None:
    records: list[Record] = []
    log: list[dict[str, Any]] = []
    game = Terminated(folder=str(tmp_path))
    RayEngine(actors=1, gpus_per_actor=0).run(game, DESIGN, UNITS, records.append, lambda: False, Ties(log=log.append))
    assert sorted(r.unit for r in records) == UNITS
    assert sum(r.facts["evaluations"] for r in records) == 128
    (told,) = replay_log(log)
    (lost,) = [event for _, event, _ in told.steps if isinstance(event, WorkerLost)]
    assert not lost.blame
    assert "SIGTERM" in lost.reason


def test_the_numbers_of_a_run_reach_prometheus() -> None:
    RayEngine(gpus_per_actor=0).run(SumOfProducts(), DESIGN, UNITS, lambda record: None, lambda: False)
    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}"

    def scraped() -> str:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    until(lambda: "xai_ray_evaluations_total" in scraped() and "xai_ray_unit_seconds_count" in scraped())
    text = scraped()
    for name in ("xai_ray_commit_seconds_count", "xai_ray_units{", "xai_ray_actors{"):
        assert name in text, name
