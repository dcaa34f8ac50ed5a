"""Dataset jobs from specs: check, run, result, kill and resume; files of every kind; what is wrong with a dataset is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv_files
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

import xai_ray as xr
from tests.cli.conftest import cli
from tests.cli.runs import Cli, environment, written
from xai_ray.games.digest import fingerprint

__all__ = ["cli"]

NAMES = ("a", "b", "c", "d", "e", "f")
MODULE = """
import time
from pathlib import Path
import numpy as np
from xai_ray.zoo import ZooModel

class Slow:
    def __call__(self, rows):
        time.sleep(float(Path(__file__).with_name("seconds").read_text()))
        return np.stack([np.tanh(rows).sum(axis=1), np.sin(rows * rows[:, ::-1]).sum(axis=1) + rows[:, 0]], axis=1)

def named():
    return ZooModel(Slow(), "logits", class_names=("no", "yes"), columns=tuple("abcdef"))

def bright():
    return lambda pictures: pictures.mean(axis=(2, 3))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rowmodels.py").write_text(MODULE)
    (tmp_path / "seconds").write_text("0")
    rows = np.random.default_rng(0).normal(size=(12, 6))
    table = pa.table({name: rows[:, i] for i, name in enumerate(NAMES)} | {"who": [f"n{i}" for i in range(12)]})
    parquet.write_table(table, tmp_path / "rows.parquet")
    feather.write_feather(table, str(tmp_path / "rows.feather"))
    csv_files.write_csv(table, tmp_path / "rows.csv")
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", rows=rows)
    return tmp_path


def spec(folder: Path, source: dict[str, Any], factory: str = "named", **more: Any) -> Path:
    document: dict[str, Any] = {
        "name": "rows",
        "game": {
            "kind": "model",
            "model": {"factory": f"rowmodels:{factory}"},
            "input": source,
            "players": {"kind": "columns"},
            "removal": {"kind": "zeros"},
            "behaviour": {"kind": "log_odds"},
        }
        | more.pop("game", {}),
        "ask": [{"index": "SV"}],
        "budget": {"evaluations": 40},
        "compute": {"unit_rows": 3},
    }
    return written(folder, document | more)


SOURCES: dict[str, dict[str, Any]] = {
    "parquet": {"dataset": "rows.parquet", "id": "who"},
    "feather": {"dataset": "rows.feather", "drop": ["who"]},
    "csv": {"dataset": "rows.csv", "drop": ["who"]},
    "npy": {"dataset": "rows.npy"},
    "npz": {"dataset": "rows.npz"},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_file_gives_the_same_rows(cli: Cli, folder: Path, kind: str) -> None:
    ended = cli("run", spec(folder, SOURCES[kind]), "--store", "runs")
    assert ended.code == 0, ended.err
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    lines = cli("result", job, "--store", "runs", "--format", "arrow").out
    read = pa.ipc.open_file(pa.py_buffer(lines)).read_all()
    game = xr.RowsGame(
        _model(folder), np.load(folder / "rows.npy"), players=xr.Columns(), removal=xr.Zeros(), behaviour=xr.LogOdds()
    )
    expected = xr.explain_rows(game, budget=40, unit_rows=3)
    np.testing.assert_allclose(read["values"].to_pylist(), expected.values, atol=1e-12)
    assert set(read["output"].to_pylist()) <= {"no", "yes"}
    assert ("id" in read.column_names) == (kind == "parquet")


def _model(folder: Path) -> Any:
    sys.path.insert(0, str(folder))
    import rowmodels  # pyright: ignore[reportMissingImports]

    return rowmodels.Slow()


def test_the_words_of_a_job(cli: Cli, folder: Path) -> None:
    source = spec(
        folder,
        {"dataset": "rows.parquet", "id": "who", "rows": "2:9"},
        budget={"evaluations": 40, "relative_error": 0.2},
    )
    facts = cli("check", source, "--json").json
    assert facts["rows"] == "7, 3 a unit"
    assert facts["evaluations"] == "at most 40 a row, at most 280 in all"
    assert facts["units"] == 3
    ended = cli("run", source, "--store", "runs", "--out", "out")
    assert ended.code in (0, 4), ended.err
    assert "means over 7 rows" in ended.text
    job = facts["job"]
    assert job in cli("status", job, "--store", "runs").text
    document = cli("result", job, "--store", "runs", "--format", "json").json
    assert document["rows"] == 7
    assert document["evaluations"] <= 280
    csv = cli("result", job, "--store", "runs", "--format", "csv").text.splitlines()
    assert csv[0].startswith("row,index,output,players")
    assert len(csv) == 1 + 7 * 6
    assert csv[1].startswith("n2,SV,")
    asked = cli("result", job, "--store", "runs", "--ask", "BV", "--estimator", "msr", "--format", "csv")
    assert asked.code in (0, 2)
    replayed = cli("replay", job, "--unit", "1", "--store", "runs").json
    assert replayed["same_bits"] is True
    assert sorted(p.name for p in Path("out").iterdir()) == ["report.html", "result.arrow", "result.json"]
    refused = cli("extend", job, "--evaluations", "900", "--store", "runs")
    assert refused.code == 2
    assert "run the spec with evaluations = 900 under [budget] as a new job" in refused.err


def test_killed_and_resumed_to_the_same_bits(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "rows.npy"}, compute={"unit_rows": 1, "batch": 8})
    assert cli("run", source, "--store", "undisturbed", "-q").code == 0
    job = cli("list", "--store", "undisturbed", "--json").json[0]["job"]
    (folder / "seconds").write_text("0.03")
    command = [sys.executable, "-m", "xai_ray.cli", "run", str(source), "--store", "runs", "--engine", "inline", "-q"]
    child = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    try:
        records = folder / "runs" / job
        end = time.monotonic() + 60
        while len(list(records.rglob("*.arrow"))) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    there = cli("status", job, "--store", "runs", "--json").json
    assert 0 < there["units"] < 12
    (folder / "seconds").write_text("0")
    resumed = cli("resume", job, "--store", "runs", "-q")
    assert resumed.code == 0, resumed.err
    texts = [cli("result", job, "--store", where, "--format", "csv").text for where in ("runs", "undisturbed")]
    assert texts[0] == texts[1]


