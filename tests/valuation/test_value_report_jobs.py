"""Reports of stored valuations: texts, pictures and flags of the spec's data, curves by the command line, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv
from sklearn.linear_model import RidgeClassifier

import xai_ray as xr
from tests.cli.conftest import cli
from tests.cli.runs import Cli, glove, refused, written
from xai_ray.build import game_of
from xai_ray.errors import DigestMismatch, InputError
from xai_ray.job_handle import JobHandle
from xai_ray.spec import load, parse
from xai_ray.stores import open_store
from xai_ray.training_data import Rows, held_out, read_rows

__all__ = ["cli"]

JOBS = Path(__file__).parents[2] / "jobs"
R = np.random.default_rng(8)
N, M = 20, 16
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
LABELS = np.where(X[:, 0] > 0, "yes", "no")
TEST_LABELS = np.where(TEST[:, 0] > 0, "yes", "no")
TEXTS = np.array([f"row <{i}>" for i in range(N)])
IMAGES = R.integers(0, 256, (N, 4, 4)).astype(np.uint8)
BAD = np.arange(N) % 5 == 0
ARRAYS = {"X": X, "y": LABELS, "X_test": TEST, "y_test": TEST_LABELS, "texts": TEXTS, "images": IMAGES, "flagged": BAD}


def spec(**game: Any) -> dict[str, Any]:
    base = {
        "kind": "training",
        "estimator": "sklearn.linear_model:RidgeClassifier",
        "data": {"arrays": "d.npz"},
        "scores": ["accuracy"],
    }
    return {
        "name": "seen",
        "game": base | game,
        "ask": [{"index": "SV", "estimator": "levelled"}],
        "budget": {"evaluations": 200},
    }


def arrays(folder: Path, **changed: Any) -> None:
    np.savez(folder / "d.npz", **{name: what for name, what in (ARRAYS | changed).items() if what is not None})


@pytest.fixture
def job(cli: Cli, tmp_path: Path) -> str:
    """A finished job whose data lie beside it."""
    arrays(tmp_path)
    ended = cli("run", written(tmp_path, spec()), "--quiet", "--out", "out")
    assert ended.code == 0
    return cli("list", "--json").json[0]["job"]


def test_arrays_of_a_file(tmp_path: Path) -> None:
    arrays(tmp_path)
    game: Any = game_of(parse(spec()), tmp_path)
    assert game.exhibits.texts == tuple(TEXTS)
    np.testing.assert_array_equal(game.exhibits.images, IMAGES)
    np.testing.assert_array_equal(game.exhibits.flagged, BAD)
    np.testing.assert_array_equal(game.owner, np.arange(N))
    assert list(game.targets) == LABELS.tolist()
    plain: Any = game_of(parse(spec()), tmp_path)
    assert plain.digest == xr.TrainingGame(RidgeClassifier(), *list(ARRAYS.values())[:4], scores=("accuracy",)).digest


def test_columns_of_a_table(tmp_path: Path) -> None:
    columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "answer": LABELS, "note": TEXTS, "bad": BAD}
    csv.write_csv(pa.table(columns), str(tmp_path / "t.csv"))
    data = {"table": "t.csv", "target": "answer", "text": "note", "flagged": "bad"}
    game: Any = game_of(parse(spec(data=data, test={"share": 0.25})), tmp_path)
    place = [int(name.split()[1]) for name in game.player_names]
    assert len(place) == 15
    assert game.exhibits.texts == tuple(TEXTS[place])
    np.testing.assert_array_equal(game.exhibits.flagged, BAD[place])
    with pytest.raises(InputError, match="True or False"):
        game_of(parse(spec(data=data | {"flagged": "a"}, test={"share": 0.25})), tmp_path)


def test_held_out_rows_take_their_exhibits_along() -> None:
    kept = held_out(Rows(X, LABELS, texts=TEXTS.tolist(), images=IMAGES, flagged=BAD), 0.25, 3)
    place = [int(name.split()[1]) for name in kept.names]
    assert kept.texts == TEXTS[place].tolist()
    np.testing.assert_array_equal(kept.images, IMAGES[place])
    np.testing.assert_array_equal(kept.flagged, BAD[place])
    with pytest.raises(InputError, match=r"game\.data: 19 texts for 20 training points"):
        held_out(Rows(X, LABELS, texts=TEXTS[1:]), 0.25, 3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"texts": TEXTS[1:]}, "game.data: 19 texts for 20"),
        ({"images": IMAGES[1:]}, "game.data: 19 images for 20"),
        ({"images": IMAGES.astype(float)}, "give uint8 from 0 to 255, or floats from 0 to 1"),
        ({"flagged": np.arange(N)}, "flagged holds other things than True and False"),
    ],
)
def test_check_refuses_what_does_not_fit(cli: Cli, tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    arrays(tmp_path, **changed)
    refused(cli, 2, [message], "check", written(tmp_path, spec()))


def test_report_of_a_run_and_of_a_stored_job_show_the_points(cli: Cli, job: str, tmp_path: Path) -> None:
    for name in ("out/report.html", "page.html"):
        if name == "page.html":
            assert cli("report", job, "--out", name).code == 0
        page = (tmp_path / name).read_text()
        assert "row &lt;3&gt;" in page
        assert page.count("data:image/png") == N
        assert "known bad" in page
        assert "AUROC" in page
        assert "Removing points" not in page


def test_curves_are_trained_when_asked(cli: Cli, job: str, tmp_path: Path) -> None:
    ended = cli("report", job, "--curves", 3, "--out", "page.html")
    assert ended.code == 0
    assert f"training at most {(4 + 3) * 19 + 1} models for the curves" in ended.err
    first = (tmp_path / "page.html").read_bytes()
    assert b"Removing points" in first
    assert cli("report", job, "--curves", 3, "--out", "again.html").code == 0
    assert (tmp_path / "again.html").read_bytes() == first
    handle = JobHandle(None, open_store("runs"), job, None)  # type: ignore[arg-type]
    assert handle.report(tmp_path / "handle.html", curves=3).read_bytes() == first


CLOSED: dict[str, dict[str, Any]] = {
    "lava": {"estimator": None, "scores": None},
    "data_oob": {"scores": None},
    "loo": {},
}


@pytest.mark.parametrize("method", CLOSED)
def test_closed_forms_show_their_points_in_both_reports(
    cli: Cli, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = {"X_test": None, "y_test": None} if method == "data_oob" else {}
    arrays(tmp_path, **tests)
    budget = {"evaluations": 128 if method == "data_oob" else "exact"}
    made = {"name": "seen", "game": spec(**CLOSED[method])["game"], "value": {"method": method}, "budget": budget}
    assert cli("run", written(tmp_path, made), "--quiet", "--out", "out").code == 0
    job = cli("list", "--json").json[0]["job"]
    reads = []
    monkeypatch.setattr("xai_ray.training_games.read_rows", lambda *given: reads.append(given) or read_rows(*given))
    assert cli("report", job, "--out", "page.html").code == 0
    assert len(reads) == 1
    for name in ("out/report.html", "page.html"):
        page = (tmp_path / name).read_text()
        assert "row &lt;3&gt;" in page
        assert page.count("data:image/png") == N
        assert "AUROC" in page
        assert '<span class="label">yes</span>' in page
    why = {"lava": "lava has no estimator to train", "data_oob": "there are no test rows to judge models by"}
    if method in why:
        assert why[method] in page
        assert "--curves 10" not in page
        refused(cli, 2, [why[method], "leave curves out"], "report", job, "--curves", 2)
    else:
        assert "--curves 10" in page
        assert cli("report", job, "--curves", 2, "--out", "page.html").code == 0
        assert "Removing points" in (tmp_path / "page.html").read_text()


def test_without_data_groups_are_not_called_points(cli: Cli, tmp_path: Path) -> None:
    arrays(tmp_path, ward=np.arange(N) % 4)
    assert cli("run", written(tmp_path, spec(groups="ward")), "--quiet").code == 0
    job = cli("list", "--json").json[0]["job"]
    assert cli("report", job, "--out", "page.html").code == 0
    assert "Groups of training points by value" in (tmp_path / "page.html").read_text()
    assert cli("report", job, "--no-data", "--out", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "Players by value" in page
    assert "Trained on all 4 players" in page
    assert "points by value" not in page


def test_data_that_changed_or_are_gone(cli: Cli, job: str, tmp_path: Path) -> None:
    arrays(tmp_path, X=X + 1.0)
    refused(cli, DigestMismatch.exit_code, ["builds another game", "--no-data"], "report", job, "--out", "page.html")
    (tmp_path / "d.npz").unlink()
    refused(cli, 2, ["no file at", "--no-data"], "report", job, "--out", "page.html")
    assert not (tmp_path / "page.html").exists()
    assert cli("report", job, "--no-data", "--out", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "Training points by value" in page
    assert "row &lt;" not in page
    refused(cli, 2, ["give one of them"], "report", job, "--no-data", "--curves", 2)


def test_curves_of_a_job_without_training_points(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", written(tmp_path, glove()), "--quiet").code == 0
    name = cli("list", "--json").json[0]["job"]
    refused(cli, 2, ["it has no training game; leave curves out"], "report", name, "--curves", 3)
    assert cli("report", name, "--curves", 101).code == 2
    assert cli("report", name).code == 0


@pytest.mark.parametrize(
    ("name", "texts", "images", "bad"),
    [("value_digits", False, (300, 8, 8), 30), ("value_reviews", True, None, 56), ("value_groups", True, None, 6)],
)
def test_the_jobs_that_come_along_show_their_points(
    name: str, texts: bool, images: tuple[int, ...] | None, bad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    game: Any = game_of(load(JOBS / f"{name}.toml"), JOBS)
    seen = game.exhibits
    assert (seen.texts is not None) == texts
    assert (None if seen.images is None else seen.images.shape) == images
    assert int(seen.flagged.sum()) == bad
    if name == "value_digits":
        assert [("was" in player) for player in game.player_names] == seen.flagged.tolist()
    if name == "value_groups":
        careless = np.array(["careless" in player for player in game.player_names])
        assert (careless == (np.bincount(game.owner, seen.flagged) > 0)).all()
    if name == "value_reviews":
        for text, player in zip(seen.texts, game.player_names, strict=True):
            assert text[:30] in player
