"""Bad texts are named by their row; mistakes of the spec are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import cli
from tests.cli.runs import Cli, written
from tests.rows.texts import folder, offline, spec

pytest.importorskip("transformers", reason="the extra `text` is not installed")

__all__ = ["cli", "folder", "offline"]


def bad(folder: Path, kind: str) -> dict[str, Any]:
    source = {"dataset": "x.csv", "column": "text"}
    match kind:
        case "empty text":
            (folder / "x.csv").write_text('text\nyes\n"  "\n')
        case "no such column":
            return {"dataset": "texts.csv", "column": "review"}
        case "not texts":
            return {"dataset": "texts.parquet", "column": "stars"}
        case "too long":
            (folder / "x.csv").write_text("text\nyes\n" + "word " * 2000 + "\n")
        case "ragged":
            (folder / "x.csv").write_text("text,who\nyes\n")
        case "nothing":
            (folder / "x.csv").write_text("text\n")
        case "parts":
            return {"dataset": "texts.csv", "column": "text", "background_parts": 2}
        case "outside":
            return {"dataset": "texts.csv", "column": "text", "rows": "1:9"}
        case _:
            return {"dataset": "nowhere.csv", "column": "text"}
    return source


BAD = {
    "empty text": "row 1 has no text in column 'text'; fill it in, or leave the row out",
    "no such column": "no one column 'review'; columns: who, text",
    "not texts": "column 'stars' holds int64, not texts",
    "too long": "row 1: ",
    "ragged": "cannot read the table",
    "nothing": "it has no rows",
    "outside": 'rows = "1:9" lies outside of its 3 rows',
    "parts": "background_parts is for rows of numbers, which share a background; leave it out",
    "nowhere": "no table at",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_texts_are_named(cli: Cli, folder: Path, kind: str) -> None:
    ended = cli("run", spec(folder, bad(folder, kind)), "--store", "memory://", "-q")
    assert ended.code == 2, ended.err
    assert BAD[kind] in ended.err
    assert "Traceback" not in ended.err
    if kind == "too long":
        assert "tokens, the model takes" in ended.err


MISTAKES: dict[str, dict[str, Any]] = {
    "players": {"players": {"kind": "grid", "rows": 2, "columns": 2}},
    "removal": {"removal": {"kind": "blur"}},
    "target": {"behaviour": {"kind": "log_odds", "target": 10**9}},
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_of_the_spec_are_no_row_s(cli: Cli, folder: Path, kind: str) -> None:
    document = json.loads(spec(folder, {"dataset": "texts.txt"}).read_text())
    document["game"] |= MISTAKES[kind]
    ended = cli("check", written(folder, document))
    assert ended.code == 2, ended.err
    assert "row 0" not in ended.err


def test_questions_that_no_text_answers_are_no_row_s(cli: Cli, folder: Path) -> None:
    ask = [{"index": "SV", "estimator": "owen"}]
    for source in ({"dataset": "texts.txt"}, {"dataset": "texts.txt", "rows": "1:2"}):
        ended = cli("check", spec(folder, source, ask=ask))
        assert ended.code == 2, ended.err
        assert not ended.err.startswith("xai-ray: row")
    ended = cli("check", spec(folder, {"dataset": "texts.txt"}, ask=[{"index": "SII"}]))
    assert ended.err.startswith("xai-ray: row 2: ")


def test_players_of_texts_go_by_number(cli: Cli, folder: Path) -> None:
    ask = [{"index": "SV", "players": ["it"]}]
    ended = cli("check", spec(folder, {"dataset": "texts.txt"}, ask=ask))
    assert ended.code == 2
    assert ended.err.strip() == (
        "xai-ray: ask[0].players: each text has players of its own; give numbers, as [0, 1] for the first two of each"
    )
    ended = cli("check", spec(folder, {"dataset": "texts.txt"}, ask=[{"index": "SV", "players": [1]}]))
    assert ended.err.startswith("xai-ray: row 2: SV: player 1 is out of range; players are 0..0")
    first = [{"index": "SV", "players": [0]}]
    done = cli("run", spec(folder, {"dataset": "texts.txt"}, ask=first), "--store", "runs", "--out", "out", "-q")
    assert done.code == 0, done.err
