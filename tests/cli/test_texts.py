"""Texts through the command line: jobs that run, and specs that are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.runs import ROOT, Cli, refused, written

pytest.importorskip("transformers", reason="the extra `text` is not installed")

FACTORY = {"factory": "xai_ray.zoo:random_language_model", "arguments": {"layers": 1, "width": 16, "heads": 2}}
ANSWERS = {"kind": "answer_log_probability", "answers": [" yes", " no."]}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def spec(**game: Any) -> dict[str, Any]:
    usual = {
        "kind": "model", "model": FACTORY, "input": {"text": "Is it so? We asked. It is not."}, "players": {"kind": "sentences"},
        "removal": {"kind": "drop"}, "behaviour": ANSWERS,
    }  # fmt: skip
    return {"game": usual | game, "ask": [{"index": "SV"}], "budget": {"evaluations": "exact"}}


def values(cli: Cli, tmp_path: Path, given: dict[str, Any]) -> Any:
    assert cli("run", written(tmp_path, given), "--out", "out", "--store", "memory://").code == 0
    return json.loads((tmp_path / "out" / "result.json").read_text())


def test_the_prompt_job(cli: Cli) -> None:
    assert "RANDOM" in (ROOT / "jobs" / "prompt.toml").read_text()
    ended = cli("run", ROOT / "jobs" / "prompt.toml", "--quiet")
    assert ended.code == 0, ended.err
    assert "Mona Lisa" in ended.text
    assert " in Rome." in ended.text


@pytest.mark.parametrize(
    "game",
    [
        {"removal": {"kind": "attention"}},
        {"removal": {"kind": "drop", "replacement": "..."}},
        {"players": {"kind": "segments", "separator": ". "}},
        {"players": {"kind": "segments", "spans": [[0, 9], [10, 19]], "labels": ["a", "b"], "rest": "stays"}},
        {"players": {"kind": "words"}, "behaviour": {"kind": "answer_log_probability", "answers": ["x"], "per_token": True}},
    ],
)  # fmt: skip
def test_keys_of_texts(cli: Cli, tmp_path: Path, game: dict[str, Any]) -> None:
    found = values(cli, tmp_path, spec(**game))
    assert np.isfinite(np.array(found["estimates"][0]["values"])).all()
    assert found["outputs"] == game.get("behaviour", ANSWERS)["answers"]


def test_passages_from_files_are_those_of_the_spec(cli: Cli, tmp_path: Path) -> None:
    texts = ["One is so.", "Two is not."]
    (tmp_path / "p.txt").write_text("\n".join([texts[0], "", texts[1]]))
    (tmp_path / "p.json").write_text(json.dumps(texts))
    players = {"kind": "passages", "template": "{passages}So?", "labels": ["1", "2"]}
    games = [
        values(cli, tmp_path, spec(input={"passages": p}, players=players))["estimates"][0]["values"]
        for p in (texts, "p.txt", "p.json")
    ]
    assert games[0] == games[1] == games[2]


WITHOUT_ANSWERS = {"kind": "answer_log_probability"}
BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"behaviour": WITHOUT_ANSWERS}, ["game.behaviour", "answers"]),
    ({"behaviour": {"kind": "raw", "answers": ["a"]}}, ["game.behaviour", "go together"]),
    ({"behaviour": {"kind": "answer_log_probability", "answers": [""]}}, ["answer '' has no tokens"]),
    ({"players": {"kind": "passages"}}, ["game.players", "{ passages = [..] }"]),
    ({"input": {"passages": ["a"]}}, ["game.players", "go together"]),
    ({"input": {"passages": []}, "players": {"kind": "passages"}}, ["list of passages is empty"]),
    ({"input": {"passages": "none.txt"}, "players": {"kind": "passages"}}, ["none.txt"]),
    ({"input": {"passages": "none.csv"}, "players": {"kind": "passages"}}, [".txt", ".json"]),
    ({"input": {"text": "a" * 3000}}, ["3000 tokens", "takes 2048", "shorten"]),
    ({"input": {"text": "   "}}, ["so there are no players"]),
    ({"removal": {"kind": "mask_token"}}, ["no mask token", "'drop'"]),
    ({"removal": {"kind": "drip"}}, ["game.removal.kind", "did you mean 'drop'"]),
    ({"players": {"kind": "sentence"}}, ["did you mean 'sentences'"]),
    ({"players": {"kind": "segments", "spans": [[0, 9]]}}, ["characters 9 to 30", "belong to no segment"]),
    ({"removal": {"kind": "drop", "prefix_cache": True}}, ["last token always stays"]),
    ({"model": {"factory": "xai_ray.zoo:random_language_model", "arguments": {"width": 15}}}, ["multiple of heads"]),
]


@pytest.mark.parametrize(("game", "words"), BAD)
def test_specs_that_are_refused(cli: Cli, tmp_path: Path, game: dict[str, Any], words: list[str]) -> None:
    refused(cli, 2, words, "run", written(tmp_path, spec(**game)))
