"""What a job of texts answers: each text as a job of its own would, by its number in the file, and another question of all."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import xai_ray as xr
from tests.cli.conftest import cli
from tests.cli.runs import Cli
from tests.rows.texts import TEXTS, folder, offline, single, spec
from xai_ray.errors import SpecError

pytest.importorskip("transformers", reason="the extra `text` is not installed")

__all__ = ["cli", "folder", "offline"]


def test_another_question_and_one_text_of_the_result(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "texts.csv", "column": "text"})
    assert cli("run", source, "--store", "runs", "-q").code == 0
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    found = pa.ipc.open_file(cli("result", job, "--store", "runs", "--ask", "BV", "--format", "arrow").out).read_all()
    assert found["index"].to_pylist() == ["BV"] * 3
    lines = cli("result", job, "--store", "runs", "--format", "csv").text.splitlines()
    assert len(lines) == 1 + 3 + 6 + 1
    report = cli("report", job, "--store", "runs", "--row", 1, "--out", "one.html")
    assert report.code == 0, report.err
    assert "means" in Path("one.html").read_text()
    asked = cli("report", job, "--store", "runs", "--out", "all.html")
    assert (asked.code, asked.out) == (2, b"")
    assert "say of which with --row" in asked.err
    outside = cli("result", job, "--store", "runs", "--row", 3)
    assert outside.code == 2
    assert "has the texts 0 to 2" in outside.err
    whole = cli("result", job, "--store", "runs", "--global")
    assert whole.code == 2
    assert "share no players" in whole.err


def test_texts_that_are_not_precise_enough(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "texts.csv", "column": "text"}, budget={"evaluations": 40, "std_error": 1e-12})
    ended = cli("run", source, "--store", "memory://", "--out", "out", "-q")
    assert ended.code == 4
    assert "1 of 3 texts are less precise than asked" in ended.err
    assert Path("out/result.arrow").exists()


@pytest.mark.parametrize("std_error", [1e-12, 0.02, 10.0])
def test_a_text_tells_of_its_own_ending(cli: Cli, folder: Path, std_error: float) -> None:
    more = {"budget": {"evaluations": 40, "std_error": std_error}}
    ended = cli("run", spec(folder, {"dataset": "texts.csv", "column": "text"}, **more), "--store", "runs", "-q")
    assert ended.code in (0, 4), ended.err
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    said = [cli("result", job, "--store", "runs", "--format", "json", "--row", at).json["stop"] for at in (0, 1)]
    assert said == [single(cli, folder, at, **more)["stop"] for at in (0, 1)]
    assert [stop["precise"] for stop in said] == [True, std_error > 1]
    found = xr.open_result(job, "runs").texts
    assert found is not None
    assert [one.provenance["precise"] for one in found.results()] == [True, std_error > 1, True]


def test_a_text_of_a_slice_goes_by_its_number_in_the_file(cli: Cli, folder: Path) -> None:
    ended = cli("run", spec(folder, {"dataset": "texts.txt", "rows": "1:3"}), "--store", "runs")
    assert ended.code == 0, ended.err
    assert [line.split("  ")[0] for line in ended.text.splitlines()] == ["1", "2"]
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    for number in (1, 2):
        found = cli("result", job, "--store", "runs", "--format", "json", "--row", number).json
        assert found["players"] == TEXTS[number].split()
    assert cli("report", job, "--store", "runs", "--row", 2).code == 0
    for number in (0, 3):
        outside = cli("result", job, "--store", "runs", "--row", number)
        assert outside.code == 2
        assert f"row {number}: job {job} has the texts 1 to 2" in outside.err


def test_objects_of_peers_are_of_one_text(cli: Cli, folder: Path) -> None:
    assert cli("run", spec(folder, {"dataset": "texts.txt"}), "--store", "runs", "-q").code == 0
    found = xr.open_result(cli("list", "--store", "runs", "--json").json[0]["job"], "runs")
    for convert in (found.to_shap, found.to_shapiq):
        with pytest.raises(SpecError, match=r"explains 3 texts, .* result\.texts\.result"):
            convert()


@pytest.mark.parametrize("form", ["table", "csv", "arrow"])
@pytest.mark.parametrize("named", [False, True])
def test_a_question_that_a_text_is_too_short_for_names_it(cli: Cli, folder: Path, form: str, named: bool) -> None:
    source = {"dataset": "texts.csv", "column": "text"} | ({"id": "who"} if named else {})
    assert cli("run", spec(folder, source), "--store", "runs", "-q").code == 0
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    asked = cli("result", job, "--store", "runs", "--ask", "SII", "--format", form)
    assert (asked.code, asked.out) == (2, b"")
    assert asked.err.startswith("xai-ray: row n2: " if named else "xai-ray: row 2: ")
    whole = cli("result", job, "--store", "runs", "--ask", "SII", "--row", 1)
    assert whole.code == 0, whole.err
