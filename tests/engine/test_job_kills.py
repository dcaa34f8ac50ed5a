"""Kill a run at any moment: what was committed stays, and `resume` ends with the bits of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import cli
from tests.cli.runs import Cli, environment, written

__all__ = ["cli"]

EVALUATIONS = 400
DEADLINE = 60.0

MODULE = """
import time
import numpy as np

class Slow:
    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, rows):
        time.sleep(self.seconds)
        return np.stack([np.tanh(rows).sum(axis=1), np.sin(rows * rows[:, ::-1]).sum(axis=1)], axis=1)

def slow():
    from pathlib import Path
    return Slow(float(Path(__file__).with_name("seconds").read_text()))
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Ten columns, 100 units of two forward passes; how long one takes is not part of the job."""
    (tmp_path / "slowly.py").write_text(MODULE)
    (tmp_path / "rows.csv").write_text(",".join("abcdefghij") + "\n" + ",".join(str(i / 7) for i in range(10)) + "\n")
    return written(
        tmp_path,
        {
            "name": "slow",
            "game": {
                "kind": "model",
                "model": {"factory": "slowly:slow"},
                "input": {"table": "rows.csv", "row": 0},
                "players": {"kind": "columns"},
                "removal": {"kind": "zeros"},
                "behaviour": {"kind": "raw", "target": "all"},
            },
            "ask": [{"index": "SV"}, {"index": "SII"}],
            "budget": {"evaluations": EVALUATIONS},
            "compute": {"batch": 4},
        },
    )


def speed(spec: Path, seconds: float) -> None:
    spec.with_name("seconds").write_text(str(seconds))


@contextmanager
def started(spec: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a process of its own, with everything it starts gone afterwards."""
    command = [sys.executable, "-m", "xai_ray.cli", *map(str, arguments)]
    # A job in the background of a shell is started with Ctrl-C ignored, and its children would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    child = subprocess.Popen(
        command,
        cwd=spec.parent,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate(timeout=DEADLINE)


def wait(child: subprocess.Popen[bytes], what: Callable[[], bool]) -> None:
    """Until it holds, while the child lives."""
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def committed(spec: Path) -> int:
    return len(list(spec.parent.glob("runs/*/units/*/*.arrow")))


def undisturbed(cli: Cli, spec: Path) -> bytes:
    speed(spec, 0)
    assert cli("run", spec, "--store", "undisturbed", "--out", "undisturbed-out").code == 0
    return (spec.parent / "undisturbed-out" / "result.json").read_bytes()


def resumed(cli: Cli, spec: Path, job: str) -> bytes:
    speed(spec, 0)
    ended = cli("resume", job, "--out", "resumed-out")
    assert ended.code == 0, ended.err
    return (spec.parent / "resumed-out" / "result.json").read_bytes()


def test_sigkill_again_and_again(cli: Cli, spec: Path) -> None:
    whole = undisturbed(cli, spec)
    speed(spec, 0.01)
    begun: list[int] = []
    for moment in (0, 20, 60):
        with started(spec, "run", spec, "--engine", "inline") as child:
            wait(child, lambda: any(spec.parent.glob("runs/*/manifest.json")))
            goal = moment
            wait(child, lambda goal=goal: committed(spec) >= goal)
            child.send_signal(signal.SIGKILL)
            child.wait(timeout=DEADLINE)
        begun.append(committed(spec))
    assert begun == sorted(begun)
    assert 60 <= begun[-1] < 100
    (row,) = cli("list", "--json").json
    assert (row["state"], row["units"]) == ("killed", begun[-1])
    assert "killed" in cli("watch", row["job"]).text
    new = cli("result", row["job"], "--partial", "--format", "json").json["evaluations"]
    assert 60 * 4 <= new < EVALUATIONS
    assert resumed(cli, spec, row["job"]) == whole
    assert cli("status", row["job"], "--json").json["state"] == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on(cli: Cli, spec: Path, number: signal.Signals) -> None:
    whole = undisturbed(cli, spec)
    speed(spec, 0.01)
    with started(spec, "run", spec, "--engine", "inline") as child:
        wait(child, lambda: committed(spec) >= 5)
        child.send_signal(number)
        out, err = child.communicate(timeout=DEADLINE)
    assert (child.returncode, out) == (130, b"")
    (row,) = cli("list", "--json").json
    assert f"xai-ray resume {row['job']}" in err.decode()
    assert b"Traceback" not in err
    assert row["state"] == "interrupted"
    assert 5 <= row["units"] < 100
    assert resumed(cli, spec, row["job"]) == whole


def test_ctrl_c_while_the_model_loads(spec: Path) -> None:
    """Before anything is in the store: 130 all the same, and no traceback."""
    spec.with_name("slowly.py").write_text("import pathlib, time\npathlib.Path('loading').touch()\ntime.sleep(60)\n")
    with started(spec, "run", spec, "--engine", "inline") as child:
        wait(child, (spec.parent / "loading").exists)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 130
    assert b"Traceback" not in err
    assert b"interrupted" in err


def test_cancel_from_another_terminal(cli: Cli, spec: Path) -> None:
    whole = undisturbed(cli, spec)
    speed(spec, 0.02)
    with started(spec, "run", spec, "--engine", "inline") as child:
        wait(child, lambda: committed(spec) >= 3)
        (row,) = cli("list", "--json").json
        assert row["state"] == "running"
        assert cli("cancel", row["job"]).code == 0
        _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 130
    assert f"xai-ray resume {row['job']}" in err.decode()
    assert cli("status", row["job"], "--json").json["state"] == "cancelled"
    assert resumed(cli, spec, row["job"]) == whole


def test_two_processes_run_one_job_into_one_store(cli: Cli, spec: Path) -> None:
    whole = undisturbed(cli, spec)
    speed(spec, 0.005)
    folder = spec.parent
    with (
        started(spec, "run", spec, "--engine", "inline", "--out", "one") as one,
        started(spec, "run", spec, "--engine", "inline", "--out", "two") as two,
    ):
        for child in (one, two):
            _, err = child.communicate(timeout=DEADLINE)
            assert child.returncode == 0, err
    assert (folder / "one" / "result.json").read_bytes() == whole
    assert (folder / "two" / "result.json").read_bytes() == whole
    assert committed(spec) == 100


@pytest.mark.ray
def test_sigkill_of_a_run_on_ray(cli: Cli, spec: Path) -> None:
    whole = undisturbed(cli, spec)
    speed(spec, 0.05)
    with started(spec, "run", spec, "--engine", "ray", "--actors", 2) as child:
        wait(child, lambda: committed(spec) >= 4)
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=DEADLINE)
    assert 4 <= committed(spec) < 100
    (row,) = cli("list", "--json").json
    assert resumed(cli, spec, row["job"]) == whole
