"""Curves on rows that took no part in the valuation: where they come from, what is said, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

import xai_ray as xr
from tests.cli.conftest import cli
from tests.cli.runs import Cli, refused, written
from tests.valuation.report_data import DATA, LABELS, RIDGE, TEXTS, N, Page, R, X, part_of, shapley
from tests.valuation.test_value_report_jobs import ARRAYS, arrays, job, spec
from xai_ray.build import game_of
from xai_ray.errors import InputError, SpecError
from xai_ray.spec import load, parse
from xai_ray.training_data import Rows, held_out, read_rows
from xai_ray.valuation import OwnScore, TrainingGame, exhibits
from xai_ray.valuation.shown import shown_by

__all__ = ["cli", "job", "shapley"]

JOBS = Path(__file__).parents[2] / "jobs"
H = 17
HELD = R.normal(size=(H, 4))
TRUTH = np.where(HELD[:, 0] > 0, "yes", "<no>")
APART = "rows that took no part in the valuation"
OWN = "the job's own test points"


def test_curves_are_those_of_models_scored_on_the_holdout(shapley: xr.Result, tmp_path: Path) -> None:
    part = part_of(shapley, curves=3, holdout=(HELD, TRUTH))
    assert part.curves is not None
    assert part.judges == H
    order = np.argsort(-shapley.values, kind="stable")
    for step, count in enumerate(part.curves.counts[:-1]):
        kept = np.sort(order[count:])
        fitted = RidgeClassifier(alpha=0.5).fit(X[kept], LABELS[kept]).score(HELD, TRUTH)
        assert part.curves.of("remove", "highest")[0, step, 0] == pytest.approx(fitted)
    page = Page(xr.value_report(shapley, tmp_path / "r.html", curves=3, holdout=(HELD, TRUTH)))
    assert page.words.count(f"{H} {APART}") == 3
    assert OWN not in page.words
    plain = Page(xr.value_report(shapley, tmp_path / "p.html", curves=3))
    assert APART not in plain.words
    assert plain.words.count(OWN) == 3


def test_the_same_game_on_other_test_rows() -> None:
    owner = np.array([f"ward {i % 4}" for i in range(N)])
    settings: dict[str, Any] = {"scores": ("accuracy", "balanced_accuracy"), "groups": owner, "empty": (0.1, 0.2)}
    seen = exhibits(N, texts=TEXTS, holdout=(HELD, TRUTH))
    game = TrainingGame(RIDGE, *DATA, **settings, exhibits=seen)
    judged, expected = game.judged_by(HELD, TRUTH), TrainingGame(RIDGE, X, LABELS, HELD, TRUTH, **settings)
    assert judged.player_names == expected.player_names == ("ward 0", "ward 1", "ward 2", "ward 3")
    every = np.array([[bits >> i & 1 for i in range(4)] for bits in range(16)], dtype=bool)
    nothing = np.zeros(16, dtype=np.int64)
    np.testing.assert_array_equal(judged.values(every, nothing), expected.values(every, nothing))
    assert not np.array_equal(judged.values(every, nothing), game.values(every, nothing))
    assert game.digest == TrainingGame(RIDGE, *DATA, **settings).digest
    hits = OwnScore(lambda truth, told: float((truth == told).sum()), name="hits")
    own = TrainingGame(RidgeClassifier(random_state=0), *DATA, scores=(hits,), refit=True)
    assert (
        own.judged_by(HELD, TRUTH).values(np.ones((1, N), bool), nothing[:1])[0, 0]
        == RIDGE.fit(X, LABELS).score(HELD, TRUTH) * H
    )
    assert own.judged_by(HELD, TRUTH).engine == own.engine


def test_numbers_and_numbered_labels_are_compared_as_they_were_given() -> None:
    y, told = np.array([2, 10, 9] * 10), np.array([10.0, 2.0, 9.0])
    game = TrainingGame(KNeighborsClassifier(1), X, y, X, y, scores=("accuracy",))
    judged = game.judged_by(X[:3][[1, 0, 2]], told)
    everyone = np.ones((1, N), dtype=bool)
    assert judged.values(everyone, np.zeros(1, dtype=np.int64))[0, 0] == 1.0
    numbers = TrainingGame(Ridge(), X, X[:, 0], X, X[:, 0], scores=("r2",)).judged_by(HELD, HELD[:, 0])
    fitted = Ridge().fit(X, X[:, 0]).score(HELD, HELD[:, 0])
    assert numbers.values(everyone, np.zeros(1, dtype=np.int64))[0, 0] == pytest.approx(fitted)


def test_methods_without_a_game_have_curves_on_the_holdout_too(tmp_path: Path) -> None:
    held = (pd.DataFrame(HELD), pd.Series(TRUTH))
    untested = xr.value(KNeighborsClassifier(3), *DATA[:2], method="data_oob", budget=128)
    page = Page(xr.value_report(untested, tmp_path / "r.html", curves=1, holdout=held))
    assert f"{H} {APART}" in page.words
    knn = xr.value(KNeighborsClassifier(3), *DATA, method="knn")
    made = shown_by(knn.game, held)
    assert made is not None
    everyone = np.ones((1, N), dtype=bool)
    fitted = KNeighborsClassifier(3).fit(X, LABELS).score(HELD, TRUTH)
    assert made.game().values(everyone, np.zeros(1, dtype=np.int64))[0, 0] == pytest.approx(fitted)


BAD: list[tuple[tuple[Any, ...], str]] = [
    ((HELD[:, :3], TRUTH), "X has 4 features and X_holdout 3"),
    ((HELD, np.where(np.arange(H) == 5, "maybe", TRUTH)), r"y_holdout has the label 'maybe' \(holdout row 5\)"),
    ((np.where(np.arange(H)[:, None] == 2, np.nan, HELD), TRUTH), r"X_holdout\[2, 0\] is nan"),
    ((HELD, TRUTH[1:]), "y_holdout has 16 entries for 17 rows"),
    ((HELD[:0], TRUTH[:0]), "X_holdout has shape"),
    ((HELD, None), "one of X_holdout and y_holdout is missing"),
    ((HELD,), r"holdout is \(X, y\)"),
]


@pytest.mark.parametrize(("held", "message"), BAD, ids=[message[:24] for _, message in BAD])
def test_bad_holdouts(shapley: xr.Result, tmp_path: Path, held: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        xr.value_report(shapley, tmp_path / "r.html", curves=2, holdout=held)
    assert not (tmp_path / "r.html").exists()
    if len(held) == 2 and held[1] is not None:
        with pytest.raises(InputError, match=message):
            TrainingGame(RIDGE, *DATA, scores=("accuracy",), exhibits=exhibits(N, holdout=held))


def test_a_holdout_that_a_score_cannot_judge_by() -> None:
    game = TrainingGame(RIDGE, *DATA, scores=("roc_auc",))
    with pytest.raises(InputError, match="holdout: roc_auc needs test points of every class"):
        game.judged_by(HELD, np.full(H, "yes"))


def test_a_holdout_is_for_curves(shapley: xr.Result, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="ask for curves"):
        xr.value_report(shapley, tmp_path / "r.html", holdout=(HELD, TRUTH))


def test_arrays_bring_their_holdout(cli: Cli, job: str, tmp_path: Path) -> None:
    plain = game_of(parse(spec()), tmp_path).digest
    arrays(tmp_path, X_holdout=ARRAYS["X_test"][:9] + 0.1, y_holdout=ARRAYS["y_test"][:9])
    assert game_of(parse(spec()), tmp_path).digest == plain
    ended = cli("report", job, "--curves", 2, "--out", "page.html")
    assert ended.code == 0, ended.err
    assert f"9 {APART}" in (tmp_path / "page.html").read_text()
    for changed, message in (
        ({"X_holdout": np.zeros((9, 2)), "y_holdout": ARRAYS["y_test"][:9]}, "X_holdout 2; they must be the same"),
        ({"X_holdout": np.zeros((9, 3)), "y_holdout": np.full(9, "no idea")}, "y_holdout has the label 'no idea'"),
        ({"X_holdout": np.zeros((9, 3))}, "game.data: one of X_holdout and y_holdout is missing"),
    ):
        arrays(tmp_path, **changed)
        refused(cli, 2, [message], "check", written(tmp_path, spec()))
    arrays(tmp_path, X_holdout=np.zeros((9, 2)), y_holdout=ARRAYS["y_test"][:9])
    closed = spec() | {"value": {"method": "loo"}}
    closed = {key: part for key, part in closed.items() if key not in ("ask", "budget")}
    refused(cli, 2, ["X_holdout 2; they must be the same"], "check", written(tmp_path, closed))


def test_tables_bring_a_table_or_a_share(tmp_path: Path) -> None:
    columns = {name: ARRAYS["X"][:, i] for i, name in enumerate("abc")} | {"answer": ARRAYS["y"]}
    csv.write_csv(pa.table(columns), str(tmp_path / "t.csv"))
    turned = {name: columns[name][:7] for name in ("answer", "c", "a", "b")}
    csv.write_csv(pa.table(turned), str(tmp_path / "h.csv"))
    data = {"table": "t.csv", "target": "answer"}
    with_table = spec(data=data, test={"share": 0.25}, holdout={"table": "h.csv"})
    game: Any = game_of(parse(with_table), tmp_path)
    np.testing.assert_allclose(game.exhibits.holdout[0], ARRAYS["X"][:7])
    assert game.digest == game_of(parse(spec(data=data, test={"share": 0.25})), tmp_path).digest
    csv.write_csv(pa.table({name: turned[name] for name in ("answer", "c", "a")}), str(tmp_path / "h.csv"))
    with pytest.raises(InputError, match=r"game\.holdout: .* has no column 'b'"):
        game_of(parse(with_table), tmp_path)
    both = parse(spec(data=data, test={"share": 0.25}, holdout={"share": 0.2}))
    rows = read_rows(both.game, tmp_path)  # type: ignore[arg-type]
    parts = [rows.X, rows.X_test, rows.X_holdout]
    assert [len(part) for part in parts] == [12, 5, 3]
    assert len(np.unique(np.concatenate(parts), axis=0)) == 20
    np.testing.assert_array_equal(rows.X_test, held_out(Rows(ARRAYS["X"], ARRAYS["y"]), 0.25, 0).X_test)
    assert len(rows.names) == 12
    arrays(tmp_path, X_holdout=ARRAYS["X_test"], y_holdout=ARRAYS["y_test"])
    with pytest.raises(SpecError, match="the data come with X_holdout; leave one of them out"):
        game_of(parse(spec(holdout={"share": 0.2})), tmp_path)
    with pytest.raises(SpecError, match=r"game\.holdout: a table goes with data from a table"):
        game_of(parse(spec(holdout={"table": "h.csv"})), tmp_path)


@pytest.mark.parametrize(("name", "rows"), [("value_digits", 997), ("value_groups", 255), ("value_reviews", 0)])
def test_the_jobs_that_come_along(name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    game: Any = game_of(load(JOBS / f"{name}.toml"), JOBS)
    held = game.exhibits.holdout
    assert (0 if held is None else len(held[1])) == rows
    if held is not None:
        data = game._data
        every = np.concatenate([data.rows, data.test_rows, held[0]])
        assert len(np.unique(every, axis=0)) == len(every)
