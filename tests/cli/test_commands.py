"""Every command of the command line on quick jobs: exit codes, data on stdout, talk on stderr."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.cli.runs import Cli, airport, environment, glove, process, written
from xai_ray.games import GloveGame
from xai_ray.indices import INDICES

TRUTH = GloveGame(2, 4).shapley_values()


def job_of(cli: Cli, *arguments: object) -> str:
    """The only job of a store."""
    (row,) = cli("list", "--json", *arguments).json
    return row["job"]


@pytest.fixture
def job(cli: Cli, tmp_path: Path) -> str:
    """A finished exact job in the default store."""
    assert cli("run", written(tmp_path, glove())).code == 0
    return job_of(cli)


@pytest.fixture
def sampled(cli: Cli, tmp_path: Path) -> str:
    """A finished job of 12 players by `leverage` and `cells`."""
    spec = airport(12, 200, {"index": "SV"}, {"index": "SII"}, {"index": "MOI", "orders": [0, 5, 10]})
    assert cli("run", written(tmp_path, spec)).code == 0
    return job_of(cli)


def test_check_prints_the_plan_and_stores_nothing(cli: Cli, tmp_path: Path) -> None:
    spec = written(tmp_path, glove())
    ended = cli("check", spec)
    assert (ended.code, ended.err) == (0, "")
    facts = cli("check", spec, "--json").json
    assert facts["evaluations"] == 64
    assert facts["units"] >= 1
    assert facts["players"].startswith("6 ")
    assert [a.split()[0].strip(",") for a in facts["asks"]] == ["SV", "SII"]
    for key in facts:
        assert key in ended.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["spec.json"]


def test_check_counts_the_units_that_a_run_makes(cli: Cli, tmp_path: Path) -> None:
    spec = written(tmp_path, airport(12, 900))
    planned = cli("check", spec, "--json").json
    assert cli("run", spec).code == 0
    status = cli("status", planned["job"], "--json").json
    assert (status["units"], status["evaluations"]) == (planned["units"], planned["evaluations"])


def test_run_prints_a_table_and_writes_three_files(cli: Cli, tmp_path: Path) -> None:
    ended = cli("run", written(tmp_path, glove()), "--out", tmp_path / "out")
    assert ended.code == 0
    assert "left 0" in ended.text
    assert "Shapley value" in ended.text
    assert "evaluations" in ended.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.html", "result.arrow", "result.json"]
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    np.testing.assert_allclose(document["estimates"][0]["values"], TRUTH, atol=1e-12)


def test_quiet_says_nothing(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", written(tmp_path, glove()), "--quiet").err == ""


def test_a_spec_in_toml_and_in_json_is_one_job(cli: Cli, tmp_path: Path) -> None:
    toml = """
