"""Methods of data valuation in specs: run, killed, resumed, extended and shared to the same bytes; what is refused in which words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import xai_ray as xr
from tests.cli.conftest import cli
from tests.cli.runs import ROOT, Cli, environment, refused, written
from xai_ray.stores import open_store
from xai_ray.valuation.pieces import ValuationGame

__all__ = ["cli"]

DEADLINE = 60.0
N, M = 60, 960

MODULE = """
import time
from pathlib import Path
import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier

def rows(tests=True):
    r = np.random.default_rng(1)
    X, T = r.normal(size=(60, 3)), r.normal(size=(960, 3))
    y = (X[:, 0] + 0.5 * r.normal(size=60) > 0).astype(int)
    data = (X, y, T, (T[:, 0] > 0).astype(int))
    return data if tests else data[:2]

def network(optimiser="sgd"):
    import torch
    from xai_ray.valuation import Network
    return Network(lambda: torch.nn.Linear(3, 2), epochs=3, learning_rate=0.2, batch=20, optimiser=optimiser)

def numbers():
    X, _, T, _ = rows()
    return X, X[:, 0] + X[:, 1] ** 2, T, T[:, 0]

class Slowly(Ridge):
    def fit(self, X, y):
        time.sleep(float(Path(__file__).with_name("seconds").read_text()))
        return super().fit(X, y)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module beside the specs, forgotten afterwards."""
    (tmp_path / "makes_points.py").write_text(MODULE)
    (tmp_path / "seconds").write_text("0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "makes_points", raising=False)
    return tmp_path


def spec(method: str, estimator: str | None, budget: int | None = None, **more: Any) -> dict[str, Any]:
    game = {"kind": "training", "estimator": estimator, "data": {"factory": "makes_points:rows"}} | more.pop("game", {})
    document = {"name": "points", "game": {k: v for k, v in game.items() if v is not None}, "value": {"method": method}}
    document["value"] |= more.pop("value", {})
    if budget is not None:
        document["budget"] = {"evaluations": budget}
    return document | more


NUMBERS = {"kind": "training", "data": {"factory": "makes_points:numbers"}, "scores": ["neg_mean_squared_error"]}
OOB = ("data_oob", "sklearn.linear_model:LogisticRegression")
KNN = ("knn", "sklearn.neighbors:KNeighborsClassifier")


def rows() -> tuple[np.ndarray, ...]:
    names: dict[str, Any] = {}
    exec(MODULE, names)
    return names["rows"]()


def test_a_spec_gives_what_the_call_gives(cli: Cli, folder: Path) -> None:
    ended = cli("run", written(folder, spec(*KNN)), "--engine", "inline", "--out", "out")
    assert ended.code == 0, ended.err
    assert "right votes" in ended.text
    found = cli("result", cli("list", "--json").json[0]["job"], "--format", "json").json
    wanted = xr.value(KNeighborsClassifier(), *rows(), method="knn")
    np.testing.assert_array_equal(found["estimates"][0]["values"], wanted.values)
    assert found["evaluations"] == M
    page = (folder / "out" / "report.html").read_text()
    assert "point 3" in page
    oob = cli(
        "run",
        written(
            folder, spec(*OOB, 200, game={"data": {"factory": "makes_points:rows", "arguments": {"tests": False}}})
        ),
        "--engine",
        "inline",
    )
    assert oob.code == 0, oob.err
    job = next(row["job"] for row in cli("list", "--json").json if row["asks"] == ["Data-OOB"])
    direct = xr.value(LogisticRegression(), *rows()[:2], method="data_oob", budget=200)
    np.testing.assert_array_equal(cli("result", job, "--format", "json").json["estimates"][0]["values"], direct.values)


@pytest.mark.parametrize(
    ("method", "estimator"),
    [
        ("in_run", "makes_points:network"),
        ("influence", "makes_points:network"),
        ("lava", None),
        ("loo", "sklearn.linear_model:LogisticRegression"),
    ],
)
def test_one_run_methods_are_kept_like_any_other(cli: Cli, folder: Path, method: str, estimator: str | None) -> None:
    settings = {"inverse": "arnoldi", "rank": 3} if method == "influence" else {}
    path = written(folder, spec(method, estimator, value={"settings": settings}))
    assert cli("check", path).code == 0
    first = cli("run", path, "--engine", "inline", "--out", "one")
    assert first.code == 0, first.err
    again = cli("run", path, "--engine", "inline", "--out", "two")
    assert "0 of them new" in again.err
    assert (folder / "one" / "result.json").read_bytes() == (folder / "two" / "result.json").read_bytes()
    status = cli("status", cli("list", "--json").json[0]["job"], "--json").json
    assert (status["state"], status["units"], status["players"]) == ("done", 1, N)


def test_extended_and_replayed(cli: Cli, folder: Path) -> None:
    job_spec = written(folder, spec(*OOB, 1000))
    assert cli("run", job_spec, "--engine", "inline").code == 0
    job = cli("list", "--json").json[0]["job"]
    refused(cli, 2, ["budget of 1000"], "extend", job, "--evaluations", "900", "--engine", "inline")
    assert cli("extend", job, "--evaluations", "2100", "--engine", "inline", "--out", "extended").code == 0
    whole = written(folder, spec(*OOB, 2100))
    assert cli("run", whole, "--engine", "inline", "--store", "other", "--out", "whole").code == 0
    assert (folder / "extended" / "result.json").read_bytes() == (folder / "whole" / "result.json").read_bytes()
    assert cli("replay", job, "--unit", "1").json["same_bits"] is True
    assert cli("report", job).code == 0
    refused(cli, 2, ["no scores of coalitions", "shapley"], "result", job, "--ask", "SV")
    done = cli("run", written(folder, spec(*KNN)), "--engine", "inline")
    assert done.code == 0, done.err
    knn = next(row["job"] for row in cli("list", "--json").json if row["asks"] == ["SV"])
    refused(cli, 2, ["nothing to extend"], "extend", knn, "--evaluations", "2000", "--engine", "inline")


@contextmanager
def started(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "xai_ray.cli", *map(str, arguments)]
    child = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate(timeout=DEADLINE)


def committed(folder: Path) -> int:
    return len(list(folder.glob("runs/*/units/*/*.arrow")))


def wait_for(child: subprocess.Popen[bytes], folder: Path, units: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while committed(folder) < units:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_leave_one_out_is_killed_and_goes_on(cli: Cli, folder: Path) -> None:
    """Four units, each of its own points; without all of them there is no answer."""
    path = written(folder, spec("loo", "makes_points:Slowly", game=NUMBERS | {"parameters": {"random_state": 0}}))
    assert cli("run", path, "--engine", "inline", "--store", "undisturbed", "--out", "whole").code == 0
    (folder / "seconds").write_text("0.1")
    with started(folder, "run", path, "--engine", "inline") as child:
        wait_for(child, folder, 1)
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=DEADLINE)
    (row,) = cli("list", "--json").json
    assert row["state"] == "killed"
    assert 1 <= committed(folder) < 4
    refused(cli, 2, ["of 60 parts are computed", "resume"], "result", row["job"], "--partial")
    (folder / "seconds").write_text("0")
    assert cli("resume", row["job"], "--engine", "inline", "--out", "resumed").code == 0
    assert (folder / "resumed" / "result.json").read_bytes() == (folder / "whole" / "result.json").read_bytes()


EXTENDED: dict[str, tuple[str, int, int]] = {
    "trak": ("makes_points:network", 3, 5),
    "distributional": ("sklearn.linear_model:Ridge", 48, 80),
    "one_pass_banzhaf": ("sklearn.linear_model:Ridge", 128, 320),
}


@pytest.mark.parametrize("method", EXTENDED)
def test_new_methods_are_checked_run_and_extended(cli: Cli, folder: Path, method: str) -> None:
    estimator, first, last = EXTENDED[method]
    game = {} if method == "trak" else NUMBERS | {"parameters": {"random_state": 0}}

    def path(budget: int) -> Path:
        return written(folder, spec(method, estimator, budget, game=game))

    assert f"{first} " in cli("check", path(first)).text
    assert cli("run", path(first), "--engine", "inline").code == 0
    job = cli("list", "--json").json[0]["job"]
    assert cli("extend", job, "--evaluations", str(last), "--engine", "inline", "--out", "extended").code == 0
    assert cli("run", path(last), "--engine", "inline", "--store", "other", "--out", "whole").code == 0
    assert (folder / "extended" / "result.json").read_bytes() == (folder / "whole" / "result.json").read_bytes()
    assert cli("replay", job, "--unit", "1").json["same_bits"] is True
    assert cli("report", job).code == 0


def test_killed_again_and_again(cli: Cli, folder: Path) -> None:
    """Thirty units of ten fits; each time the process is killed with what it has under way."""
    path = written(folder, spec("data_oob", "makes_points:Slowly", 300, game={"parameters": {"random_state": 0}}))
    assert cli("run", path, "--engine", "inline", "--store", "undisturbed", "--out", "whole").code == 0
    (folder / "seconds").write_text("0.01")
    begun = []
    for goal in (2, 7):
        with started(folder, "run", path, "--engine", "inline") as child:
            wait_for(child, folder, goal)
            child.send_signal(signal.SIGKILL)
            child.wait(timeout=DEADLINE)
        begun.append(committed(folder))
    assert 7 <= begun[-1] < 30
    (row,) = cli("list", "--json").json
    assert (row["state"], row["units"]) == ("killed", begun[-1])
    partial = cli("result", row["job"], "--partial", "--format", "json").json
    assert partial["evaluations"] == 10 * begun[-1]
    assert max(partial["estimates"][0]["std_errors"]) > 0
    (folder / "seconds").write_text("0")
    ended = cli("resume", row["job"], "--engine", "inline", "--out", "resumed")
    assert ended.code == 0, ended.err
    assert (folder / "resumed" / "result.json").read_bytes() == (folder / "whole" / "result.json").read_bytes()


@pytest.mark.ray
def test_workers_that_are_killed_on_ray_change_no_bit(cli: Cli, folder: Path) -> None:
    path = written(folder, spec("data_oob", "makes_points:Slowly", 300, game={"parameters": {"random_state": 0}}))
    assert cli("run", path, "--engine", "inline", "--store", "undisturbed", "--out", "whole").code == 0
    (folder / "seconds").write_text("0.02")
    with started(folder, "run", path, "--engine", "ray", "--actors", "2", "--out", "ray") as child:
        wait_for(child, folder, 3)
        store = open_store("runs")
        (job,) = store.jobs()
        # A record names the process that computed it.
        (record,) = store.records(job, sorted(store.committed(job))[:1])
        assert record.facts["pid"] != child.pid
        os.kill(record.facts["pid"], signal.SIGKILL)
        _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 0, err
    assert (folder / "ray" / "result.json").read_bytes() == (folder / "whole" / "result.json").read_bytes()


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    (spec("data_obb", OOB[1], 100), ["value.method", "did you mean 'data_oob'"]),
    (spec(*OOB), ["draws bootstraps without end", "evaluations = 1000"]),
    (spec(*OOB, 100, value={"setings": {}}), ["value.setings: unknown key", "did you mean 'settings'"]),
    (spec(*OOB, 100, value={"settings": {"draw": 5}}), ["unknown setting 'draw'", "did you mean 'draws'"]),
    (spec(*OOB, 100, value={"settings": {"draws": 0.5}}), ["draws = 0.5", "integer"]),
    (spec(*OOB, 100, ask=[{"index": "SV"}]), ["leave out ask, or value"]),
    (spec(*KNN, game={"scores": ["accuracy"]}), ["does not take scores"]),
    (spec(*KNN, game={"data": {"factory": "makes_points:rows", "arguments": {"tests": False}}}), ["game.test"]),
    (spec("in_run", OOB[1]), ["torch network, got LogisticRegression"]),
    (spec("in_run", "makes_points:network", game={"parameters": {"optimiser": "adam"}}), ["optimiser='sgd'"]),
    (spec("in_run", "makes_points:network", 7), ["nothing to count"]),
    (spec("lava", OOB[1]), ["leave the estimator out"]),
    (spec("loo", OOB[1], 20), ["computed as a whole", "leave the budget out"]),
    (spec("trak", "makes_points:network", 8, value={"settings": {"fraction": 1.5}}), ["fraction = 1.5", "less than"]),
    (spec("trak", "makes_points:network"), ["draws checkpoints without end", "evaluations = 20"]),
    (spec("trak", OOB[1], 8), ["torch network, got LogisticRegression"]),
    (spec("distributional", OOB[1], 64, value={"settings": {"cardinality": 61}}), ["cardinality = 61", "60 players"]),
    (spec("one_pass_banzhaf", OOB[1], 640, value={"settings": {"p": 0}}), ["p = 0", "greater than 0"]),
    (spec("influence", "makes_points:network", value={"settings": {"inverse": "lissa"}}), ["'lissa' needs scale"]),
    (
        spec("influence", "makes_points:network", value={"settings": {"inverse": "arnoldi", "rank": 8}}),
        ["8 parameters"],
    ),
    (spec("loo", None), ["NoneType is no scikit-learn estimator"]),
    (spec(*OOB, 100, compute={"batch": 4}), ["compute.batch"]),
]


@pytest.mark.parametrize(("document", "words"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_refusals(cli: Cli, folder: Path, document: dict[str, Any], words: list[str]) -> None:
    refused(cli, 2, words, "check", written(folder, document))


def test_what_a_spec_needs(cli: Cli, folder: Path) -> None:
    known = {"kind": "known", "name": "glove", "arguments": {"left": 1, "right": 2}}
    refused(cli, 2, ["kind \"training\", got 'known'"], "check", written(folder, spec("knn", None) | {"game": known}))
    both = {"game": known}
    refused(cli, 2, ["ask: this key is needed", "budget: this key is needed"], "check", written(folder, both))
    bare = {
        "game": {"kind": "training", "data": {"sklearn": "iris"}},
        "ask": [{"index": "SV"}],
        "budget": {"top": 2},
    }
    wanted = ["game.estimator: this key is needed", "budget.evaluations: this"]
    refused(cli, 2, wanted, "check", written(folder, bare))


def test_a_stop_rule_needs_no_budget_of_a_method(cli: Cli, folder: Path) -> None:
    ended = cli("check", written(folder, spec(*KNN) | {"budget": {"seconds": 60.0}}))
    assert (ended.code, b"test points" in ended.out) == (0, True), ended.err


def test_left_out_the_score_is_accuracy_or_r2(cli: Cli, folder: Path) -> None:
    for bundle, score, estimator in (("iris", "accuracy", "RidgeClassifier"), ("diabetes", "r2", "Ridge")):
        game = {"kind": "training", "estimator": f"sklearn.linear_model:{estimator}", "data": {"sklearn": bundle}}
        game |= {"test": {"share": 0.9}}
        asked = {"game": game, "ask": [{"index": "SV"}], "budget": {"evaluations": 2000}}
        assert f"1 ({score})".encode() in cli("check", written(folder, asked)).out


def test_check_computes_one_unit_and_a_piece(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit may be a large part of a job."""
    asked, plain = [], ValuationGame.piece_sums

    def counted(self: ValuationGame, start: int, stop: int, between: Any) -> Any:
        asked.append((start, stop))
        return plain(self, start, stop, between)

    monkeypatch.setattr(ValuationGame, "piece_sums", counted)
    document = spec("class_wise", "sklearn.linear_model:RidgeClassifier", 12, game={"parameters": {"random_state": 0}})
    assert "s on one worker" in cli("check", written(folder, document)).text
    assert asked == [(0, 1), (0, 4)]


def test_the_job_that_comes_along_finds_wrong_labels(cli: Cli, folder: Path) -> None:
    text = (ROOT / "jobs" / "value_oob.toml").read_text().replace("evaluations = 500", "evaluations = 60")
    (folder / "short.toml").write_text(text)
    ended = cli("run", "short.toml", "--engine", "inline", "--store", "short", "--out", "short-out")
    assert ended.code == 0, ended.err
    found = pa.ipc.open_file(folder / "short-out" / "result.arrow").read_all()
    names = [players[0] for players in found.column("players").to_pylist()]
    wrong = np.array(["was" in name for name in names])
    lowest = np.argsort(found.column("value").to_numpy())[: wrong.sum()]
    assert wrong[lowest].mean() > 0.7


def test_the_catalogue(cli: Cli) -> None:
    methods = {row["method"]: row for row in cli("methods", "--json").json}
    assert methods["threshold_knn"]["estimator"] == "RadiusNeighborsClassifier"
    assert "data_oob" in cli("methods").text
