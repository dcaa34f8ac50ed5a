"""The warm pool on a real cluster: the bits of `run`, and gone when it is stopped or idle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import cli as cli
from tests.cli.runs import Cli, Ended, airport, environment, glove, process, written
from tests.cluster.running import Head
from tests.waiting import until

pytestmark = pytest.mark.ray


EXPLAIN = """
import json, sys
from pathlib import Path
import xai_ray as xr

address, store, spec, join = sys.argv[1:]
client = xr.Client(address, store=store)
found = client.explain(spec, join=join)
other = json.loads(Path(spec).read_text())
other["game"]["arguments"]["costs"][0] += 1.0
try:
    client.explain(other, join=join)
    refusal = ""
except xr.errors.EngineError as error:
    refusal = str(error).split(" the game ")[0] + " the game"
done = [row for row in client.jobs() if row["state"] == "done"]
print(json.dumps([found.job, found.to_document()["estimates"], len(done), refusal]))
"""
"""Asks the warm pool through `Client.explain`, and once for a game that no pool has."""


class Outside:
    """Commands in processes of their own: a process that joined one Ray keeps its token for good."""

    def __init__(self, folder: Path, head: Head, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.head = folder, head
        for name, value in head.variables().items():
            patch.setenv(name, value)

    def __call__(self, *arguments: object) -> Ended:
        return process(self.folder, *arguments, timeout=200)

    def python(self, code: str, *arguments: str) -> Ended:
        command = [sys.executable, "-c", code, *arguments]
        variables = {**environment(), **self.head.variables()}
        done = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, timeout=200, check=False)
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    def pool(self) -> list[dict[str, Any]]:
        ended = self("serve", "status", "--address", self.head.gcs, "--json")
        assert ended.code == 0, ended.err
        return ended.json


@pytest.fixture
def outside(door: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outside:
    return Outside(tmp_path, door, monkeypatch)


def test_a_warm_pool_answers_with_the_same_bits_and_ends(cli: Cli, outside: Outside, tmp_path: Path) -> None:
    spec = written(tmp_path, airport(12, 300, {"index": "SV", "estimator": "leverage"}))
    where = ("--address", outside.head.gcs)
    ended = outside("serve", "start", "--game", spec, "--actors", 2, *where, "--json")
    assert ended.code == 0, ended.err
    assert len(ended.json) == 2
    assert len({facts["pid"] for facts in ended.json}) == 2
    ended = outside("run", spec, "--warm", *where, "--store", "warm", "--out", "warm-out", "--quiet")
    assert ended.code == 0, ended.err
    assert cli("run", spec, "--store", "home", "--out", "home-out", "--quiet").code == 0
    assert (tmp_path / "warm-out/result.json").read_bytes() == (tmp_path / "home-out/result.json").read_bytes()
    assert json.loads((tmp_path / "warm-out/result.json").read_text())["evaluations"] == 300
    asked = outside.python(EXPLAIN, outside.head.address, f"file://{tmp_path}/asked", str(spec), outside.head.gcs)
    assert asked.code == 0, asked.err
    told = json.loads((tmp_path / "home-out/result.json").read_text())
    assert asked.json == [told["job"], told["estimates"], 1, "no warm pool on this cluster has the game"]
    found = outside.pool()
    assert sum(facts["evaluations"] for facts in found) == 600
    assert all(facts["memory"] > 0 for facts in found)
    other = outside("run", written(tmp_path, glove(), "other.json"), "--warm", *where, "--store", "warm")
    assert other.code == 3
    assert "no warm pool on this cluster has the game" in other.err
    ended = outside("serve", "stop", *where)
    assert (ended.code, ended.err) == (0, "removed 2 warm workers\n")


def test_an_idle_worker_ends_by_itself(outside: Outside, tmp_path: Path) -> None:
    spec = written(tmp_path, glove())
    ended = outside("serve", "start", "--game", spec, "--idle", 1, "--address", outside.head.gcs)
    assert ended.code == 0, ended.err
    until(lambda: outside.pool() == [], "an idle worker to end", 120)
