"""The report of training points: what it refuses, and the games and results that it takes."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import xai_ray as xr
from tests.valuation.report_data import DATA, IMAGES, LABELS, RIDGE, TEXTS, WRONG, N, Page, X, part_of, shapley
from xai_ray.errors import DigestMismatch, InputError, SpecError, StoreError
from xai_ray.reports.methods import methods_of
from xai_ray.valuation import TrainingGame, exhibits
from xai_ray.valuation.shown import shown_by

__all__ = ["shapley"]


def test_a_game_keeps_its_exhibits_at_home() -> None:
    seen = exhibits(N, texts=TEXTS, images=IMAGES)
    game = TrainingGame(RIDGE, *DATA, scores=("accuracy",), exhibits=seen)
    assert game.digest == TrainingGame(RIDGE, *DATA, scores=("accuracy",)).digest
    assert game.exhibits.texts == tuple(TEXTS)
    assert game.exhibits
    assert not pickle.loads(pickle.dumps(game.exhibits))
    assert len(pickle.dumps(seen)) < 200


def test_the_game_of_a_stored_result(tmp_path: Path) -> None:
    store = str(tmp_path / "runs")
    found = xr.value(RIDGE, *DATA, budget=300, store=store)
    opened = xr.open_result(found.job, store)
    with pytest.raises(SpecError, match="give value_report its game"):
        xr.value_report(opened, tmp_path / "r.html", curves=2)
    game = TrainingGame(RIDGE, *DATA, scores=("accuracy",))
    again = Page(xr.value_report(opened, tmp_path / "r.html", curves=2, game=game))
    assert "Removing points" in again.words
    other = TrainingGame(LogisticRegression(), *DATA, scores=("accuracy",))
    with pytest.raises(DigestMismatch, match="valued another data set or estimator"):
        xr.value_report(opened, tmp_path / "r.html", game=other)
    with pytest.raises(InputError, match="takes its TrainingGame"):
        xr.value_report(opened, tmp_path / "r.html", game=RIDGE)  # type: ignore[arg-type]


def test_curves_of_methods_without_a_game(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, store = tmp_path / "r.html", str(tmp_path / "runs")
    found = xr.value(None, *DATA, method="lava", store=store)
    with pytest.raises(SpecError, match=r"and lava has no estimator to train; leave curves out$"):
        xr.value_report(found, out, curves=2)
    opened = xr.open_result(found.job, store)
    with pytest.raises(SpecError, match=r"call xai_ray\.value\(\.\.\.\) again with the same arguments and store"):
        xr.value_report(opened, out, curves=2)
    game = TrainingGame(RIDGE, *DATA, scores=("accuracy",))
    with pytest.raises(SpecError, match="was valued by lava, without a TrainingGame: leave game out"):
        xr.value_report(opened, out, game=game)
    words = Page(xr.value_report(opened, out)).words
    assert "Players by value" in words
    assert "Ask for them: call xai_ray.value(...) again" in words
    untested = xr.value(KNeighborsClassifier(3), *DATA[:2], method="data_oob", budget=128)
    with pytest.raises(SpecError, match="there are no test rows to judge models by; leave curves out"):
        xr.value_report(untested, out, curves=2)
    monkeypatch.setattr("xai_ray.valuation.asked.MOST_SHOWN", N - 1)
    loo = xr.value(RIDGE, *DATA, method="loo")
    with pytest.raises(SpecError, match="for at most 29 points, here are 30; leave curves out"):
        xr.value_report(loo, out, curves=2)
    words = Page(xr.value_report(loo, out, texts=TEXTS)).words
    assert "Training points by value" in words
    assert "for at most 29 points, here are 30" in words
    assert "Ask for them" not in words


def test_a_closed_form_keeps_what_it_was_asked_at_home() -> None:
    game = xr.value(KNeighborsClassifier(3), *DATA, method="knn").game
    shown = shown_by(game)
    assert shown is not None
    assert shown.targets == LABELS.tolist()
    assert shown_by(pickle.loads(pickle.dumps(game))) is None
    assert len(pickle.dumps(game)) == len(pickle.dumps(replace(game, asked=None)))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"texts": TEXTS[:-1]}, "29 texts for 30 training points"),
    ({"texts": "a text"}, "one text a training point; got str"),
    ({"texts": [*TEXTS[:-1], 7]}, "the text of training point 29 is 7"),
    ({"images": IMAGES[1:]}, "29 images for 30 training points"),
    ({"images": IMAGES.reshape(N, 30)}, r"images have shape \(30, 30\)"),
    ({"images": IMAGES * 16}, r"floats from 0 to 1"),
    ({"images": np.where(IMAGES > 0.9, np.nan, IMAGES)}, "floats from 0 to 1"),
    ({"images": (IMAGES * 255).astype(np.int64)}, "int64"),
    ({"images": [np.zeros((2, 2)), np.zeros((3, 2))] * 15}, "differ in size"),
    ({"flagged": WRONG[1:]}, r"flagged has shape \(29,\)"),
    ({"flagged": ["yes"] * N}, "True or False"),
    ({"flagged": np.full(N, 2)}, "True or False"),
    ({"beside": {"other": np.zeros(5)}}, "'other' has values of shape"),
    ({"beside": {"other": "high"}}, "'other' is no Result"),
    ({"beside": {"Shapley": np.zeros(N)}}, "two methods are called 'Shapley'"),
]


@pytest.mark.parametrize(("given", "message"), BAD, ids=[message[:28] for _, message in BAD])
def test_bad_input(shapley: xr.Result, tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        xr.value_report(shapley, tmp_path / "r.html", **given)
    assert not (tmp_path / "r.html").exists()


def test_other_refusals(shapley: xr.Result, tmp_path: Path) -> None:
    smaller = xr.value(RIDGE, X[:7], LABELS[:7], *DATA[2:], method="exact")
    with pytest.raises(InputError, match="'smaller' values 7 other players"):
        xr.value_report(shapley, tmp_path / "r.html", beside={"smaller": smaller})
    with pytest.raises(SpecError, match="1 to 100"):
        xr.value_report(shapley, tmp_path / "r.html", curves=101)
    glove = xr.explain(xr.GloveGame(3, 2), "SV", budget="exact")
    with pytest.raises(SpecError, match="it has no training game; leave curves out"):
        xr.value_report(glove, tmp_path / "r.html", curves=3)
    pairs_only = xr.explain(xr.GloveGame(3, 2), "SII", order=2, budget="exact")
    with pytest.raises(SpecError, match="has no estimate with one value a point"):
        xr.value_report(pairs_only, tmp_path / "r.html")
    with pytest.raises(StoreError, match="cannot write"):
        xr.value_report(shapley, tmp_path)
    assert [m.name for m in methods_of(shapley)] == ["Shapley"]
    assert re.match("Trained on all 30 points, accuracy is", part_of(shapley).headline())
