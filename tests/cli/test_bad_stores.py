"""Stores that are read-only, full, damaged or another job's: named, never read as data, healed on request."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.runs import Cli, airport, environment, refused, written
from xai_ray.stores import ArrowFileStore, Manifest

BUDGET = 2000


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return written(tmp_path, airport(14, BUDGET))


@pytest.fixture
def job(cli: Cli, spec: Path) -> str:
    assert cli("run", spec, "--out", "whole").code == 0
    return cli("list", "--json").json[0]["job"]


def units(job: str) -> list[Path]:
    return sorted(Path("runs", job, "units").glob("*/*.arrow"))


def test_a_truncated_record_is_named_and_recomputed_on_request(cli: Cli, spec: Path, job: str) -> None:
    whole = Path("whole/result.json").read_bytes()
    assert len(units(job)) > 3
    victim = units(job)[1]
    data = victim.read_bytes()
    for damage in (data[: len(data) // 2], b"", data[:-20] + bytes(20), data[:200] + b"!" + data[201:]):
        victim.write_bytes(damage)
        words = [victim.name, "is damaged", "--recompute"]
        refused(cli, 3, words, "result", job, "--format", "json")
        refused(cli, 3, words, "run", spec)
        refused(cli, 3, words, "resume", job)
        assert victim.read_bytes() == damage
        ended = cli("resume", job, "--recompute", "--out", "healed")
        assert ended.code == 0, ended.err
        assert Path("healed/result.json").read_bytes() == whole
        assert cli("result", job, "--format", "json").json["evaluations"] == BUDGET


def test_replay_of_a_damaged_record_is_refused(cli: Cli, job: str) -> None:
    first = next(u for u in units(job) if u.name.startswith("0-"))
    first.write_bytes(first.read_bytes()[:-30])
    refused(cli, 3, ["is damaged", first.name], "replay", job, "--unit", 0)


def test_a_lost_record_is_computed_again(cli: Cli, job: str) -> None:
    units(job)[2].unlink()
    ended = cli("resume", job, "--out", "healed")
    assert ended.code == 0
    assert Path("healed/result.json").read_bytes() == Path("whole/result.json").read_bytes()


@pytest.mark.parametrize("name", ["manifest.json", "segments/0000.json", "outcome.json"])
def test_a_damaged_file_of_the_job_is_named(cli: Cli, job: str, name: str) -> None:
    path = Path("runs", job, name)
    path.write_bytes(path.read_bytes()[:40])
    refused(cli, 3, [name, "damaged"], "result", job)


def test_a_damaged_job_does_not_hide_the_others(cli: Cli, tmp_path: Path, job: str) -> None:
    assert cli("run", written(tmp_path, airport(5, 32), "other.json")).code == 0
    path = Path("runs", job, "manifest.json")
    path.write_bytes(path.read_bytes()[:40])
    ended = cli("list", "--json")
    assert "Traceback" not in ended.err
    assert ended.code == 0, ended.err
    rows = {row["job"]: row["state"] for row in ended.json}
    assert rows.pop(job) == "damaged"
    assert list(rows.values()) == ["done"]


def test_a_store_that_belongs_to_another_spec(cli: Cli, spec: Path) -> None:
    job = cli("check", spec, "--json").json["job"]
    ArrowFileStore("runs").open(Manifest(job, "0" * 64, {"spec": None}))
    refused(cli, 3, ["belongs to another spec", "0000", "--store"], "run", spec)


def test_a_store_that_cannot_be_a_folder(cli: Cli, spec: Path) -> None:
    Path("file").write_text("")
    refused(cli, 3, ["file", "--store"], "run", spec, "--store", "file")
    refused(cli, 3, ["--store"], "run", spec, "--store", "file/below")


def test_a_store_that_is_read_only(cli: Cli, spec: Path) -> None:
    # A chmod would not stop the superuser; /proc refuses everybody.
    refused(cli, 3, ["cannot", "/proc/self/runs", "--store"], "run", spec, "--store", "/proc/self/runs")


@pytest.mark.parametrize("limit", [300, 2300])
def test_a_full_disk_loses_nothing(cli: Cli, tmp_path: Path, limit: int) -> None:
    """300 bytes do not hold a manifest, 2,300 do but not a record."""
    spec = written(tmp_path, airport(14, 16_000))
    command = [sys.executable, "-m", "xai_ray.cli", "run", str(spec), "--engine", "inline"]
    code = (
        f"import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=tmp_path,
        env=environment() | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"File too large" in done.stderr
    assert b"free some space" in done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert cli("run", spec, "--out", "after").code == 0
    assert cli("run", spec, "--out", "fresh", "--store", "fresh-store").code == 0
    assert Path("after/result.json").read_bytes() == Path("fresh/result.json").read_bytes()


def test_a_game_that_changed_since(cli: Cli, tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "v.npz", values=np.arange(8.0))
    spec = {"game": {"kind": "table", "path": "v.npz"}, "ask": [{"index": "SV"}], "budget": {"evaluations": "exact"}}
    assert cli("run", written(tmp_path, spec)).code == 0
    job = cli("list", "--json").json[0]["job"]
    np.savez(tmp_path / "v.npz", values=np.arange(8.0) ** 2)
    refused(cli, 3, ["builds another game"], "resume", job)
    assert cli("result", job, "--format", "json").code == 0


def test_a_job_from_python_says_how_to_go_on(cli: Cli) -> None:
    from xai_ray import GloveGame, explain

    found = explain(GloveGame(2, 4), "SV", budget="exact", store="runs")
    refused(cli, 2, ["Python objects", "explain("], "resume", found.job)
    assert cli("result", found.job, "--format", "json").json["estimates"] == found.to_document()["estimates"]


def test_a_job_that_is_not_finished(cli: Cli, spec: Path, job: str) -> None:
    """What a killed run leaves: no outcome, and records up to some draw."""
    Path("runs", job, "outcome.json").unlink()
    for unit in units(job):
        if int(unit.name.split("-")[0]) >= 500:
            unit.unlink()
    refused(cli, 3, ["resume", "--partial"], "result", job)
    part = cli("result", job, "--partial", "--format", "json")
    assert part.code == 0
    assert 1000 <= part.json["evaluations"] < BUDGET
    assert cli("report", job, "--partial", "--out", "part.html").code == 0
    for unit in units(job):
        unit.unlink()
    refused(cli, 2, ["no committed evaluations"], "result", job, "--partial")
    assert cli("run", spec, "--out", "again").code == 0
    assert json.loads(Path("again/result.json").read_text())["evaluations"] == BUDGET
    assert Path("again/result.json").read_bytes() == Path("whole/result.json").read_bytes()
