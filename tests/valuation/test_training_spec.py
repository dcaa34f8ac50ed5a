"""Training games in specs: where data come from, what is refused and in which words, and the same bits after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier

from tests.cli.conftest import cli
from tests.cli.runs import Cli, environment, refused, written
from xai_ray.api import explain
from xai_ray.build import game_of
from xai_ray.errors import InputError
from xai_ray.spec import load, parse
from xai_ray.training_data import Rows, held_out
from xai_ray.valuation import TrainingGame
from xai_ray.zoo import shifted_digits

__all__ = ["cli"]

R = np.random.default_rng(8)
N, M = 24, 16
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
LABELS = np.where(X[:, 0] + 0.4 * R.normal(size=N) > 0, "yes", "no")
TEST_LABELS = np.where(TEST[:, 0] > 0, "yes", "no")
OWNER = np.array([f"g{i % 5}" for i in range(N)])


def spec(**game: Any) -> dict[str, Any]:
    base = {
        "kind": "training",
        "estimator": "sklearn.linear_model:RidgeClassifier",
        "parameters": {"alpha": 2.0},
        "scores": ["accuracy"],
    }
    return {
        "name": "value",
        "game": {key: what for key, what in (base | game).items() if what is not None},
        "ask": [{"index": "SV", "estimator": "levelled"}],
        "budget": {"evaluations": 400},
    }


def arrays(folder: Path, **changed: Any) -> dict[str, Any]:
    found = {"X": X, "y": LABELS, "X_test": TEST, "y_test": TEST_LABELS, "owner": OWNER} | changed
    np.savez(folder / "d.npz", **{name: what for name, what in found.items() if what is not None})
    return {"arrays": "d.npz"}


def table(rows: np.ndarray, labels: np.ndarray, owner: np.ndarray | None = None) -> pa.Table:
    columns = {"a": rows[:, 0], "b": rows[:, 1], "c": rows[:, 2], "answer": labels, "note": ["-"] * len(rows)}
    return pa.table(columns | ({} if owner is None else {"owner": owner}))


def put(data: pa.Table, path: Path) -> str:
    {".csv": csv.write_csv, ".parquet": parquet.write_table, ".arrow": feather.write_feather}[path.suffix](
        data, str(path)
    )
    return path.name


def direct(groups: Any = None) -> TrainingGame:
    return TrainingGame(RidgeClassifier(alpha=2.0), X, LABELS, TEST, TEST_LABELS, scores=("accuracy",), groups=groups)


def built(folder: Path, **game: Any) -> Any:
    return game_of(parse(spec(**game)), folder)


@pytest.mark.parametrize("kind", [".csv", ".parquet", ".arrow"])
@pytest.mark.parametrize("groups", [None, "owner"])
def test_tables_make_the_game_of_their_arrays(tmp_path: Path, kind: str, groups: str | None) -> None:
    train = put(table(X, LABELS, OWNER if groups else None), tmp_path / f"train{kind}")
    test = put(table(TEST, TEST_LABELS).select(["note", "c", "answer", "a", "b"]), tmp_path / f"test{kind}")
    data = {"table": train, "target": "answer", "drop": ["note"]}
    game = built(tmp_path, data=data, test={"table": test}, groups=groups)
    assert game.digest == direct(OWNER if groups else None).digest
    assert game.player_names == direct(OWNER if groups else None).player_names


@pytest.mark.parametrize("groups", [None, "owner"])
def test_arrays_of_a_file(tmp_path: Path, groups: str | None) -> None:
    assert built(tmp_path, data=arrays(tmp_path), groups=groups).digest == direct(OWNER if groups else None).digest


MODULE = """
import numpy as np
def four(path): f = np.load(path); return f["X"], f["y"], f["X_test"], f["y_test"]
def two(path): return four(path)[:2]
def named(path): return dict(zip(("X", "y", "X_test", "y_test"), four(path))) | {"groups": np.load(path)["owner"]}
def wrong(path): return {"X": 1, "labels": 2}
def three(path): return four(path)[:3]
def fails(path): raise RuntimeError("no such thing")
def estimator(alpha=1.0):
    from sklearn.linear_model import RidgeClassifier
    return RidgeClassifier(alpha=alpha)
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module beside the spec, forgotten afterwards."""
    (tmp_path / "makes_rows.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "makes_rows", raising=False)
    arrays(tmp_path)
    return tmp_path


def factory(folder: Path, name: str) -> dict[str, Any]:
    return {"factory": f"makes_rows:{name}", "arguments": {"path": str(folder / "d.npz")}}


def test_factories(beside: Path) -> None:
    assert built(beside, data=factory(beside, "four")).digest == direct().digest
    assert built(beside, data=factory(beside, "named"), groups="groups").digest == direct(OWNER).digest
    made = built(beside, data=factory(beside, "four"), estimator="makes_rows:estimator")
    assert made.digest == direct().digest
    assert built(beside, data=factory(beside, "two"), test={"share": 0.25}).n_players == N - N // 4


def test_rows_are_held_out_by_the_seed(tmp_path: Path) -> None:
    whole = Rows(X, LABELS, groups=OWNER)
    some = [held_out(whole, 0.25, seed) for seed in (0, 0, 1)]
    assert np.array_equal(some[0].X, some[1].X)
    assert not np.array_equal(some[0].X, some[2].X)
    for rows in some:
        assert (len(rows.X), len(rows.X_test)) == (18, 6)
        place = [int(name.split()[1]) for name in rows.names]
        assert place == sorted(place)
        assert np.array_equal(rows.X, X[place])
        assert np.array_equal(rows.groups, OWNER[place])
        both = np.concatenate([rows.X, rows.X_test])
        assert np.array_equal(both[np.lexsort(both.T)], X[np.lexsort(X.T)])
    game = built(tmp_path, data={"sklearn": "wine"}, test={"share": 0.5, "seed": 3})
    assert game.n_players == 89
    assert set(game.player_names) <= {f"point {i}" for i in range(178)}
    assert built(tmp_path, data={"sklearn": "wine"}, test={"share": 0.5, "seed": 4}).digest != game.digest


def test_the_digest_covers_data_estimator_parameters_and_scores(tmp_path: Path) -> None:
    data = arrays(tmp_path)
    logistic = {"estimator": "sklearn.linear_model:LogisticRegression", "parameters": {"random_state": 0}}
    games = [
        built(tmp_path, data=data),
        built(tmp_path, data=data, parameters={"alpha": 3.0}),
        built(tmp_path, data=data, **logistic),
        built(tmp_path, data=data, **logistic, scores=["neg_log_loss"]),
        built(tmp_path, data=data, **logistic, refit=True),
        built(tmp_path, data=data, groups="owner"),
        built(tmp_path, data=data, empty=[0.25]),
    ]
    moved = X.copy()
    moved[3, 1] += 1e-9
    games.append(built(tmp_path, data=arrays(tmp_path, X=moved)))
    assert len({game.digest for game in games}) == len(games)
    assert "one fit a coalition" in games[4].engine
    assert games[6].values(np.zeros((1, N), dtype=bool), np.zeros(1, dtype=np.int64))[0, 0] == 0.25


MISTAKES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("no data", {"data": None}, ["game.data: this key is needed"]),
    ("no score", {"scores": []}, ["game.scores"]),
    ("unknown score", {"scores": ["acuracy"]}, ["did you mean 'accuracy'"]),
    ("mixed scores", {"scores": ["accuracy", "r2"]}, ["mix classification and regression"]),
    ("data of no kind", {"data": {"file": "d.npz"}}, ["training data are { table, target }"]),
    ("test of no kind", {"test": {"part": 0.5}}, ["test rows are { table } or { share, seed }"]),
    ("unknown key of data", {"data": {"arrays": "d.npz", "x": "X"}}, ["game.data.x", "unknown key"]),
    ("whole share", {"test": {"share": 1.0}}, ["game.test.share"]),
    ("share too large", {"data": {"sklearn": "wine"}, "test": {"share": 0.999}}, ["leaves none for training"]),
    ("no test rows", {"data": {"sklearn": "wine"}}, ["game.test", "share = 0.5"]),
    ("test rows twice", {"test": {"share": 0.5}}, ["come with test rows"]),
    ("no such set", {"data": {"sklearn": "wines"}, "test": {"share": 0.5}}, ["did you mean 'wine'"]),
    ("no such file", {"data": {"arrays": "none.npz"}}, ["game.data.arrays: no file at", "none.npz"]),
    ("no such table", {"data": {"table": "none.csv", "target": "y"}}, ["no table at", "none.csv"]),
    ("arrays as a table", {"data": {"table": "d.npz", "target": "y"}}, ['data = { arrays = "d.npz" }']),
    ("no such group array", {"groups": "owners"}, ["game.data.arrays", "did you mean 'owner'"]),
    ("groups of a bundle", {"data": {"sklearn": "wine"}, "groups": "g"}, ["game.groups = 'g'", "column of a table"]),
    ("estimator is no path", {"estimator": "RidgeClassifier"}, ["game.estimator"]),
    ("no such module", {"estimator": "sklearn.linear:Ridge"}, ["game.estimator", "cannot import 'sklearn.linear'"]),
    ("no such class", {"estimator": "sklearn.linear_model:Rige"}, ["game.estimator", "has no 'Rige'"]),
    ("no estimator", {"estimator": "math:sqrt", "parameters": {}}, ["game.estimator", "TypeError"]),
    ("a class of no estimator", {"estimator": "pathlib:Path", "parameters": {}}, ["no scikit-learn estimator"]),
    ("unknown parameter", {"parameters": {"alfa": 1.0}}, ["game.parameters", "did you mean 'alpha'"]),
    ("parameter of a wrong type", {"parameters": {"alpha": "much"}}, ["game.parameters", "much"]),
    ("negative parameter", {"parameters": {"alpha": -1.0}}, ["alpha is a positive number"]),
    (
        "no engine",
        {"estimator": "sklearn.linear_model:LogisticRegression", "parameters": {"solver": "liblinear"}},
        ["no batched engine", "refit"],
    ),
    ("regression", {"estimator": "sklearn.linear_model:Ridge"}, ["Ridge is not a classifier"]),
    ("empty of another length", {"empty": [0.1, 0.2]}, ["empty must hold 1"]),
]


@pytest.mark.parametrize(("changed", "words"), [pytest.param(*m[1:], id=m[0]) for m in MISTAKES])
def test_mistakes(cli: Cli, tmp_path: Path, changed: dict[str, Any], words: list[str]) -> None:
    document = spec(**({"data": arrays(tmp_path)} | changed))
    refused(cli, 2, words, "check", written(tmp_path, document))


ARRAYS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("labels of another length", {"y": LABELS[1:]}, ["y has 23 entries for 24 rows"]),
    ("NaN", {"X": np.where(np.arange(N)[:, None] == 5, np.nan, X)}, ["X[5, 0] is nan", "impute"]),
    (
        "one class",
        {"y": np.repeat("yes", N), "y_test": np.repeat("yes", M)},
        ["all training labels are", "two classes"],
    ),
    ("unseen class", {"y_test": np.repeat("maybe", M)}, ["y_test has the label", "maybe"]),
    ("other columns", {"X_test": TEST[:, :2]}, ["X has 3 features and X_test 2"]),
    ("no y", {"y": None}, ["game.data.arrays", "'y'"]),
    ("no y_test", {"y_test": None}, ["one of X_test and y_test"]),
    ("objects", {"y": LABELS.astype(object)}, ["d.npz", "without objects"]),
]


@pytest.mark.parametrize(("changed", "words"), [pytest.param(*a[1:], id=a[0]) for a in ARRAYS])
def test_arrays_that_are_no_data(cli: Cli, tmp_path: Path, changed: dict[str, Any], words: list[str]) -> None:
    refused(cli, 2, words, "check", written(tmp_path, spec(data=arrays(tmp_path, **changed))))


def test_tables_that_are_no_data(cli: Cli, tmp_path: Path) -> None:
    whole = table(X, LABELS)
    holes = whole.set_column(3, "answer", pa.array([None if i == 4 else str(a) for i, a in enumerate(LABELS)]))
    put(whole, tmp_path / "t.parquet")
    put(holes, tmp_path / "holes.parquet")
    put(table(TEST, TEST_LABELS).drop_columns("b"), tmp_path / "short.parquet")

    def says(words: list[str], data: dict[str, Any], test: dict[str, Any]) -> None:
        refused(cli, 2, words, "check", written(tmp_path, spec(data=data, test=test)))

    good = {"table": "t.parquet", "target": "answer", "drop": ["note"]}
    says(["game.data.target", "did you mean 'answer'"], good | {"target": "answers"}, {"share": 0.5})
    says(["column 'note' does not hold numbers", "drop"], good | {"drop": []}, {"share": 0.5})
    says(["no column 'notes' to drop"], good | {"drop": ["note", "notes"]}, {"share": 0.5})
    says(["no entry in column 'answer' at row 4"], good | {"table": "holes.parquet"}, {"share": 0.5})
    says(["game.test", "no column 'b'"], good, {"table": "short.parquet"})
    says(["no table at", "none.parquet"], good, {"table": "none.parquet"})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong", ["returned the names X, labels", "X and y are needed"]),
        ("three", ["returned tuple of 3", "return (X, y, X_test, y_test)"]),
        ("fails", ["raised RuntimeError: no such thing"]),
        ("two", ["game.test", "share = 0.5"]),
        ("five", ["has no 'five'"]),
    ],
)
def test_factories_that_give_no_data(cli: Cli, beside: Path, name: str, words: list[str]) -> None:
    refused(cli, 2, words, "check", written(beside, spec(data=factory(beside, name))))


def test_modules_may_be_limited(cli: Cli, beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_RAY_FACTORIES", "sklearn")
    assert cli("check", written(beside, spec(data=arrays(beside)))).code == 0
    refused(cli, 2, ["game.data.factory", "sklearn"], "check", written(beside, spec(data=factory(beside, "four"))))
    monkeypatch.setenv("XAI_RAY_FACTORIES", "xai_ray.zoo")
    refused(cli, 2, ["game.estimator", "xai_ray.zoo"], "check", written(beside, spec(data=arrays(beside))))


def test_batches_of_models_are_not_for_training(cli: Cli, tmp_path: Path) -> None:
    document = spec(data=arrays(tmp_path)) | {"compute": {"batch": 8}}
    refused(cli, 2, ["compute.batch", "leave it out"], "check", written(tmp_path, document))


def test_check_says_how_models_are_trained(cli: Cli, tmp_path: Path) -> None:
    ended = cli("check", written(tmp_path, spec(data=arrays(tmp_path))), "--json")
    assert ended.json["trained by"] == direct().engine
    assert "8 coalitions" in ended.json["self-check"]
    assert float(ended.json["self-check"].split("accuracy ")[1]) == 0
    assert ended.json["design"] == "permutations"
    assert ended.json["evaluations"] == 2 + 46 * 8


SLOW = """
import os, time
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from xai_ray.valuation.ridge import LinearRidgeFits

