"""A dataset of texts by command: one job, each text with its own words, one table, killed, resumed, extended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import dataset

from tests.cli.conftest import cli
from tests.cli.runs import Cli, environment, written
from tests.rows.test_row_jobs import Until
from tests.rows.texts import TEXTS, folder, offline, single, spec
from tests.waiting import until
from xai_ray.coalitions import EachInput, Unit
from xai_ray.engine import InlineEngine
from xai_ray.engine.rounds import Rounds
from xai_ray.engine.watching import Silent
from xai_ray.errors import Cancelled
from xai_ray.estimators import Ask, Stop
from xai_ray.indices import Question
from xai_ray.launch import new_run
from xai_ray.spec import load
from xai_ray.stores import MemoryStore, open_store
from xai_ray.text_games import TextGames

pytest.importorskip("transformers", reason="the extra `text` is not installed")

__all__ = ["cli", "folder", "offline"]


def table_of(path: str) -> pa.Table:
    return pa.ipc.open_file(Path(path).read_bytes()).read_all()


def test_one_job_and_every_text_with_its_own_words(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "texts.csv", "column": "text", "id": "who"})
    facts = cli("check", source, "--json").json
    assert facts["texts"] == "3, a unit each"
    assert facts["players"] == "1 to 6 a text"
    assert facts["evaluations"] == "2 to 40 a text, 50 in all"
    ended = cli("run", source, "--store", "runs", "--out", "out")
    assert ended.code == 0, ended.err
    assert [line.split("  ")[0] for line in ended.text.splitlines()] == ["n0", "n1", "n2"]
    assert "3 texts, 50 evaluations" in ended.err
    table = table_of("out/result.arrow")
    assert table["id"].to_pylist() == ["n0", "n1", "n2"]
    assert table["players"].to_pylist() == [text.split() for text in TEXTS]
    assert table["evaluations"].to_pylist() == [8, 40, 2]
    for row in table.to_pylist():
        assert sum(row["values"]) == pytest.approx(row["full_value"] - row["base_value"], abs=1e-8)
    listed = cli("list", "--store", "runs", "--json").json
    assert [(row["state"], row["texts"]) for row in listed] == [("done", "3 of 3")]
    job = listed[0]["job"]
    source = spec(folder, {"dataset": "texts.csv", "column": "text", "id": "who"})
    again = cli("run", source, "--store", "runs", "--out", "again", "-q")
    assert again.code == 0
    assert Path("again/result.arrow").read_bytes() == Path("out/result.arrow").read_bytes()
    assert cli("result", job, "--store", "runs", "--format", "arrow").out == Path("out/result.arrow").read_bytes()
    assert len(cli("list", "--store", "runs", "--json").json) == 1
    assert cli("replay", job, "--unit", 1, "--store", "runs").json["same_bits"] is True


RULES: list[dict[str, Any]] = [{}, {"std_error": 0.02}]


@pytest.mark.parametrize("rules", RULES, ids=["budget", "precision"])
@pytest.mark.parametrize("evaluations", [30, 48])
def test_a_text_has_the_bits_of_a_job_of_its_own(
    cli: Cli, folder: Path, rules: dict[str, Any], evaluations: int
) -> None:
    more = {
        "ask": [{"index": "SV"}, {"index": "SII", "pairs": "local"}],
        "budget": {"evaluations": evaluations, **rules},
    }
    source = spec(folder, {"dataset": "texts.csv", "column": "text", "rows": "0:2"}, **more)
    assert cli("run", source, "--store", "runs", "-q").code in (0, 4)
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    for at in (0, 1):
        own = single(cli, folder, at, **more)
        ours = cli("result", job, "--store", "runs", "--format", "json", "--row", at).json
        assert ours["estimates"] == own["estimates"]
        assert ours["players"] == own["players"]
        assert ours["evaluations"] == own["evaluations"]


def test_extended_to_the_bytes_of_one_go(cli: Cli, folder: Path) -> None:
    source = {"dataset": "texts.csv", "column": "text"}
    assert cli("run", spec(folder, source, budget={"evaluations": 30}), "--store", "runs", "-q").code == 0
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    extended = cli("extend", job, "--evaluations", 48, "--store", "runs", "--out", "extended")
    assert extended.code == 0, extended.err
    assert (
        cli("run", spec(folder, source, budget={"evaluations": 48}), "--store", "other", "--out", "whole", "-q").code
        == 0
    )
    assert Path("extended/result.arrow").read_bytes() == Path("whole/result.arrow").read_bytes()
    assert table_of("whole/result.arrow")["evaluations"].to_pylist() == [8, 48, 2]
    # What was there is not evaluated again: 18 evaluations of the long text, and none of those that had all.
    store = open_store("runs")
    spent = [record.facts["evaluations"] for record in store.records(job, [Unit(at, at + 1) for at in range(6)])]
    assert spent == [8, 30, 2, 0, 18, 0]
    assert [row["job"] for row in cli("list", "--store", "runs", "--json").json] == [job]
    refused = cli("extend", job, "--evaluations", 48, "--store", "runs")
    assert refused.code == 2
    assert "has a budget of 48 evaluations already" in refused.err
    assert cli("replay", job, "--unit", 4, "--store", "runs").json["same_bits"] is True
    # The smaller budget again is answered as it was.
    assert (
        cli("run", spec(folder, source, budget={"evaluations": 30}), "--store", "runs", "--out", "small", "-q").code
        == 0
    )
    assert table_of("small/result.arrow")["evaluations"].to_pylist() == [8, 30, 2]


SLOW = """
import time
from pathlib import Path