def test_a_dataset_that_shrank_is_refused(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "rows.npy"})
    assert cli("run", source, "--store", "runs", "-q").code == 0
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    np.save(folder / "rows.npy", np.load(folder / "rows.npy")[:9])
    ended = cli("resume", job, "--store", "runs")
    assert ended.code == 3
    assert "shrank from 12 to 9 rows" in ended.err


def test_columns_are_put_into_the_order_of_the_model(cli: Cli, folder: Path) -> None:
    rows = np.load(folder / "rows.npy")
    turned = pa.table({NAMES[i]: rows[:, i] for i in (3, 1, 0, 2, 5, 4)})
    parquet.write_table(turned, folder / "turned.parquet")
    for name in ("rows.parquet", "turned.parquet"):
        drop = {"drop": ["who"]} if name == "rows.parquet" else {}
        assert cli("run", spec(folder, {"dataset": name, **drop}), "--store", f"of {name}", "-q").code == 0
    found = [
        cli(
            "result",
            cli("list", "--store", f"of {name}", "--json").json[0]["job"],
            "--store",
            f"of {name}",
            "--format",
            "csv",
        ).text
        for name in ("rows.parquet", "turned.parquet")
    ]
    assert found[0] == found[1]


def test_a_folder_of_pictures(cli: Cli, folder: Path) -> None:
    from PIL import Image

    (folder / "pictures").mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"p{i}.png")
    game = {
        "players": {"kind": "patches", "grid": [2, 2]},
        "removal": {"kind": "blur", "sigma": 2.0},
        "behaviour": {"kind": "logit"},
    }
    source = spec(folder, {"dataset": "pictures"}, "bright", game=game, budget={"evaluations": "exact"})
    assert cli("run", source, "--store", "runs", "-q").code == 0
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    csv = cli("result", job, "--store", "runs", "--format", "csv").text.splitlines()
    assert [line.split(",")[0] for line in csv[1::4]] == ["p0.png", "p1.png", "p2.png"]
    Image.fromarray(np.zeros((7, 8, 3), dtype=np.uint8)).save(folder / "pictures" / "q.png")
    ended = cli("run", source, "--store", "runs", "-q")
    assert ended.code == 2
    assert "q.png gives an input of shape (3, 7, 8)" in ended.err
    (folder / "pictures" / "q.png").unlink()
    Image.fromarray(np.zeros((6, 8), dtype=np.uint16)).save(folder / "pictures" / "r.png")
    assert "r.png has mode I" in cli("run", source, "--store", "runs", "-q").err


