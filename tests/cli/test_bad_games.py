"""Known games and tables that are no games: refused with the words a user needs; one player works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.runs import Cli, airport, glove, refused, written


def weighted(*weights: float) -> dict[str, Any]:
    arguments = {"weights": weights, "quota": 2}
    return glove() | {"game": {"kind": "known", "name": "weighted_voting", "arguments": arguments}}


def united(*sets: list[float]) -> dict[str, Any]:
    arguments = {"players": 3, "sets": sets, "dividends": [1.0] * len(sets)}
    return glove() | {"game": {"kind": "known", "name": "sum_of_unanimity", "arguments": arguments}}


TWO = [{"index": "SV", "estimator": "leverage"}, {"index": "SV", "estimator": "permutation"}]
"""Estimators that draw different designs."""

KNOWN: list[tuple[str, dict[str, Any], list[str]]] = [
    ("too large for exact", airport(60, "exact"), ["2^60 = 1.15e+18 evaluations", "n = 24", "sampled estimator"]),
    ("too large for exact, by auto", airport(60, "exact", {"index": "SV"}), ["2^60 = 1.15e+18 evaluations", "n = 24"]),
    ("far too large for exact", airport(2000, "exact"), ["n = 2000", "2^2000"]),
    ("only exact knows it", airport(30, 900, {"index": "FSII", "order": 4}), ["FSII", "no sampled estimator", "2^30"]),
    ("two designs", airport(12, 900, *TWO), ["different ones", "'leverage'", "'permutation'", "two jobs"]),
    ("budget of a large game", airport(30, 20), ["budget of 20", "at least", "30 players"]),
    (
        "no player",
        glove() | {"game": {"kind": "known", "name": "glove", "arguments": {"left": 0, "right": 0}}},
        ["at least one player, got 0"],
    ),
    ("known game", glove() | {"game": {"kind": "known", "name": "glov"}}, ["did you mean 'glove'"]),
    (
        "known argument",
        glove() | {"game": {"kind": "known", "name": "glove", "arguments": {"left": 1, "rite": 1}}},
        ["unknown argument 'rite'", "did you mean 'right'"],
    ),
    (
        "missing argument",
        glove() | {"game": {"kind": "known", "name": "glove", "arguments": {"left": 1}}},
        ["missing right"],
    ),
    ("huge weight", weighted(1e308, 2), ["weighted_voting", "too large"]),
    ("fraction of a player", united([0.5]), ["sum_of_unanimity", "integers"]),
    ("player out of range", united([9]), ["9"]),
]


@pytest.mark.parametrize(("spec", "words"), [pytest.param(*k[1:], id=k[0]) for k in KNOWN])
def test_a_known_game_that_cannot_be(cli: Cli, tmp_path: Path, spec: dict[str, Any], words: list[str]) -> None:
    refused(cli, 2, words, "run", written(tmp_path, spec))


def table(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "v.npz", **arrays)
    spec = {"game": {"kind": "table", "path": "v.npz"}, "ask": [{"index": "SV"}], "budget": {"evaluations": "exact"}}
    return written(folder, spec)


TABLES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("no power of two", {"values": np.zeros(12)}, ["2^n values, got 12", "8 and 16"]),
    ("zero players", {"values": np.zeros(1)}, ["no players", "two values"]),
    ("empty", {"values": np.zeros(0)}, ["2^n values, got 0"]),
    ("nan", {"values": np.array([0, 1, np.nan, 3.0])}, ["coalition [1]", "nan"]),
    ("other key", {"worth": np.zeros(8)}, ["no key 'values'", "worth"]),
    ("text", {"values": np.array(["a", "b"])}, ["real numbers"]),
    ("objects", {"values": np.array([None, 1.0], dtype=object)}, ["v.npz"]),
    ("three axes", {"values": np.zeros((4, 1, 1))}, ["(4, 1, 1)"]),
    ("no outputs", {"values": np.zeros((4, 0))}, ["no outputs"]),
    ("names", {"values": np.zeros(4), "player_names": np.array(["a"])}, ["1 player names for 2"]),
]


@pytest.mark.parametrize(("arrays", "words"), [pytest.param(*t[1:], id=t[0]) for t in TABLES])
def test_a_table_that_is_no_game(cli: Cli, tmp_path: Path, arrays: dict[str, Any], words: list[str]) -> None:
    refused(cli, 2, words, "run", table(tmp_path, **arrays))


def test_a_table_that_is_no_archive(cli: Cli, tmp_path: Path) -> None:
    spec = table(tmp_path, values=np.zeros(8))
    whole = (tmp_path / "v.npz").read_bytes()
    (tmp_path / "v.npz").write_bytes(whole[: len(whole) // 2])
    refused(cli, 2, ["v.npz", "cannot be read"], "run", spec)
    (tmp_path / "v.npz").unlink()
    refused(cli, 2, ["v.npz", "no such file"], "run", spec)
    np.save(tmp_path / "v.npy", np.zeros(8))
    (tmp_path / "v.npy").rename(tmp_path / "v.npz")
    refused(cli, 2, ["single array"], "run", spec)


def test_one_player_works(cli: Cli, tmp_path: Path) -> None:
    spec = table(tmp_path, values=np.array([1.0, 4.0]))
    assert cli("run", spec, "--out", tmp_path / "out").code == 0
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["estimates"][0]["values"] == [3.0]
    assert cli("run", written(tmp_path, airport(1, 2), "one.json")).code == 0
