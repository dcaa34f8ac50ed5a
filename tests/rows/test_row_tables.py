"""The table of a dataset job while it runs: parts that any reader of Arrow opens, whatever is killed, and the same bytes at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import dataset as arrow_dataset

import xai_ray as xr
from tests.cli.conftest import cli
from tests.cli.runs import Cli, environment
from tests.redis_server import KINDS, running
from tests.rows.models import tabular
from tests.rows.test_row_doors import folder, spec
from tests.waiting import until
from xai_ray.reports.row_parts import RowParts
from xai_ray.reports.rows_arrow import write_rows
from xai_ray.stores import open_store

__all__ = ["cli", "folder"]


@pytest.fixture(params=["file", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield f"file://{tmp_path}/runs"
        return
    with running(KINDS[0]) as server:
        yield server.url


def read(parts: Path) -> pa.Table:
    return arrow_dataset.dataset(sorted(map(str, parts.glob("part-*.arrow"))), format="arrow").to_table()


def test_killed_in_the_middle_the_rows_are_there_and_the_end_is_the_same(cli: Cli, folder: Path, store: str) -> None:
    source = spec(folder, {"dataset": "rows.parquet", "id": "who"}, compute={"unit_rows": 1, "batch": 8})
    assert cli("run", source, "--store", "undisturbed", "--out", "whole", "-q").code == 0
    whole = Path("whole/result.arrow").read_bytes()
    assert [p.name for p in Path("whole").iterdir() if p.is_dir()] == []
    job = cli("list", "--store", "undisturbed", "--json").json[0]["job"]
    (folder / "seconds").write_text("0.03")
    command = [sys.executable, "-m", "xai_ray.cli", "run", str(source), "--store", store, "--engine", "inline"]
    child = subprocess.Popen([*command, "-q", "--out", "out"], cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    parts = folder / "out" / f"{job}.rows"
    try:
        until(lambda: len(list(parts.glob("part-*.arrow"))) >= 3 or child.poll() is not None, "three parts")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    expected = pa.ipc.open_file(whole).read_all()
    some = read(parts)
    assert 3 <= some.num_rows < 12
    assert some.equals(expected.slice(0, some.num_rows))
    partial = cli("result", job, "--store", store, "--partial", "--format", "arrow")
    assert partial.code == 0, partial.err
    there = pa.ipc.open_file(partial.out).read_all()
    assert some.num_rows <= there.num_rows < 12
    assert there.equals(expected.slice(0, there.num_rows))
    assert xr.open_rows(job, store, partial=True).n_rows == there.num_rows
    assert cli("result", job, "--store", store).code == 3
    (folder / "seconds").write_text("0")
    resumed = cli("resume", job, "--store", store, "--out", "out", "-q")
    assert resumed.code == 0, resumed.err
    assert Path("out/result.arrow").read_bytes() == whole
    assert not parts.exists()
    assert cli("replay", job, "--unit", "2", "--store", store).json["same_bits"] is True
    assert cli("status", job, "--store", store, "--json").json["state"] == "done"


def test_watching_writes_the_rows_that_others_compute(cli: Cli, folder: Path, store: str) -> None:
    source = spec(folder, {"dataset": "rows.npy"})
    assert cli("run", source, "--store", store, "--out", "out", "-q").code == 0
    job = cli("list", "--store", store, "--json").json[0]["job"]
    place = open_store(store)
    parts = RowParts(place, place.manifest(job), folder / "seen")
    parts.catch_up()
    whole = pa.ipc.open_file(Path("out/result.arrow").read_bytes()).read_all()
    assert read(parts.folder).equals(whole)
    assert len(list(parts.folder.iterdir())) == 4
    ended = cli("watch", job, "--store", store, "--every", "0.1", "--out", "seen")
    assert ended.code == 0, ended.err
    assert Path("seen/result.arrow").read_bytes() == Path("out/result.arrow").read_bytes()
    assert not parts.folder.exists()


def test_a_folder_that_cannot_be_written_loses_nothing(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "rows.npy"})
    (folder / "out").write_text("a file")
    ended = cli("run", source, "--store", "runs", "--out", "out", "-q")
    assert ended.code == 2
    assert "give another folder with --out; what was computed is in the store" in ended.err
    assert "Traceback" not in ended.err
    again = cli("run", source, "--store", "runs", "--out", "other", "-q")
    assert again.code == 0, again.err


def peak(rows: int, where: Path) -> tuple[int, int]:
    """Python's and Arrow's largest memory while the table of so many rows is written and summed up."""
    found = xr.explain_rows(tabular(rows=rows, columns=4), budget="exact", unit_rows=16, store=str(where))
    found = xr.open_rows(found.job, str(where))
    pool = pa.system_memory_pool()
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        write_rows(found, where / "result.arrow")
        found.global_values()
        return tracemalloc.get_traced_memory()[1], pool.bytes_allocated()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


def test_the_memory_of_a_result_does_not_grow_with_its_rows(tmp_path: Path) -> None:
    peak(32, tmp_path / "warm")
    few, many = peak(64, tmp_path / "few"), peak(1280, tmp_path / "many")
    size = (tmp_path / "many" / "result.arrow").stat().st_size
    assert many[0] < few[0] + size / 4
    assert many[1] <= few[1] + size / 4
    shutil.rmtree(tmp_path)


def test_parts_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = open_store(f"file://{tmp_path}/runs")
    job = xr.explain_rows(tabular(rows=6, columns=4), budget="exact", unit_rows=2, store=place).job
    parts = RowParts(place, place.manifest(job), tmp_path)
    parts.catch_up()
    times = {p.name: p.stat().st_mtime_ns for p in parts.folder.iterdir()}
    asked: list[Any] = []
    monkeypatch.setattr(place, "records", lambda *given: asked.append(given))
    parts.catch_up()
    assert asked == []
    assert {p.name: p.stat().st_mtime_ns for p in parts.folder.iterdir()} == times
    assert np.array(read(parts.folder)["row"]).tolist() == list(range(6))