CSV = {
    "one name twice": "a,b,a,d,e,f\n1,2,3,4,5,6\n",
    "a word among numbers": "a,b,c,d,e,f\n1,2,3,4,5,6\n1,2,3,4,5,6\n1,2,n/k,4,5,6\n",
    "semicolons": "a;b;c;d;e;f\n1;2;3;4;5;6\n",
    "empty file": "",
    "ragged": "a,b,c,d,e,f\n1,2,3,4,5,6\n1,2,3\n",
}


def bad(folder: Path, kind: str) -> dict[str, Any]:
    rows = np.load(folder / "rows.npy")
    names = dict(zip(NAMES, rows.T, strict=True))
    match kind:
        case "missing value":
            rows[7, 2] = np.nan
            parquet.write_table(pa.table(dict(zip(NAMES, rows.T, strict=True))), folder / "x.parquet")
        case "null":
            parquet.write_table(pa.table(names | {"d": pa.array([1.0] * 11 + [None])}), folder / "x.parquet")
        case "text":
            parquet.write_table(pa.table(names | {"b": ["red"] * 12}), folder / "x.parquet")
        case "no rows":
            parquet.write_table(pa.table({name: pa.array([], pa.float64()) for name in NAMES}), folder / "x.parquet")
        case "other columns":
            parquet.write_table(pa.table({("z" if n == "c" else n): v for n, v in names.items()}), folder / "x.parquet")
        case "one more":
            parquet.write_table(pa.table(names | {"label": np.ones(12)}), folder / "x.parquet")
        case "not parquet":
            (folder / "x.parquet").write_text("nothing")
        case "no such id":
            return {"dataset": "rows.parquet", "id": "name"}
        case "texts":
            return {"dataset": "rows.csv", "column": "who"}
        case "complex" | "objects":
            np.save(folder / "x.npy", rows.astype(complex if kind == "complex" else object), allow_pickle=True)
            return {"dataset": "x.npy"}
        case "no row":
            return {"dataset": "rows.npy", "rows": "5:2"}
        case _ if kind in CSV:
            (folder / "x.csv").write_text(CSV[kind])
            return {"dataset": "x.csv"}
        case _:
            return {"dataset": "rows.npy", "rows": "5:40"} if kind == "out of range" else {"dataset": kind}
    return {"dataset": "x.parquet"}


