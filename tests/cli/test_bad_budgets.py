"""Stop rules at the doors: mistakes are named with their path, `check` says the rules in words, results say what ended a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runs import Cli, airport, refused, written

MISTAKES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("unknown key", {"relative_eror": 0.1}, ["budget.relative_eror", "did you mean 'relative_error'"]),
    ("unknown key near seconds", {"second": 3}, ["budget.second", "did you mean 'seconds'"]),
    ("relative error of one", {"relative_error": 1.0}, ["budget.relative_error", "less than 1"]),
    ("relative error in percent", {"relative_error": 5}, ["budget.relative_error", "less than 1", "5"]),
    ("negative relative error", {"relative_error": -0.1}, ["budget.relative_error", "greater than 0"]),
    ("top zero", {"top": 0}, ["budget.top", "greater than 0"]),
    ("half a top", {"top": 2.5}, ["budget.top", "2.5"]),
    ("bottom of all", {"bottom": 12}, ["budget.bottom = 12", "SV of 12 players has 12 values", "1 to 11"]),
    ("top of all", {"top": 12}, ["budget.top = 12", "SV of 12 players has 12 values", "1 to 11"]),
    ("negative seconds", {"seconds": -1}, ["budget.seconds", "greater than 0"]),
    ("endless seconds", {"seconds": float("inf")}, ["budget.seconds", "finite"]),
    ("ranking of more than all", {"ranking": 1.5}, ["budget.ranking", "less than or equal to 1"]),
    ("no ranking", {"ranking": 0.0}, ["budget.ranking"]),
    ("ranking in words", {"ranking": "all"}, ["budget.ranking", "valid number", "'all'"]),
]


@pytest.mark.parametrize(("rules", "words"), [pytest.param(*m[1:], id=m[0]) for m in MISTAKES])
def test_a_mistake_in_the_rules(cli: Cli, tmp_path: Path, rules: dict[str, Any], words: list[str]) -> None:
    spec = written(tmp_path, airport(12, 400, **rules))
    for command in ("check", "run"):
        refused(cli, 2, words, command, spec)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("rules", [{"top": 1}, {"ranking": True}, {"relative_error": 0.1}])
def test_one_value_has_nothing_to_compare(cli: Cli, tmp_path: Path, rules: dict[str, Any]) -> None:
    said = ["budget." + next(iter(rules)), "SV of 1 player has 1 value", "at least two"]
    refused(cli, 2, said, "run", written(tmp_path, airport(1, 2, **rules)))
    strength = airport(6, "exact", {"index": "J"}, **rules)
    refused(cli, 2, ["J of 6 players has 1 value"], "run", written(tmp_path, strength))


def test_check_says_the_rules_in_words(cli: Cli, tmp_path: Path) -> None:
    spec = written(tmp_path, airport(12, 3000, relative_error=0.02, top=3, ranking=True, seconds=90))
    assert cli("check", spec, "--json").json["stop"] == [
        "when the largest standard error is at most 0.02 of the spread of the values",
        "and the 3 largest values are told from the rest (95 % confidence)",
        "and all neighbours in the ranking are told apart (95 % confidence)",
        "or after 90 s",
    ]
    assert "stop " in cli("check", spec).text
    assert "stop" not in cli("check", written(tmp_path, airport(12, 3000)), "--json").json


def test_a_rule_ends_a_run_and_everything_says_so(cli: Cli, tmp_path: Path) -> None:
    spec = written(tmp_path, airport(12, 4000, relative_error=0.05, top=1))
    ended = cli("run", spec, "--out", "out")
    assert ended.code == 0, ended.err
    assert "still open" in ended.err
    said = "stopped early by relative_error = 0.05 and top = 1"
    assert said in ended.text
    (row,) = cli("list", "--json").json
    assert cli("status", row["job"], "--json").json["stop"] == said
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["stop"] == {
        "asked": {"relative_error": 0.05, "top": 1},
        "by": "rules",
        "open": [],
        "precise": True,
    }
    assert document["evaluations"] < 4000
    assert said in (tmp_path / "out" / "report.html").read_text()
    # Running it again, or resuming, ends at the same bytes.
    assert cli("resume", row["job"], "--out", "again").code == 0
    assert (tmp_path / "again" / "result.json").read_bytes() == (tmp_path / "out" / "result.json").read_bytes()
    assert cli("result", row["job"], "--format", "json").json == document
    # What a rule left of the budget can be spent.
    assert cli("extend", row["job"], "--evaluations", 4000).code == 0
    whole = cli("result", row["job"], "--format", "json").json
    assert (whole["evaluations"], "stop" in whole) == (4000, False)


def test_out_of_budget_or_time_is_4(cli: Cli, tmp_path: Path) -> None:
    ended = cli("run", written(tmp_path, airport(12, 200, ranking=True)))
    assert ended.code == 4
    assert "the budget ended before the asked precision" in ended.err
    assert "ranking of SV settled, asked 100%" in ended.err
    (row,) = cli("list", "--json").json
    assert row["stop"].startswith("the budget was spent; not reached")
    timed = cli("extend", row["job"], "--evaluations", 3000, "--ranking", 1, "--seconds", 1e-9)
    assert timed.code == 4
    assert "the time ended before the asked precision" in timed.err
    assert "stopped by the time limit" in timed.text
    assert cli("result", row["job"], "--format", "json").json["evaluations"] < 3000
    # Time alone is no precision.
    assert cli("extend", row["job"], "--evaluations", 3000, "--seconds", 1e-9).code == 0
    refused(cli, 2, ["--seconds"], "extend", row["job"], "--evaluations", 3000, "--seconds", -1)
    refused(cli, 2, ["--top"], "extend", row["job"], "--evaluations", 3000, "--top", 0)


def test_bands_are_shown_when_asked(cli: Cli, tmp_path: Path) -> None:
    assert "all at once (95 %): ±" in cli("run", written(tmp_path, airport(12, 400))).text
    (row,) = cli("list", "--json").json
    plain = cli("result", row["job"], "--format", "json").json["estimates"][0]
    wide = cli("result", row["job"], "--format", "json", "--bands").json["estimates"][0]
    assert "half_widths" not in plain
    ratios = [h / e for h, e in zip(wide["half_widths"], wide["std_errors"], strict=True)]
    assert min(ratios) == pytest.approx(max(ratios))
    assert 2.5 < ratios[0] < 3.5
    refused(cli, 2, ["--bands", "json"], "result", row["job"], "--bands")