from xai_ray.zoo import random_language_model

class Slow:
    def __init__(self, folder):
        self.path = Path(folder) / "seconds"

    def __call__(self, module, given):
        time.sleep(float(self.path.read_text()))

def make(folder):
    made = random_language_model(layers=1, width=16, heads=2)
    made.model.register_forward_pre_hook(Slow(folder))
    return made
"""


def test_killed_in_the_middle_the_texts_are_there_and_the_end_is_the_same(cli: Cli, folder: Path) -> None:
    (folder / "slow_texts.py").write_text(SLOW)
    (folder / "seconds").write_text("0")
    (folder / "many.txt").write_text(
        "\n".join(f"This is {w} text." for w in ["a", "the", "my", "our", "your", "no", "one", "each"])
    )
    document = json.loads(spec(folder, {"dataset": "many.txt"}).read_text())
    document["game"]["model"] = {"factory": "slow_texts:make", "arguments": {"folder": str(folder)}}
    source = written(folder, document)
    assert cli("run", source, "--store", "undisturbed", "--out", "whole", "-q").code == 0
    whole = Path("whole/result.arrow").read_bytes()
    job = cli("list", "--store", "undisturbed", "--json").json[0]["job"]
    (folder / "seconds").write_text("0.1")
    command = [sys.executable, "-m", "xai_ray.cli", "run", str(source), "--store", "runs", "--engine", "inline"]
    child = subprocess.Popen([*command, "-q", "--out", "out"], cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    parts = folder / "out" / f"{job}.rows"
    try:
        until(lambda: len(list(parts.glob("part-*.arrow"))) >= 2 or child.poll() is not None, "two parts")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    expected = pa.ipc.open_file(whole).read_all()
    files = sorted(map(str, parts.glob("part-*.arrow")))
    some = dataset.dataset(files, format="arrow").to_table()
    assert 2 <= some.num_rows < 8
    assert some.equals(expected.slice(0, some.num_rows))
    partial = cli("result", job, "--store", "runs", "--partial", "--format", "arrow")
    assert partial.code == 0, partial.err
    there = pa.ipc.open_file(partial.out).read_all()
    assert there.equals(expected.slice(0, there.num_rows))
    (folder / "seconds").write_text("0")
    resumed = cli("resume", job, "--store", "runs", "--out", "out", "-q")
    assert resumed.code == 0, resumed.err
    assert Path("out/result.arrow").read_bytes() == whole
    assert not parts.exists()
    (folder / "many.txt").write_text("Other texts.\n")
    changed = cli("resume", job, "--store", "runs", "-q")
    assert changed.code != 0
    assert "shrank from 8 to 1 texts" in changed.err


@pytest.mark.parametrize("name", ["texts.parquet", "texts.txt"])
def test_some_rows_of_other_files(cli: Cli, folder: Path, name: str) -> None:
    column = {} if name.endswith("txt") else {"column": "text"}
    ended = cli("run", spec(folder, {"dataset": name, "rows": "2:3", **column}), "--store", "memory://")
    assert ended.code == 0, ended.err
    assert ended.text.startswith("2  ")
    assert "1 players  2 evaluations  Never." in ended.text


def test_a_driver_elsewhere_brings_it_to_its_end(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "texts.csv", "column": "text"})
    ended = cli("submit", source, "--store-only", "--store", "runs")
    assert ended.code == 0, ended.err
    job = ended.text.strip()
    assert cli("status", job, "--store", "runs", "--json").json["state"] == "submitted"
    assert cli("run", source, "--store", "runs", "-q").code == 0
    assert "finished already" in cli("submit", source, "--store-only", "--store", "runs").err
    more = spec(folder, {"dataset": "texts.csv", "column": "text"}, budget={"evaluations": 50})
    assert "stored" in cli("submit", more, "--store-only", "--store", "runs").err
    watched = cli("cancel", job, "--store", "runs")
    assert watched.code == 0


def test_other_players_are_another_job_where_the_first_text_is_laid_out_alike(cli: Cli, folder: Path) -> None:
    (folder / "two.txt").write_text("Never.\nIt is so. It is not.\n")
    found = dict[str, Any]()
    for kind in ("words", "sentences"):
        document = json.loads(spec(folder, {"dataset": "two.txt"}).read_text())
        document["game"]["players"] = {"kind": kind}
        ended = cli("run", written(folder, document), "--store", "runs", "--out", kind, "-q")
        assert ended.code == 0, ended.err
        found[kind] = table_of(f"{kind}/result.arrow")["players"].to_pylist()
    assert [len(players) for players in found["words"]] == [1, 6]
    assert [len(players) for players in found["sentences"]] == [1, 2]


def test_other_names_of_the_same_texts_are_another_job(cli: Cli, folder: Path) -> None:
    source = {"dataset": "texts.csv", "column": "text"}
    (folder / "texts.csv").write_text("who,other,text\na,x,yes no\nb,y,yes no\n")
    lines = []
    for names in ({"id": "who"}, {"id": "other"}, {"rows": "0:1"}, {"rows": "1:2"}):
        ended = cli("run", spec(folder, source | names), "--store", "runs")
        assert ended.code == 0, ended.err
        lines.append([line.split("  ")[0] for line in ended.text.splitlines()])
    assert lines == [["a", "b"], ["x", "y"], ["0"], ["1"]]
    assert cli("run", spec(folder, source | {"id": "who"}), "--store", "other", "-q").code == 0
    job = cli("list", "--store", "other", "--json").json[0]["job"]
    (folder / "texts.csv").write_text("who,other,text\na,x,yes no\nc,y,yes no\n")
    changed = cli("resume", job, "--store", "other", "-q")
    assert changed.code == 3
    assert "the names (id) of the texts changed since it began" in changed.err


def test_the_newest_budget_is_the_one_that_goes_on(cli: Cli, folder: Path) -> None:
    source = {"dataset": "texts.csv", "column": "text"}
    for evaluations in ("exact", 48):
        ended = cli("run", spec(folder, source, budget={"evaluations": evaluations}), "--store", "runs", "-q")
        assert ended.code == 0, ended.err
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    assert cli("resume", job, "--store", "runs", "--out", "again", "-q").code == 0
    assert table_of("again/result.arrow")["evaluations"].to_pylist() == [8, 48, 2]
    extended = cli("extend", job, "--evaluations", 50, "--store", "runs", "--out", "wider", "-q")
    assert extended.code == 0, extended.err
    assert table_of("wider/result.arrow")["evaluations"].to_pylist() == [8, 50, 2]
    assert cli("run", spec(folder, source, budget={"evaluations": "exact"}), "--store", "runs", "-q").code == 0
    refused = cli("extend", job, "--evaluations", 60, "--store", "runs")
    assert refused.code == 2
    assert "has evaluated all coalitions of each text; there is nothing to extend" in refused.err
    assert cli("resume", job, "--store", "runs", "--out", "exact", "-q").code == 0
    assert table_of("exact/result.arrow")["evaluations"].to_pylist() == [8, 64, 2]


def test_a_cancelled_job_tells_of_texts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "slow_texts.py").write_text(SLOW)
    (folder / "seconds").write_text("0.2")
    (folder / "many.txt").write_text("One text.\n" * 8)
    document = json.loads(spec(folder, {"dataset": "many.txt"}).read_text())
    document["game"]["model"] = {"factory": "slow_texts:make", "arguments": {"folder": str(folder)}}
    monkeypatch.syspath_prepend(folder)
    store = MemoryStore()
    attempt = new_run(load(written(folder, document)), folder, store, InlineEngine, Until(store, 2))
    with pytest.raises(Cancelled, match=r"was cancelled with [2-7] texts committed"):
        attempt.execute()


def test_the_clock_ends_a_job_after_any_text() -> None:
    """Of 200 texts every fourth is a boundary."""
    design, now = EachInput(200, 0), [0.0]
    pool: Any = SimpleNamespace(answer=lambda question, estimator: SimpleNamespace(largest_std_error=0.0))
    stage = 200
    rounds = Rounds(design, 400, [Ask(Question("SV"))], Stop(seconds=1.0), Silent(), lambda: now[0], lambda draws: pool)
    rounds.done.add(Unit(0, stage))
    now[0] = 2.0
    assert rounds.overdue() is None  # No text of this stage is there.
    rounds.commit(Unit(stage, stage + 1))
    rounds.commit(Unit(stage + 2, stage + 3))
    rounds.look()
    assert rounds.overdue() == stage + 1
    now[0] = 0.5
    assert rounds.overdue() is None
    now[0] = 2.0
    rounds.settle(stage + 1)
    assert (rounds.stop_at, rounds.by) == (stage + 1, "seconds")


def test_a_job_that_ran_out_of_time_keeps_its_texts_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "slow_texts.py").write_text(SLOW)
    (folder / "seconds").write_text("0")
    (folder / "many.txt").write_text("One text.\n" * 200)
    monkeypatch.syspath_prepend(folder)
    document = json.loads(spec(folder, {"dataset": "many.txt"}, budget={"evaluations": 4, "seconds": 3.0}).read_text())
    document["game"]["model"] = {"factory": "slow_texts:make", "arguments": {"folder": str(folder)}}
    source, store = load(written(folder, document)), MemoryStore()
    attempt = new_run(source, folder, store, InlineEngine, Silent())
    # A second for each text that is planned.
    ticks = iter(range(10_000))
    attempt.clock = lambda: float(next(ticks)) / 2
    ended = attempt.execute()
    done = ended.pool.draws
    assert 0 < done < 200
    assert done % 4, "the boundaries of 200 texts are every fourth"
    assert ended.ending["by"] == "seconds"
    again = new_run(source, folder, store, InlineEngine, Silent()).execute()
    assert again.pool.draws == done


def test_check_lays_out_every_text_once(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid, sized = list[int](), TextGames.sized

    def counted(self: TextGames, at: int) -> Any:
        laid.append(at)
        return sized(self, at)

    monkeypatch.setattr(TextGames, "sized", counted)
    facts = cli("check", spec(folder, {"dataset": "texts.txt"}), "--json").json
    assert facts["players"] == "1 to 6 a text"
    assert laid == [0, 1, 2]