name = "glove"
game = { kind = "known", name = "glove", arguments = { left = 2, right = 4 } }
ask = [{ index = "SV" }, { index = "SII" }]
budget = { evaluations = "exact" }
"""
    assert cli("run", written(tmp_path, toml, "spec.toml")).code == 0
    again = cli("run", written(tmp_path, glove()))
    assert (again.code, len(cli("list", "--json").json)) == (0, 1)
    assert "0 of them new" in again.err


def test_json_is_the_form_of_the_design(cli: Cli, sampled: str) -> None:
    ended = cli("result", sampled, "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    document = ended.json
    assert {"job", "digest", "players", "outputs", "evaluations", "estimator", "estimates"} <= document.keys()
    assert document["job"] == sampled
    assert document["digest"].startswith(sampled.rsplit("-", 1)[1])
    assert document["evaluations"] == 200
    assert isinstance(document["estimator"], dict)
    values, pairs, orders = document["estimates"]
    assert (values["index"], values["order"]) == ("SV", 1)
    assert np.shape(values["values"]) == np.shape(values["std_errors"]) == (12,)
    assert (pairs["index"], pairs["order"]) == ("SII", 2)
    assert pairs["coalitions"] == [[i, j] for i in range(12) for j in range(i + 1, 12)]
    assert np.shape(pairs["values"]) == np.shape(pairs["std_errors"]) == (66,)
    assert (orders["index"], orders["order"], orders["contexts"]) == ("MOI", 2, [0, 5, 10])
    assert np.shape(orders["values"]) == (66, 3)
    assert np.shape(orders["std_errors"]) == (66, 3)


def test_two_outputs_add_a_last_axis(cli: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", values=np.random.default_rng(0).normal(size=(16, 2)))
    spec = {
        "game": {"kind": "table", "path": "v.npz"},
        "ask": [{"index": "SV"}, {"index": "MOI", "orders": [0, 1, 2]}],
        "budget": {"evaluations": "exact"},
    }
    assert cli("run", written(tmp_path, spec)).code == 0
    document = cli("result", job_of(cli), "--format", "json").json
    assert document["outputs"] == ["output 0", "output 1"]
    assert np.shape(document["estimates"][0]["values"]) == (4, 2)
    assert np.shape(document["estimates"][1]["values"]) == (6, 3, 2)


def test_csv_and_arrow_carry_the_values_of_json(cli: Cli, sampled: str) -> None:
    document = cli("result", sampled, "--format", "json").json
    wanted = np.concatenate([np.ravel(e["values"]) for e in document["estimates"]])
    ended = cli("result", sampled, "--format", "arrow")
    assert (ended.code, ended.err) == (0, "")
    table = pa.ipc.open_file(io.BytesIO(ended.out)).read_all()
    assert np.array_equal(table.column("value").to_numpy(), wanted)
    ended = cli("result", sampled, "--format", "csv")
    assert (ended.code, ended.err) == (0, "")
    head, *rows = ended.text.splitlines()
    at = head.split(",").index("value")
    assert np.array_equal([float(row.split(",")[at]) for row in rows], wanted)


@pytest.mark.parametrize(
    ("ask", "index", "order"),
    [
        ("SII", "SII", 2),
        ("sii", "SII", 2),
        ("Beta(4,1)", "BETA", 1),
        ("WBV(0.3)", "WBV", 1),
        ("STII", "STII", 2),
        ("k-SII", "k-SII", 2),
        ("Moebius", "Moebius", 6),
        ("J", "J", 2),
    ],
)
def test_another_index_from_the_stored_values(cli: Cli, job: str, ask: str, index: str, order: int) -> None:
    ended = cli("result", job, "--ask", ask, "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    (estimate,) = [e for e in ended.json["estimates"] if e["index"] == index]
    assert (estimate["index"], estimate["order"]) == (index, order)
    assert np.isfinite(np.ravel(estimate["values"])).all()
    assert len(cli("status", job, "--json").json["events"]) == 2


def test_an_asked_beta_is_the_weighted_sum_of_its_definition(cli: Cli, job: str) -> None:
    shapley = cli("result", job, "--ask", "Beta(1,1)", "--format", "json").json["estimates"][-1]
    assert shapley["index"] == "BETA"
    np.testing.assert_allclose(shapley["values"], TRUTH, atol=1e-12)
    other = cli("result", job, "--ask", "Beta(4,1)", "--format", "json").json["estimates"][-1]
    assert np.abs(np.subtract(other["values"], TRUTH)).max() > 0.01


def test_an_asked_order_and_contexts(cli: Cli, job: str) -> None:
    asked = cli("result", job, "--ask", "SII", "--order", 3, "--format", "json").json["estimates"][-1]
    assert len(asked["coalitions"]) == 20
    asked = cli("result", job, "--ask", "MOI", "--contexts", "0,4", "--format", "json").json["estimates"][-1]
    assert asked["contexts"] == [0, 4]


def test_a_job_out_of_budget_ends_with_4_and_the_result_is_written(cli: Cli, tmp_path: Path) -> None:
    spec = written(tmp_path, airport(12, 100, std_error=1e-9))
    ended = cli("run", spec, "--out", tmp_path / "out")
    assert ended.code == 4
    assert "extend" in ended.err
    assert "standard error" in ended.err
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["evaluations"] == 100
    job = job_of(cli)
    assert cli("status", job, "--json").json["state"] == "imprecise"
    assert cli("result", job, "--format", "json").json["estimates"] == document["estimates"]
    assert cli("extend", job, "--evaluations", 4096).code == 0


def test_a_run_stops_early_when_it_is_precise(cli: Cli, tmp_path: Path) -> None:
    spec = airport(12, 4000, std_error=0.2)
    assert cli("run", written(tmp_path, spec)).code == 0
    job = job_of(cli)
    document = cli("result", job, "--format", "json").json
    assert document["evaluations"] < 4000
    assert max(document["estimates"][0]["std_errors"]) <= 0.2


def test_extend_equals_a_fresh_run(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", written(tmp_path, airport(12, 100))).code == 0
    job = job_of(cli)
    ended = cli("extend", job, "--evaluations", 300)
    assert ended.code == 0
    assert "200 of them new" in ended.err
    extended = cli("result", job, "--format", "json").json
    assert cli("run", written(tmp_path, airport(12, 300)), "--store", "fresh").code == 0
    assert cli("result", job, "--store", "fresh", "--format", "json").json == extended
    assert extended["evaluations"] == 300
    ended = cli("extend", job, "--evaluations", 250)
    assert ended.code == 2
    assert "budget of 300 evaluations already" in ended.err
    assert "must be larger" in ended.err


def test_resume_of_a_finished_job_computes_nothing(cli: Cli, job: str) -> None:
    ended = cli("resume", job, "--out", "out")
    assert ended.code == 0
    assert "0 of them new" in ended.err
    assert Path("out/result.json").exists()


def test_list_and_status(cli: Cli, job: str) -> None:
    rows = cli("list", "--json").json
    assert [(r["job"], r["state"], r["evaluations"], r["budget"]) for r in rows] == [(job, "done", 64, 64)]
    assert rows[0]["asks"] == ["SV", "SII"]
    assert rows[0]["players"] == 6
    text = cli("list")
    assert job in text.text
    assert text.err == ""
    facts = cli("status", job, "--json").json
    assert [e["event"] for e in facts["events"]] == ["started", "done"]
    assert "done" in cli("status", job).text


def test_an_empty_store_lists_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    ended = cli("list", "--json")
    assert (ended.code, ended.json) == (0, [])
    assert "no jobs" in cli("list").err


def test_watch_ends_with_the_job(cli: Cli, job: str) -> None:
    ended = cli("watch", job)
    assert ended.code == 0
    assert "64 / 64 evaluations" in ended.text
    assert "done" in ended.text


def test_cancel_of_an_ended_job_stops_nothing(cli: Cli, job: str) -> None:
    ended = cli("cancel", job)
    assert (ended.code, ended.out) == (0, b"")
    assert "is done already; there is nothing to stop" in ended.err
    assert cli("resume", job).code == 0


def test_report_writes_a_page(cli: Cli, job: str, tmp_path: Path) -> None:
    ended = cli("report", job, "--out", tmp_path / "deep" / "page.html")
    assert (ended.code, ended.out) == (0, b"")
    assert "page.html" in ended.err
    page = (tmp_path / "deep" / "page.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert job in page


def test_replay_compares_a_unit(cli: Cli, sampled: str) -> None:
    ended = cli("replay", sampled, "--unit", 0)
    assert ended.code == 0
    assert ended.json["same_bits"] is True
    assert ended.json["largest_difference"] == 0.0
    assert ended.json["draws"][0] == 0


def test_replay_evaluates_a_unit_without_a_record(cli: Cli, sampled: str) -> None:
    whole = cli("replay", sampled, "--unit", 0).json
    (file,) = Path("runs", sampled, "units").glob(f"*/{whole['draws'][0]}-{whole['draws'][1]}.arrow")
    file.unlink()
    ended = cli("replay", sampled, "--unit", 0)
    assert ended.code == 0, ended.err
    assert ended.json == {**whole, "same_bits": None, "largest_difference": None}
    assert "has no record to compare with" in ended.err


def test_replay_refuses_another_game(cli: Cli, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=16)
    np.savez(tmp_path / "v.npz", values=values)
    spec = {"game": {"kind": "table", "path": "v.npz"}, "ask": [{"index": "SV"}], "budget": {"evaluations": "exact"}}
    assert cli("run", written(tmp_path, spec)).code == 0
    np.savez(tmp_path / "v.npz", values=values + 1.0)
    ended = cli("replay", job_of(cli), "--unit", 0)
    assert (ended.code, ended.out) == (3, b"")
    assert "builds another game" in ended.err


def test_catalogues(cli: Cli) -> None:
    rows = cli("indices", "--json").json
    assert [r["index"] for r in rows] == list(INDICES)
    assert all(r["estimators"] and r["source"] for r in rows)
    assert cli("estimators", "--json").json[0]["estimator"] == "exact"
    assert "known: glove" in [r["game"] for r in cli("games", "--json").json]
    assert {"blur", "marginal"} <= {r["removal"] for r in cli("removals", "--json").json}
    for command in ("indices", "estimators", "games", "removals"):
        ended = cli(command)
        assert (ended.code, ended.err) == (0, "")
        assert len(ended.text.splitlines()) > len(cli(command, "--json").json)


def test_schema_is_a_json_schema(cli: Cli) -> None:
    schema = cli("schema").json
    assert schema["type"] == "object"
    assert {"game", "ask", "budget"} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False


def test_store_from_the_environment(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_RAY_STORE", f"file://{tmp_path}/elsewhere")
    assert cli("run", written(tmp_path, glove())).code == 0
    assert (tmp_path / "elsewhere").is_dir()
    assert not (tmp_path / "runs").exists()
    job = job_of(cli)
    assert cli("result", job, "--store", tmp_path / "elsewhere", "--format", "json").code == 0


def test_memory_keeps_nothing(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", written(tmp_path, glove()), "--store", "memory://").code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["spec.json"]


def test_help_and_version_of_every_command(cli: Cli) -> None:
    ended = cli("--help")
    assert ended.code == 0
    commands = "check run resume extend list status watch cancel result report replay indices estimators games removals"
    for command in [*commands.split(), "schema"]:
        assert f"\n  {command} " in ended.text
        assert cli(command, "--help").code == 0


def test_the_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    spec = written(tmp_path, glove())
    ended = process(tmp_path, "run", spec, "--engine", "inline")
    assert ended.code == 0, ended.err
    listed = process(tmp_path, "list", "--json")
    assert listed.json[0]["state"] == "done"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    ended = piped(tmp_path, "{command} schema | true")
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_full_disk_behind_stdout_is_told(tmp_path: Path) -> None:
    ended = piped(tmp_path, "{command} schema > /dev/full")
    assert ended.returncode == 1
    assert ended.stderr == b"xai-ray: cannot write to stdout: No space left on device\n"


def piped(folder: Path, line: str) -> subprocess.CompletedProcess[bytes]:
    """A line of bash in which the command is one part."""
    bash = ["bash", "-o", "pipefail", "-c", line.format(command=f"{sys.executable} -m xai_ray.cli")]
    return subprocess.run(bash, cwd=folder, env=environment(), capture_output=True, timeout=60, check=False)


def test_resume_at_the_smallest_budget_is_not_planned_again(cli: Cli, tmp_path: Path) -> None:
    """Pairs of coalitions leave one evaluation of an odd budget; what was afforded is below the estimator's minimum."""
    assert cli("run", written(tmp_path, airport(7, 35))).code == 0
    job = job_of(cli)
    assert cli("status", job, "--json").json["budget"] == 34
    before = cli("result", job, "--format", "json").json
    assert cli("resume", job).code == 0
    assert cli("result", job, "--format", "json").json == before