def ridge():
    if "SLOW_RIDGE" in os.environ:
        whole = LinearRidgeFits.prefixes
        LinearRidgeFits.prefixes = lambda self, order: (time.sleep(0.05), whole(self, order))[1]
    return RidgeClassifier(alpha=2.0)
"""


def test_killed_and_resumed_to_the_same_bits(cli: Cli, tmp_path: Path) -> None:
    """`kill -9` in the middle; the spec runs again and its result has the bytes of a run that nothing happened to."""
    (tmp_path / "slow_ridge.py").write_text(SLOW)
    game = {"estimator": "slow_ridge:ridge", "parameters": {}, "data": arrays(tmp_path), "scores": ["accuracy"]}
    path = written(tmp_path, spec(**game) | {"budget": {"evaluations": 6000}})
    command = [sys.executable, "-m", "xai_ray.cli", "run", str(path), "--engine", "inline", "--store", "runs"]
    slow = environment() | {"SLOW_RIDGE": "1"}
    child = subprocess.Popen(command, cwd=tmp_path, env=slow, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("runs/*/units/*"))) < 3 and time.monotonic() < deadline and child.poll() is None:
            time.sleep(0.02)
        assert child.poll() is None, child.stderr.read() if child.stderr else ""
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    straight = explain(direct(), "SV", estimator="levelled", budget=6000, seed=0)
    ended = cli("run", path, "--store", "runs", "--out", tmp_path / "out", "--quiet")
    assert ended.code == 0, ended.err
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    found = document["estimates"][0]
    assert np.array(found["values"]).tobytes() == straight.values.tobytes()
    assert np.array(found["std_errors"]).tobytes() == straight.std_errors.tobytes()
    assert document["evaluations"] == straight.evaluations
    assert "trained on all 24 points, accuracy is" in (tmp_path / "out" / "report.html").read_text().lower()
    asked = cli("result", document["job"], "--store", "runs", "--ask", "Beta(4,1)", "--format", "json").json
    beta = straight.ask("BETA", alpha=4.0, beta=1.0)
    assert np.array(asked["estimates"][0]["values"]).tobytes() == beta.values.tobytes()
    assert np.array(asked["estimates"][0]["std_errors"]).tobytes() == beta.std_errors.tobytes()
    replayed = cli("replay", document["job"], "--store", "runs", "--unit", "2")
    assert replayed.code == 0, replayed.err


@pytest.mark.parametrize("name", ["value_digits", "value_groups"])
def test_the_jobs_that_come_along(name: str) -> None:
    root = Path(__file__).parents[2]
    game = game_of(load(root / "jobs" / f"{name}.toml"), root / "jobs")
    assert isinstance(game, TrainingGame)
    rows = R.random((3, game.n_players)) < 0.6
    assert game.self_check(rows).max() < 2e-3
    assert game.n_players == {"value_digits": 300, "value_groups": 10}[name]


def test_shifted_digits_are_pictures_moved_by_a_pixel() -> None:
    data = shifted_digits(points=2_700, tests=400, flipped=0.1, seed=3)
    plain = load_digits()
    assert data["X"].shape == (2_700, 64)
    assert len(data["names"]) == len(set(data["names"])) == 2_700
    for i in (0, 1_396, 1_397, 2_699):
        number = int(data["names"][i].split()[1])
        down, right = (int(part) for part in data["names"][i].split("(")[1].split(")")[0].split(","))
        padded = np.zeros((10, 10))
        padded[1:9, 1:9] = plain.images[number] / 16.0
        assert np.array_equal(data["X"][i].reshape(8, 8), padded[1 + down : 9 + down, 1 + right : 9 + right])
        wrong = "was" in data["names"][i]
        assert wrong == (data["y"][i] != plain.target[number])
    assert sum("was" in name for name in data["names"]) == 270
    assert np.array_equal(data["images"].reshape(-1, 64), data["X"])
    assert data["flagged"].tolist() == ["was" in name for name in data["names"]]
    # No test picture is among the training pictures, moved or not.
    trained = {int(name.split()[1]) for name in data["names"]}
    assert len(trained) == 1_397
    with pytest.raises(InputError, match="each in 9 places"):
        shifted_digits(points=20_000)


def test_the_job_of_many_points_can_be_planned() -> None:
    path = Path(__file__).parents[2] / "jobs" / "value_large.toml"
    game = game_of(load(path), path.parent)
    assert game.n_players == 10_000
    assert isinstance(game, TrainingGame)
    assert game.chains
    assert game.need.total() < 10**9
