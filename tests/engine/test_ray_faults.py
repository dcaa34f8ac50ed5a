"""What dies costs its units only; what cannot work says so. One Ray, with two GPUs that it only counts."""

from __future__ import annotations

import os
import signal
import socket
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.engine_games import Raises, SumOfProducts
from xai_ray.coalitions import Exhaustive, Unit
from xai_ray.engine import InlineEngine
from xai_ray.engine.committing import Ties
from xai_ray.engine.replay import replay_log
from xai_ray.errors import EngineError
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
    ray.init(address="local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level=40)
    yield
    ray.shutdown()


def never() -> bool:
    return False


@dataclass(frozen=True)
class Until(SumOfProducts):
    """Waits in the coalition with this code until the file exists; leaves its pid beside it."""

    folder: str = ""
    code: int = 0

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        if (coalitions @ (1 << np.arange(7)) == self.code).any() and not Path(self.folder, "go").exists():
            Path(self.folder, "new").write_text(str(os.getpid()))
            Path(self.folder, "new").rename(Path(self.folder, "pid"))
            wait_for(Path(self.folder, "go"))
        return super().values(coalitions, context)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


def expected() -> bytes:
    """The values of an undisturbed run, in canonical order."""
    records: list[Record] = []
    InlineEngine().run(SumOfProducts(), DESIGN, UNITS, records.append, never)
    return values_of(records)


def values_of(records: list[Record]) -> bytes:
    """Every unit once, and exactly the evaluations of the design."""
    assert sorted(r.unit for r in records) == UNITS
    assert sum(r.facts["evaluations"] for r in records) == 128
    return b"".join(r.values.tobytes() for r in sorted(records, key=lambda r: r.unit))


@pytest.mark.parametrize("actors", [1, 3])
def test_a_killed_process_costs_its_units_only(tmp_path: Path, actors: int) -> None:
    def kill() -> None:
        wait_for(tmp_path / "pid")
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        (tmp_path / "go").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    records: list[Record] = []
    engine = RayEngine(actors=actors, gpus_per_actor=0)
    engine.run(Until(folder=str(tmp_path), code=20), DESIGN, UNITS, records.append, never)
    killer.join()
    killed = int((tmp_path / "pid").read_text())
    assert killed not in {r.facts["pid"] for r in records if r.unit == Unit(16, 24)}
    assert values_of(records) == expected()


@dataclass(frozen=True)
class Meeting(SumOfProducts):
    """Waits until so many processes have come, and then for `go`; each leaves its pid."""

    folder: str = ""
    guests: int = 2

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        Path(self.folder, f"pid-{os.getpid()}").touch()
        if not Path(self.folder, "go").exists():
            wait_for(Path(self.folder, "go"))
        return super().values(coalitions, context)


def guests(folder: Path, count: int) -> list[int]:
    """Pids of the processes that have come, once there are so many."""
    deadline = time.monotonic() + 90
    while len(found := [int(p.name[4:]) for p in folder.glob("pid-*")]) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} came"
        time.sleep(0.02)
    return found


def test_two_processes_killed_at_once(tmp_path: Path) -> None:
    def kill() -> None:
        for pid in guests(tmp_path, 2):
            os.kill(pid, signal.SIGKILL)
        (tmp_path / "go").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    records: list[Record] = []
    RayEngine(actors=2, gpus_per_actor=0).run(Meeting(folder=str(tmp_path)), DESIGN, UNITS, records.append, never)
    killer.join()
    assert values_of(records) == expected()
    assert len(list(tmp_path.glob("pid-*"))) > 2


