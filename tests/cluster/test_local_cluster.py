"""`cluster/local.py`: what it brings up works, and it ends what it started and nothing else."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from cluster import local, local_parts, local_state
from tests.cluster.host_run import UNITS, evaluated, values
from xai_ray.engine import InlineEngine
from xai_ray.errors import EngineError

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "cluster" / "local.py"


SUBMITS = (ROOT / "xai_ray" / "remote_job.py").exists()
"""Whether this version hands jobs to clusters."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, as sockets below it need; whatever the test left running is ended."""
    with tempfile.TemporaryDirectory(prefix="xrl", dir="/tmp") as made:
        place = Path(made) / "c"
        yield place
        state = local_state.read(place)
        if state is not None:
            local_state.end(state.parts, print)


def script(folder: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--dir", str(folder), *arguments],
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def settings(text: str) -> dict[str, str]:
    """What a shell would have after these lines."""
    return dict(shlex.split(line)[1].split("=", 1) for line in text.splitlines() if line.startswith("export "))


def eventually(holds: Callable[[], bool], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def server_or_skip() -> None:
    try:
        local_parts.redis_program()
    except EngineError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.mark.ray
def test_up_run_lose_a_worker_and_down(folder: Path, tmp_path: Path) -> None:
    server_or_skip()
    first = script(folder, "up", "--nodes", "2", "--redis")
    assert first.returncode == 0, first.stderr
    found = settings(first.stdout)
    assert Path(found["RAY_AUTH_TOKEN_PATH"]).stat().st_mode & 0o077 == 0
    assert Path(found["XAI_RAY_REDIS_PASSWORD_FILE"]).stat().st_mode & 0o077 == 0
    port = int(found["XAI_RAY_STORE"].rpartition(":")[2].partition("/")[0])
    assert local_parts.redis_answers(port, Path(found["XAI_RAY_REDIS_PASSWORD_FILE"]))
    runs_as_inline(found, tmp_path)
    if SUBMITS:
        submitted_gives_what_inline_gives(found, tmp_path)

    again = script(folder, "up", "--nodes", "1")
    assert again.returncode == 0
    assert settings(again.stdout) == found
    assert "is up already" in again.stderr

    state = local_state.read(folder)
    assert state is not None
    assert [part.name for part in state.parts] == ["redis", "head", "worker1", "worker2"]
    os.kill(state.parts[2].pid, signal.SIGKILL)
    eventually(lambda: not local_state.alive(state.parts[2]))
    told = script(folder, "status")
    assert told.returncode == 3
    assert [line.split()[1] for line in told.stdout.splitlines()] == ["running", "running", "ended", "running"]
    assert script(folder, "up").returncode == 3

    ended = script(folder, "down")
    assert ended.returncode == 0, ended.stderr
    assert "worker1" in ended.stderr
    assert not any(local_state.alive(part) for part in state.parts)
    assert not folder.exists()
    assert not sessions_left(state.parts)


def sessions_left(parts: Sequence[local_state.Part]) -> list[int]:
    """Processes that still run in the sessions of these parts."""
    sessions = {str(part.pid) for part in parts}
    left = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[3] in sessions and fields[0] not in "ZX":
            left.append(int(entry.parent.name))
    return left


def runs_as_inline(found: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "values.npy"
    command = [sys.executable, "-m", "tests.cluster.host_run", found["XAI_RAY_ADDRESS"], str(out), "0.0"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment |= found | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert len(out.with_suffix(".commits").read_text().splitlines()) == len(UNITS)
    assert np.load(out).tobytes() == values(evaluated(InlineEngine(), 0.0)).tobytes()


def submitted_gives_what_inline_gives(found: dict[str, str], tmp_path: Path) -> None:
    """With nothing but what `up` printed: a job through Ray Jobs and Redis, and one in a process of its own."""
    spec = str(ROOT / "jobs" / "glove.toml")
    job = xai_ray(found, "submit", spec).splitlines()[-1]
    xai_ray(found, "watch", job, "--every", "0.5")
    alone = {"XAI_RAY_STORE": str(tmp_path / "runs"), "XAI_RAY_ENGINE": "inline"}
    xai_ray(alone, "run", spec, "--quiet")
    answers = [json.loads(xai_ray(place, "result", job, "--format", "json")) for place in (found, alone)]
    for key in ("digest", "evaluations", "estimates"):
        assert answers[0][key] == answers[1][key]


def xai_ray(found: dict[str, str], *words: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "XAI_RAY_"))}
    done = subprocess.run(
        [sys.executable, "-m", "xai_ray.cli", *words],
        cwd=ROOT,
        env=kept | found | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.ray
def test_a_stop_while_it_comes_up_ends_what_was_started(folder: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--dir", str(folder), "up", "--nodes", "1"]
    process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    eventually(lambda: process.poll() is not None or local_state.read(folder) is not None)
    state = local_state.read(folder)
    assert state is not None
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130, told
    assert not any(local_state.alive(part) for part in state.parts)
    assert local_state.read(folder) is None


def fake(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_part_that_fails_ends_the_others_and_says_why(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server_or_skip()
    broken = fake(tmp_path / "ray", "echo this ray is broken >&2; exit 7")
    monkeypatch.setattr(local_parts, "ray_program", lambda: broken)
    ports = {"head": 0, "dashboard": 0, "redis": 0, "client": 0}
    with pytest.raises(EngineError, match=r"head ended.*this ray is broken.*has been ended"):
        local.up(folder, 1, 1, True, ports, 100 << 20)
    assert "ended redis" in capsys.readouterr().err
    assert local_state.read(folder) is None


def test_a_port_in_use_is_refused_before_anything_starts(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        told = script(folder, "up", "--port", str(taken.getsockname()[1]))
    assert told.returncode == 2
    assert "in use" in told.stderr
    assert local_state.read(folder) is None


def test_wrong_arguments_and_states_are_told_in_words(folder: Path) -> None:
    for arguments in (["up", "--nodes", "-1"], ["up", "--port", "29000", "--dashboard-port", "29000"]):
        told = script(folder, *arguments)
        assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    told = script(Path("/tmp") / ("x" * 60), "up")
    assert told.returncode == 2
    assert "shorter path" in told.stderr
    assert script(folder, "down").returncode == 0
    assert script(folder, "status").returncode == 3
    folder.mkdir(exist_ok=True)
    (folder / local_state.STATE).write_text("[]")
    for command in ("down", "status", "up"):
        told = script(folder, command)
        assert told.returncode == 3
        assert "Traceback" not in told.stderr
    (folder / local_state.STATE).unlink()


def test_a_process_id_that_another_process_has_by_now_is_left_alone() -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        started = local_state.started_at(other.pid)
        assert started is not None
        told: list[str] = []
        local_state.end([local_state.Part("worker", other.pid, started + "0", "log")], told.append)
        assert told == [f"worker (process {other.pid}) has ended already"]
        assert other.poll() is None
        local_state.end([local_state.Part("worker", other.pid, started, "log")], told.append)
        assert other.wait(10) == -signal.SIGTERM
    finally:
        other.kill()


def test_a_part_that_will_not_end_is_killed_with_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_state, "_GRACE_SECONDS", 0.5)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    part = local_state.start("stubborn", [sys.executable, "-c", code], tmp_path / "log", dict(os.environ))
    eventually(lambda: (tmp_path / "log").read_text() == "up\n")
    told: list[str] = []
    local_state.end([part], told.append)
    assert told == [f"killed stubborn (process {part.pid})"]
    assert not local_state.alive(part)
