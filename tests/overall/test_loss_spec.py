"""Loss games and closed forms from specs: what runs, what files hold, and one line for each mistake."""

import json
import sys

import numpy as np
import pytest

from xai_ray import cli
from xai_ray.build import prepare
from xai_ray.catalogue import describe_games
from xai_ray.describing import describe_plan
from xai_ray.errors import InputError, ModelOutputError, SpecError
from xai_ray.spec import load, parse

MODELS = """
import numpy as np
from functools import partial
from sklearn.linear_model import LogisticRegression
from sklearn.ensemble import RandomForestRegressor
from xai_ray.zoo.model import ZooModel

rng = np.random.default_rng(0)
X = rng.normal(size=(80, 3))
y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)

def classifier():
    model = LogisticRegression().fit(X, y)
    return ZooModel(model.predict_proba, "probabilities", ("no", "yes"), columns=("a", "b", "c"), background=X[:20])

def forest():
    return RandomForestRegressor(4, max_leaf_nodes=12, random_state=0).fit(X, X[:, 0] * X[:, 1]).predict
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own_models.py").write_text(MODELS)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    words = np.where(X[:, 0] + X[:, 1] * X[:, 2] > 0, "yes", "no")
    lines = [",".join([*map(repr, map(float, row)), word]) for row, word in zip(X[:30], words[:30], strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c,label", *lines]) + "\n")
    return tmp_path


def loss_spec(**changes):
    game = {
        "kind": "loss",
        "model": {"factory": "own_models:classifier"},
        "dataset": {"table": "rows.csv", "label": "label"},
        "removal": {"kind": "marginal", "background": {}},
        "loss": ["cross_entropy", "zero_one"],
        **changes,
    }
    return {"game": game, "ask": [{"index": "SV"}], "budget": {"evaluations": "exact"}}


def run(folder, document, *more):
    (folder / "spec.json").write_text(json.dumps(document))
    arguments = ["xai-ray", "run", str(folder / "spec.json"), "--engine", "inline", "--out", str(folder / "out"), *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        patch.chdir(folder)
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
    return code, json.loads((folder / "out" / "result.json").read_text()) if code == 0 else None


def test_a_loss_game_runs_and_equals_python(folder):
    code, result = run(folder, loss_spec())
    assert code == 0
    assert result["outputs"] == ["cross entropy", "zero one"]
    game = prepare(parse(loss_spec()), folder).game
    assert (game.n_rows, game.player_names) == (30, ("a", "b", "c"))
    ends = game.values(np.array([[False] * 3, [True] * 3]), np.zeros(2, dtype=np.int64))
    np.testing.assert_allclose(np.sum(result["estimates"][0]["values"], axis=0), ends[1] - ends[0], atol=1e-12)
    assert any(row["game"] == "loss" for row in describe_games())


def test_settings_of_a_loss_game(folder):
    drawn = prepare(parse({**loss_spec(sample=2, clip=1e-6), "budget": {"evaluations": 60}}), folder).game
    assert drawn.stochastic
    output = prepare(parse(loss_spec(against="output", dataset={"table": "rows.csv", "label": "label"})), folder).game
    assert output.n_rows == 30
    groups = {"kind": "groups", "groups": {"first": ["a"], "rest": ["b", "c"]}}
    some = prepare(
        parse(loss_spec(players=groups, dataset={"table": "rows.csv", "label": "label", "rows": "0:7"})), folder
    ).game
    assert (some.n_rows, some.player_names) == (7, ("first", "rest"))
    other = {"model": {"factory": "own_models:forest"}, "dataset": {"sklearn": "diabetes", "rows": "0:9"}}
    with pytest.raises(ModelOutputError, match="features"):
        prepare(parse(loss_spec(**other, loss="squared_error", removal={"kind": "zeros"})), folder)


def test_weights_of_rows_and_settings_of_passes(folder):
    lines = (folder / "rows.csv").read_text().splitlines()
    weighed = [f"{line},{'weight' if at == 0 else at % 3}" for at, line in enumerate(lines)]
    (folder / "weighed.csv").write_text("\n".join(weighed) + "\n")
    (folder / "again.csv").write_text(
        "\n".join([lines[0], *(x for at, x in enumerate(lines) for _ in range(at % 3))]) + "\n"
    )
    dataset = {"table": "weighed.csv", "label": "label", "weights": "weight"}
    every = np.array([[False] * 3, [True, False, True], [True] * 3]), np.zeros(3, dtype=np.int64)
    found = prepare(parse(loss_spec(dataset=dataset)), folder).game
    repeated = prepare(parse(loss_spec(dataset={"table": "again.csv", "label": "label"})), folder).game
    assert found.player_names == ("a", "b", "c")
    np.testing.assert_allclose(found.values(*every), repeated.values(*every), atol=1e-12)
    part = prepare(parse(loss_spec(dataset={**dataset, "rows": "0:9"}, against="output")), folder).game
    assert part.n_rows == 9
    measured = prepare(parse({**loss_spec(), "compute": {"batch": "auto"}}), folder)
    assert isinstance(measured.game.batch, int)
    with pytest.raises(SpecError, match="only torch modules"):
        prepare(parse({**loss_spec(), "compute": {"fold": True}}), folder)
    for error, match, dataset in (
        (InputError, "weights of column 'label' are numbers, got 'no'|weights of column 'label' are numbers, got 'yes'",
         {"table": "weighed.csv", "label": "label", "weights": "label"}),
        (InputError, "no column 'heft'", {"table": "rows.csv", "label": "label", "weights": "heft"}),
        (SpecError, "dataset.weights is for tables", {"sklearn": "iris", "weights": "w"}),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            prepare(parse(loss_spec(dataset=dataset)), folder)


def test_mistakes(folder):
    for error, match, changes in (
        (SpecError, "did you mean 'squared_error'", {"loss": "square_error"}),
        (SpecError, "dataset.tables: unknown key", {"dataset": {"tables": "rows.csv"}}),
        (SpecError, "needs `label`", {"dataset": {"table": "rows.csv", "drop": ["label"]}}),
        (InputError, "no column 'kind'", {"dataset": {"table": "rows.csv", "label": "kind", "drop": ["label"]}}),
        (InputError, "exactly one of", {"dataset": {"label": "label"}}),
        (InputError, "no rows are left", {"dataset": {"table": "rows.csv", "label": "label", "rows": "90:"}}),
        (
            InputError,
            "the model takes 'a', which is not among its 2 columns",
            {"dataset": {"table": "rows.csv", "label": "label", "drop": ["a"]}},
        ),
        (InputError, "row 1: 'b' is missing", {"dataset": {"table": "holes.csv", "label": "label"}}),
        (InputError, "label 'maybe' of row 2 is no class", {"dataset": {"table": "maybe.csv", "label": "label"}}),
        (
            InputError,
            "1 labels of column 'label' are missing",
            {"dataset": {"table": "unlabelled.csv", "label": "label"}},
        ),
        (SpecError, "is for tables", {"dataset": {"sklearn": "iris", "label": "label"}}),
    ):
        (folder / "holes.csv").write_text("a,b,c,label\n1,2,3,yes\n1,,3,no\n")
        (folder / "maybe.csv").write_text("a,b,c,label\n1,2,3,yes\n1,2,3,no\n1,2,3,maybe\n")
        (folder / "unlabelled.csv").write_text("a,b,c,label\n1,2,3,1\n1,2,3,\n")
        with pytest.raises(error, match=match):
            prepare(parse(loss_spec(**changes)), folder)


def closed_spec(**changes):
    game = {
        "kind": "model",
        "model": {"factory": "own_models:forest"},
        "input": {"table": "rows.csv", "row": 3, "drop": ["label"]},
        "players": {"kind": "columns"},
        "removal": {"kind": "marginal", "background": {"table": "rows.csv", "drop": ["label"]}},
        "behaviour": {"kind": "raw", "target": "all"},
    }
    asks = [{"index": "SV", "estimator": "closed_form"}, {"index": "SII", "estimator": "closed_form"}]
    return {"game": game, "ask": asks, "budget": {"evaluations": "exact"}, **changes}


def test_closed_forms_as_jobs(folder):
    code, result = run(folder, closed_spec())
    assert code == 0
    assert result["evaluations"] == 0
    exact = closed_spec(ask=[{"index": "SV"}, {"index": "SII"}])
    _, want = run(folder, exact)
    for ours, theirs in zip(result["estimates"], want["estimates"], strict=True):
        np.testing.assert_allclose(ours["values"], theirs["values"], atol=1e-12)
        assert not np.any(ours["std_errors"])
    free = closed_spec()
    del free["budget"]  # nothing to spend
    again, same = run(folder, free)
    assert again == 0
    assert same["estimates"] == result["estimates"]
    with pytest.raises(SpecError, match="budget: this key is needed"):
        parse({**free, "ask": [{"index": "SV"}]})
    told = describe_plan(prepare(parse(closed_spec()), folder))
    assert told["evaluations"] == 0
    assert told["closed form"] == "RandomForestRegressor.predict"


def test_the_job_that_comes_with_it(tmp_path):
    from pathlib import Path

    root = Path(__file__).parents[2]
    prepared = prepare(load(root / "jobs" / "sage_tumour.toml"), root / "jobs")
    assert prepared.game.n_rows == 100
    assert prepared.game.stochastic
