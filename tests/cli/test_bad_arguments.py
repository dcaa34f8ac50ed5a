"""Wrong arguments of every command: an exit code, the words a user needs, no traceback, and the job is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.runs import Cli, glove, refused, written

ARGUMENTS: list[tuple[str, list[str], int, list[str]]] = [
    ("job", ["status", "glov"], 3, ["no job 'glov'", "list"]),
    ("job id", ["status", "../glove"], 2, ["'../glove' is no job id"]),
    ("format", ["result", "{job}", "--format", "xml"], 2, ["xml", "json"]),
    ("index", ["result", "{job}", "--ask", "SIII"], 2, ["unknown index 'SIII'", "did you mean 'SII'"]),
    ("brackets", ["result", "{job}", "--ask", "Beta(4,1"], 2, ["Beta(4,1", "for example"]),
    ("parameters", ["result", "{job}", "--ask", "Beta(4)"], 2, ["alpha, beta", "got 1"]),
    ("parameter text", ["result", "{job}", "--ask", "Beta(a,b)"], 2, ["numbers with commas"]),
    ("parameter out of range", ["result", "{job}", "--ask", "WBV(7)"], 2, ["between 0 and 1"]),
    ("too many parameters", ["result", "{job}", "--ask", "SII(3)"], 2, ["takes 0 parameters"]),
    ("contexts", ["result", "{job}", "--ask", "MOI", "--contexts", "a,b"], 2, ["whole numbers with commas"]),
    ("context", ["result", "{job}", "--ask", "MOI", "--contexts", "99"], 2, ["context size 99"]),
    (
        "pairs no JSON",
        ["result", "{job}", "--ask", "SII", "--pairs", "0-1"],
        2,
        ["--pairs", "JSON", "[[0, 1], [0, 2]]"],
    ),
    ("pairs of three", ["result", "{job}", "--ask", "SII", "--pairs", "[[0,1,2]]"], 2, ["--pairs", "two player"]),
    ("pairs by name", ["result", "{job}", "--ask", "SII", "--pairs", '[["a","b"]]'], 2, ["--pairs", "player numbers"]),
    ("pair beyond", ["result", "{job}", "--ask", "SII", "--pairs", "[[0,9]]"], 2, ["(0, 9)", "players are 0..5"]),
    ("pairs of one index", ["result", "{job}", "--ask", "SV", "--pairs", "[[0,1]]"], 2, ["pairs"]),
    ("groups no lists", ["result", "{job}", "--ask", "Owen", "--groups", "[0,1]"], 2, ["--groups", "[[0, 1], [2, 3]]"]),
    ("groups of text", ["result", "{job}", "--ask", "Owen", "--groups", '[["a"]]'], 2, ["--groups", "player numbers"]),
    ("groups in half", ["result", "{job}", "--ask", "Owen", "--groups", "[[0,1]]"], 2, ["groups"]),
    ("weights text", ["result", "{job}", "--ask", "SEMI", "--weights", "much"], 2, ["--weights", "JSON"]),
    ("weights of text", ["result", "{job}", "--ask", "SEMI", "--weights", '["a"]'], 2, ["--weights", "numbers"]),
    ("too few weights", ["result", "{job}", "--ask", "SEMI", "--weights", "[0.5,0.5]"], 2, ["6 entries", "got 2"]),
    ("nan weights", ["result", "{job}", "--ask", "SEMI", "--weights", "[NaN,0,0,0,0,1]"], 2, ["finite"]),
    ("pairs without a question", ["result", "{job}", "--pairs", "[[0,1]]"], 2, ["--pairs", "--ask INDEX"]),
    ("order without a question", ["result", "{job}", "--order", "2"], 2, ["--order", "--ask INDEX"]),
    ("deep brackets", ["result", "{job}", "--ask", "Owen", "--groups", "[" * 9999], 2, ["--groups", "JSON"]),
    ("no number of workers", ["run", "spec.json", "--actors", "0"], 2, ["--actors"]),
    ("priority", ["run", "spec.json", "--priority", "nan"], 2, ["--priority", "positive"]),
    ("a server for a folder", ["list", "--store", "localhost:6379"], 2, ["redis://localhost:6379"]),
    (
        "a secret in a wrong address",
        ["list", "--store", "reddis://me:pw@host"],
        2,
        ["'reddis://me@host'", "redis://HOST"],
    ),
    ("estimator", ["result", "{job}", "--ask", "SV", "--estimator", "levrage"], 2, ["did you mean 'leverage'"]),
    ("estimator of another index", ["result", "{job}", "--ask", "SII", "--estimator", "leverage"], 2, ["'cells'"]),
    ("order", ["result", "{job}", "--ask", "SII", "--order", "99"], 2, ["at least 99 players"]),
    ("unit", ["replay", "{job}", "--unit", "99"], 2, ["units 0..0"]),
    ("negative unit", ["replay", "{job}", "--unit", "-1"], 2, ["units 0..0"]),
    ("smaller budget", ["extend", "{job}", "--evaluations", "3"], 2, ["all 64", "nothing to extend"]),
    ("no budget", ["extend", "{job}"], 2, ["--evaluations"]),
    ("precision", ["extend", "{job}", "--evaluations", "99", "--std-error", "-1"], 2, ["--std-error", "positive"]),
    ("nan precision", ["extend", "{job}", "--evaluations", "99", "--std-error", "nan"], 2, ["--std-error", "positive"]),
    ("command", ["statuss"], 2, ["statuss"]),
    ("option", ["run", "spec.json", "--enginee", "ray"], 2, ["--enginee"]),
    ("engine", ["run", "spec.json", "--engine", "dask"], 2, ["dask"]),
    ("report folder", ["report", "{job}", "--out", "folder"], 3, ["cannot write folder", "--out"]),
    ("scheme", ["list", "--store", "ftp://host"], 2, ["ftp"]),
    ("no store", ["list", "--store", "none"], 3, ["none", "--store"]),
    ("out is a file", ["run", "spec.json", "--out", "spec.json"], 2, ["spec.json", "--out"]),
]


@pytest.mark.parametrize(("arguments", "code", "words"), [pytest.param(*a[1:], id=a[0]) for a in ARGUMENTS])
def test_a_wrong_argument(cli: Cli, tmp_path: Path, arguments: list[str], code: int, words: list[str]) -> None:
    (tmp_path / "folder").mkdir()
    assert cli("run", written(tmp_path, glove())).code == 0
    job = cli("list", "--json").json[0]["job"]
    refused(cli, code, words, *(a.format(job=job) for a in arguments))
    assert cli("result", job, "--format", "json").code == 0
