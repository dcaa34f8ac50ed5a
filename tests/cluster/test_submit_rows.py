"""A dataset job on a real cluster, killed in the middle: its rows are there while it runs, and at the end its table has the same bytes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import xai_ray as xr
from tests.cli.conftest import cli as cli
from tests.cli.runs import Cli, written
from tests.cluster.running import Head
from tests.waiting import until

pytestmark = pytest.mark.ray

MODEL = """
import os
import time

import numpy as np


class Gated:
    def __init__(self, gate):
        self.gate = gate

    def __call__(self, rows):
        while (rows[:, 0] > 50).any() and not os.path.exists(self.gate):
            time.sleep(0.02)
        return np.square(rows).sum(axis=1)


def make(gate):
    return Gated(gate)
"""


def rows_spec(folder: Path) -> Path:
    """Eight rows of five columns, a unit each; the model waits for a file at those from the fourth on."""
    folder.mkdir()
    (folder / "gated_rows.py").write_text(MODEL)
    rows = np.random.default_rng(0).normal(size=(8, 5))
    rows[3:, 0] = 99
    np.save(folder / "rows.npy", rows)
    game = {
        "kind": "model",
        "model": {"factory": "gated_rows:make", "arguments": {"gate": str(folder / "gate")}},
        "input": {"dataset": "rows.npy"},
        "players": {"kind": "columns"},
        "removal": {"kind": "zeros"},
        "behaviour": {"kind": "raw"},
    }
    asks = [{"index": "SV", "estimator": "leverage"}]
    compute = {"unit_rows": 1, "batch": 8}
    spec = {"name": "rows", "game": game, "ask": asks, "budget": {"evaluations": 28}, "compute": compute}
    return written(folder, spec)


def test_killed_on_the_cluster_and_resumed(cli: Cli, door: Head, tmp_path: Path) -> None:
    spec, store = rows_spec(tmp_path / "code"), f"file://{tmp_path}/shared"
    where = ("--address", door.address, "--store", store)
    ended = cli("submit", spec, *where, "--actors", 1)
    assert ended.code == 0, ended.err
    job = ended.text.strip()
    handle = xr.Client(door.address, store).job(job)
    until(lambda: handle.status()["units"] == 3, "the rows before the gate", seen=handle.logs)
    partial = cli("result", job, "--store", store, "--partial", "--format", "arrow")
    assert partial.code == 0, partial.err
    some = pa.ipc.open_file(partial.out).read_all()
    assert some["row"].to_pylist() == [0, 1, 2]
    pid = next(e["pid"] for e in handle.store.events(job) if e["event"] == "started")
    os.kill(pid, signal.SIGKILL)
    until(lambda: handle.status()["state"] == "lost", "the loss to be seen")
    (tmp_path / "code" / "gate").touch()
    assert cli("resume", job, *where).code == 0
    ended = cli("watch", job, *where, "--every", 0.3, "--out", "out")
    assert ended.code == 0, ended.err
    assert cli("run", spec, "--store", "home", "--out", "home-out", "-q").code == 0
    table = Path("home-out/result.arrow").read_bytes()
    assert Path("out/result.arrow").read_bytes() == table
    assert pa.ipc.open_file(table).read_all().slice(0, some.num_rows).equals(some)
    assert cli("replay", job, "--unit", 3, "--store", store).json["same_bits"] is True
    again = cli("submit", spec, *where)
    assert "finished already" in again.err