BAD = {
    "missing value": "row 7, 'c' is missing",
    "null": "row 11, 'd' is missing",
    "text": "column 'b' does not hold numbers (row 0 has 'red')",
    "no rows": "it has no rows",
    "other columns": "the model takes 'c', which is not among its 6 columns",
    "one more": "drop = ['label']",
    "not parquet": "cannot read the table",
    "ragged": "line 3 has 3 entries, the first line has 6",
    "one name twice": "two columns are called 'a'",
    "a word among numbers": "column 'c' does not hold numbers (row 2 has 'n/k')",
    "no such id": "no column 'name' (id)",
    "texts": "the model came without a tokenizer",
    "empty file": "Empty CSV file",
    "out of range": 'rows = "5:40" lies outside of its 12 rows',
    "no row": 'rows = "5:2" takes no row',
    "semicolons": "entries are parted by commas, here it seems by ';'",
    "complex": "complex numbers (complex128)",
    "objects": "save numbers, as array.astype(float) has them",
    "nowhere.parquet": "no table at",
    "rows.xlsx": "unknown ending",
    "sklearn:nothing": "unknown data set",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_datasets_are_refused_before_any_work(cli: Cli, folder: Path, kind: str) -> None:
    ended = cli("check", spec(folder, bad(folder, kind)))
    assert ended.code == 2, ended.err
    assert BAD[kind] in ended.err
    assert "Traceback" not in ended.err


def test_a_row_that_the_model_does_not_take_is_named(cli: Cli, folder: Path) -> None:
    rows = np.zeros((12, 6))
    rows[8, 1] = 7
    np.save(folder / "rows.npy", rows)
    (folder / "rowmodels.py").write_text(
        MODULE.replace(
            "        time.sleep",
            "        if (rows[:, 1] == 7).any():\n            raise ValueError('category 7')\n        time.sleep",
        )
    )
    sys.modules.pop("rowmodels", None)
    ended = cli("run", spec(folder, {"dataset": "rows.npy"}), "--store", "runs", "-q")
    sys.modules.pop("rowmodels", None)
    assert ended.code == 1
    assert "row 8, with all players present" in ended.err
    assert "category 7; bring the row into the form that the model takes, or leave it out" in ended.err
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    assert xr.open_rows(job, "runs", partial=True).n_rows == 6


def test_pictures_of_several_modes_are_rows_alike(cli: Cli, folder: Path) -> None:
    from PIL import Image

    (folder / "pictures").mkdir()
    grey = np.random.default_rng(0).integers(0, 256, (6, 8)).astype(np.uint8)
    Image.fromarray(grey).save(folder / "pictures" / "grey.png")
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(folder / "pictures" / "rgb.png")
    game = {
        "players": {"kind": "patches", "grid": [2, 2]},
        "removal": {"kind": "zeros"},
        "behaviour": {"kind": "logit", "target": 0},
    }
    source = spec(folder, {"dataset": "pictures"}, "bright", game=game, budget={"evaluations": "exact"})
    assert cli("run", source, "--store", "runs", "-q").code == 0
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    values = xr.open_rows(job, "runs").values
    np.testing.assert_array_equal(values[0], values[1])
    (folder / "pictures" / "torn.png").write_bytes(b"x")
    assert "cannot read the picture" in cli("check", source).err


def test_a_spec_says_what_an_input_is(cli: Cli, folder: Path) -> None:
    ended = cli("check", spec(folder, {"dataset": "rows.npy", "row": 3}))
    assert ended.code == 2
    assert "game.input.row: unknown key" in ended.err
    words = cli("check", spec(folder, {"dataset": "rows.npy"}, ask=[{"index": "SII", "pairs": [[0, 1]]}]))
    assert words.code == 2
    assert "all sets of a size" in words.err
    json.dumps(ended.err)


def test_a_spec_takes_a_background_in_parts(cli: Cli, folder: Path) -> None:
    marginal = {"kind": "marginal", "background": {"table": "rows.csv", "drop": ["who"]}}

    def source(**more: Any) -> Path:
        given = {"removal": marginal, "behaviour": {"kind": "probability"}}
        return spec(folder, {"dataset": "rows.npy"} | more, game=given)

    whole, parts = (cli("check", source(**more), "--json").json["job"] for more in ({}, {"background_parts": 4}))
    assert whole != parts
    ended = cli("run", source(background_parts=4), "--store", "runs", "-q")
    assert ended.code == 0, ended.err
    assert cli("result", parts, "--store", "runs", "--format", "json").json["evaluations"] == 12 * 40
    assert cli("replay", parts, "--unit", "1", "--store", "runs").json["same_bits"] is True
    refused = cli("check", source(background_parts=5))
    assert refused.code == 2
    assert "5 does not divide the 12 rows of the background" in refused.err


@pytest.mark.parametrize("given", ["5", "a:b", "-3:4", "1..4"])
def test_a_slice_that_is_none_is_said_in_words(cli: Cli, folder: Path, given: str) -> None:
    ended = cli("check", spec(folder, {"dataset": "rows.parquet", "rows": given}))
    assert ended.code == 2
    words = 'game.input.rows: a slice of rows as rows = "0:1000" (row 0 up to row 999; either number may be left out)'
    assert f"{words}, got {given!r}" in ended.err
    assert "pattern" not in ended.err


def test_other_names_of_the_same_rows_are_another_job(cli: Cli, folder: Path) -> None:
    table = parquet.read_table(folder / "rows.parquet")
    table = table.append_column("other", pa.array([f"m{i}" for i in range(12)]))
    parquet.write_table(table, folder / "rows.parquet")
    ids = list[Any]()
    for name, left in (("who", "other"), ("other", "who")):
        source = spec(folder, {"dataset": "rows.parquet", "id": name, "drop": [left]})
        ended = cli("run", source, "--store", "runs", "--out", name, "-q")
        assert ended.code == 0, ended.err
        ids.append(pa.ipc.open_file(Path(f"{name}/result.arrow").read_bytes()).read_all()["id"][0].as_py())
    assert ids == ["n0", "m0"]


def test_rows_without_names_keep_their_digest() -> None:
    given: dict[str, Any] = {"players": xr.Columns(), "removal": xr.Zeros(), "behaviour": xr.Raw(), "digest": "model"}
    rows = np.arange(6.0).reshape(2, 3)
    games = [xr.RowsGame(np.tanh, rows, **given, row_ids=ids) for ids in (None, (0, 1), ("0", "1"), ("a", "b"))]
    assert games[0].digest == fingerprint([xr.ModelGame(np.tanh, rows[0], **given).digest, fingerprint([rows])])
    assert len({game.digest for game in games}) == 4