def test_a_frozen_process_is_overtaken_by_a_copy(tmp_path: Path) -> None:
    def freeze() -> None:
        wait_for(tmp_path / "pid")
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGSTOP)
        (tmp_path / "go").touch()

    freezer = threading.Thread(target=freeze)
    freezer.start()
    records: list[Record] = []
    engine = RayEngine(actors=2, gpus_per_actor=0)
    try:
        engine.run(Until(folder=str(tmp_path), code=20), DESIGN, UNITS, records.append, never)
    finally:
        freezer.join()
        with suppress(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert values_of(records) == expected()
    (copied,) = [r for r in records if r.unit == Unit(16, 24)]
    assert copied.facts["pid"] != int((tmp_path / "pid").read_text())


@dataclass(frozen=True)
class Late(SumOfProducts):
    """The first process at code 20 waits for `go` and leaves `late`; code 127 waits for `late`."""

    folder: str = ""

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        codes = coalitions @ (1 << np.arange(7))
        out = super().values(coalitions, context)
        if (codes == 20).any():
            try:
                Path(self.folder, "first").touch(exist_ok=False)
            except FileExistsError:
                return out
            wait_for(Path(self.folder, "go"))
            Path(self.folder, "late").touch()
        if (codes == 127).any():
            wait_for(Path(self.folder, "late"))
        return out


def test_a_late_delivery_is_committed_once(tmp_path: Path) -> None:
    records: list[Record] = []

    def commit(record: Record) -> None:
        records.append(record)
        if record.unit == Unit(16, 24):
            (tmp_path / "go").touch()

    log: list[dict[str, Any]] = []
    engine = RayEngine(actors=3, gpus_per_actor=0)
    engine.run(Late(folder=str(tmp_path)), DESIGN, UNITS, commit, never, Ties(log=log.append))
    assert values_of(records) == expected()
    (told,) = replay_log(log)
    assert told.ended == "finished"
    assert told.actions["Commit"] == len(UNITS)
    assert told.actions["Leave"] >= 1


def test_a_unit_that_always_kills_its_worker_is_quarantined_and_named() -> None:
    records: list[Record] = []
    engine = RayEngine(actors=2, gpus_per_actor=0)
    with pytest.raises(EngineError, match=r"unit \[16, 24\) killed 3 workers") as caught:
        engine.run(Raises(how="kill", code=20), DESIGN, UNITS, records.append, never)
    assert "Traceback" not in str(caught.value)
    assert len({r.unit for r in records}) == len(records)
    assert Unit(16, 24) not in {r.unit for r in records}


@dataclass(frozen=True)
class Device(SumOfProducts):
    """Its values are the GPU that Ray gave its worker and its threads; waits until four workers have come."""

    folder: str = ""

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        Path(self.folder, str(os.getpid())).touch()
        deadline = time.monotonic() + 60
        while len(os.listdir(self.folder)) < 4:
            assert time.monotonic() < deadline, "fewer than four workers"
            time.sleep(0.01)
        gpu, threads = os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"]
        return np.tile([float(gpu), float(threads)], (len(coalitions), 1))


def test_four_actors_share_two_gpus_by_halves(tmp_path: Path) -> None:
    records: list[Record] = []
    engine = RayEngine(gpus_per_actor=0.5)
    engine.run(Device(folder=str(tmp_path)), DESIGN, UNITS, records.append, never)
    gpu_of = {r.facts["pid"]: r.values[0, 0] for r in records}
    assert sorted(gpu_of.values()) == [0, 0, 1, 1]
    assert {r.values[0, 1] for r in records} == {1}


def test_what_fits_nowhere_is_refused() -> None:
    with pytest.raises(EngineError, match="an actor needs 64 CPUs and 0 GPUs, the cluster has 4 CPUs and 2 GPUs"):
        RayEngine(cpus_per_actor=64, gpus_per_actor=0).run(SumOfProducts(), DESIGN, UNITS, print, never)


def test_a_game_of_a_module_that_only_this_process_can_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        import numpy as np

        class Sizes:
            n_players, n_outputs, block, stochastic, digest = 7, 1, 1, False, "00"
            player_names, output_names = tuple("abcdefg"), ("size",)

            def __init__(self):
                self.calls = np.zeros(1)

            def values(self, coalitions, context):
                self.calls += 1  # arrays of a game stay writable in a worker
                return coalitions.sum(axis=1, dtype=np.float64)[:, None]
    """
    (tmp_path / "a_module_of_the_user.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    import a_module_of_the_user  # type: ignore[import-not-found]

    records: list[Record] = []
    RayEngine(actors=1, gpus_per_actor=0).run(a_module_of_the_user.Sizes(), DESIGN, UNITS, records.append, never)
    assert sum(float(r.values.sum()) for r in records) == 7 * 64


def test_a_game_that_workers_cannot_load_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere(SumOfProducts):
        def __reduce__(self):
            return __import__, ("a_module_that_is_nowhere",)

    with pytest.raises(
        EngineError, match=r"cannot be loaded in a worker: ModuleNotFoundError: .*a_module_that_is_nowhere"
    ):
        RayEngine(actors=1, gpus_per_actor=0).run(Nowhere(), DESIGN, UNITS, print, never)


def test_a_game_that_cannot_be_pickled_names_the_part() -> None:
    game = SumOfProducts()
    object.__setattr__(game, "model", {"layers": [1, threading.Lock()]})
    with pytest.raises(
        EngineError, match=r"SumOfProducts\.model\['layers'\]\[1\] \(a _thread\.lock\) cannot be pickled"
    ):
        RayEngine(actors=1, gpus_per_actor=0).run(game, DESIGN, UNITS, print, never)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_commit_raises_comes_through_and_workers_are_released(error: type[BaseException]) -> None:
    pids: list[int] = []

    def commit(record: Record) -> None:
        pids.append(record.facts["pid"])
        raise error

    with pytest.raises(error):
        RayEngine(actors=1, gpus_per_actor=0).run(SumOfProducts(), DESIGN, UNITS, commit, never)
    deadline = time.monotonic() + 30
    while alive(pids[0]):
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.05)
    assert ray.is_initialized()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("wrong", [{"actors": 0}, {"cpus_per_actor": 0}, {"gpus_per_actor": -1}])
def test_arguments_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(EngineError, match=next(iter(wrong))):
        RayEngine(**wrong)  # type: ignore[arg-type]


def test_a_cluster_out_of_reach_is_named() -> None:
    ray.shutdown()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(EngineError, match=f"no Ray cluster at {address}: .*refused.*check that the cluster runs"):
            RayEngine(address=address).run(SumOfProducts(), DESIGN, UNITS, print, never)
    assert time.monotonic() - began < 30


def test_a_local_ray_writes_no_token_into_the_home_directory(tmp_path: Path) -> None:
    import subprocess

    code = "from xai_ray.engine.ray_connection import connected\nwith connected(None, 1): pass"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
    assert not (tmp_path / ".ray").exists()
