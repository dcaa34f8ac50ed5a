"""Rows behind a folded first layer: the values of the plain pass within the stated tolerance, for every row and its own class."""

from __future__ import annotations

from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import xai_ray as xr
from tests.forward import networks
from tests.rows.models import table
from xai_ray.engine.identity import manifest_of
from xai_ray.errors import SpecError
from xai_ray.games import Numerics, RowsGame
from xai_ray.games.passes import batch_size as sizes
from xai_ray.games.passes.folding import TOLERANCE

FOLDED = Numerics(fold=True)
EPS = float(np.finfo(np.float32).eps)
BACKGROUND = table(23, 9, 5)
GROUPS = xr.ColumnGroups([[0, 3], [1, 2, 8], [4], [5, 6, 7]])


def pairs(game: RowsGame, count: int = 60, seed: int = 0):
    rng = np.random.default_rng(seed)
    coalitions = rng.random((count, game.n_players)) < rng.random((count, 1))
    coalitions[0], coalitions[1] = True, False
    return rng.integers(game.n_rows, size=count), coalitions, np.full(count, -1)


def assert_close(model, rows, factor: float = 8.0, **made) -> None:
    plain, folded = RowsGame(model, rows, **made), RowsGame(model, rows, numerics=FOLDED, **made)
    assert folded.digest == plain.digest
    at = pairs(plain)
    np.testing.assert_array_equal(folded.row_targets(at[0]), plain.row_targets(at[0]))
    want, got = plain.row_values(*at), folded.row_values(*at)
    # Behaviours of these games change by no more than a few times what outputs change by.
    scale = max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(got, want, rtol=0, atol=factor * TOLERANCE * EPS * scale)
    assert np.ptp(want) > 1e-2, "the games say nothing"


@pytest.mark.parametrize(
    "removal", [xr.Zeros(), xr.Constant(0.7), xr.Mean(BACKGROUND), xr.Marginal(BACKGROUND)], ids=str
)
@pytest.mark.parametrize("players", [xr.Columns(), GROUPS], ids=["columns", "groups"])
@pytest.mark.parametrize("batch", [4, 100])
def test_equals_the_plain_pass_and_explains_the_class_of_each_row(removal, players, batch: int) -> None:
    model, rows = networks.perceptron(9), table(7, 9)
    assert_close(model, rows, players=players, removal=removal, behaviour=xr.LogOdds(), batch=batch)
    classes = RowsGame(model, rows, players=players, removal=removal, behaviour=xr.LogOdds(), numerics=FOLDED)
    assert len(np.unique(classes.row_targets(np.arange(7)))) > 1


@pytest.mark.parametrize(
    ("behaviour", "outputs", "order"),
    [
        (xr.LogOdds("all"), "logits", "mean_then_behaviour"),
        (xr.LogOdds(), "logits", "behaviour_then_mean"),
        (xr.Probability(), "logits", "mean_then_behaviour"),
        (xr.Margin(), "logits", "mean_then_behaviour"),
        (xr.Raw((0, 2)), "raw", "mean_then_behaviour"),
        (xr.Raw((0, 2)), "logits", "behaviour_then_mean"),
    ],
)
def test_behaviours_and_orders(behaviour, outputs, order) -> None:
    made: dict[str, Any] = {
        "players": xr.Columns(),
        "removal": xr.Marginal(BACKGROUND),
        "outputs": outputs,
        "order": order,
    }
    assert_close(networks.standardised(9), table(7, 9), behaviour=behaviour, batch=64, **made)


@pytest.mark.parametrize("outputs", ["logits", "probabilities", "raw"])
def test_a_single_column(outputs) -> None:
    model = networks.perceptron(9, outputs=1)
    model = nn.Sequential(model, nn.Sigmoid()).eval() if outputs == "probabilities" else model
    behaviour = xr.Raw() if outputs == "raw" else xr.LogOdds()
    made: dict[str, Any] = {"players": xr.Columns(), "removal": xr.Marginal(BACKGROUND), "outputs": outputs}
    assert_close(model, table(7, 9), behaviour=behaviour, batch=64, **made)
    flat = nn.Sequential(model, nn.Flatten(0)).eval()
    assert_close(flat, table(7, 9), behaviour=behaviour, batch=64, **made)


def test_raw_numbers_of_a_model_said_to_give_logits_stay_one_column() -> None:
    model = networks.perceptron(9, outputs=1)
    made: dict[str, Any] = {
        "players": xr.Columns(),
        "removal": xr.Marginal(BACKGROUND),
        "behaviour": xr.Raw(),
        "outputs": "logits",
    }
    assert_close(model, table(7, 9), batch=64, **made)
    row = table(7, 9)[0]
    coalitions = np.random.default_rng(0).random((8, 9)) < 0.5
    want, got = (
        xr.ModelGame(model, row, numerics=n, **made).values(coalitions, np.zeros(8, dtype=np.int64))
        for n in (None, FOLDED)
    )
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.ptp(got) > 1e-3


@pytest.mark.parametrize("removal", [xr.Zeros(), xr.Marginal(np.random.default_rng(3).normal(size=(5, 3, 8, 6)))])
def test_players_of_many_numbers_read_contributions_of_their_row(removal) -> None:
    """Above eight numbers a player the row's own part comes from `Folding.present`."""
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), networks.perceptron(3 * 8 * 6)).eval()
    images = np.random.default_rng(1).normal(size=(4, 3, 8, 6)).astype(np.float32)
    labels = np.random.default_rng(2).integers(-1, 4, (8, 6))
    for players in (xr.Patches(2, 3), xr.Regions(labels)):
        assert_close(model, images, players=players, removal=removal, behaviour=xr.LogOdds(), batch=16)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), columns=st.integers(2, 12), fillings=st.integers(1, 9), batch=st.integers(1, 40))
def test_random_networks(seed: int, columns: int, fillings: int, batch: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [part.tolist() for part in np.array_split(rng.permutation(columns), int(rng.integers(1, columns + 1)))]
    made: dict[str, Any] = {
        "players": xr.ColumnGroups(groups),
        "removal": xr.Marginal(rng.normal(size=(fillings, columns))),
    }
    model, rows = networks.standardised(columns, seed), rng.normal(size=(5, columns))
    plain = RowsGame(model, rows, behaviour=xr.Raw(), batch=batch, **made)
    folded = RowsGame(model, rows, behaviour=xr.Raw(), batch=batch, numerics=FOLDED, **made)
    at = pairs(plain, seed=seed)
    want = plain.row_values(*at)
    scale = max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(folded.row_values(*at), want, rtol=0, atol=TOLERANCE * EPS * scale)


def test_any_mixture_of_rows_and_any_batch() -> None:
    model = networks.perceptron(9).double()
    made: dict[str, Any] = {
        "players": xr.Columns(),
        "removal": xr.Marginal(BACKGROUND),
        "behaviour": xr.LogOdds(),
        "numerics": FOLDED,
    }
    game = RowsGame(model, table(7, 9), batch=64, **made)
    rows, coalitions, context = pairs(game, 90)
    want, order = game.row_values(rows, coalitions, context), np.random.default_rng(1).permutation(90)
    np.testing.assert_allclose(game.row_values(rows[order], coalitions[order], context), want[order], atol=1e-12)
    for batch in (1, 23, 50, 1000):
        other = RowsGame(model, table(7, 9), batch=batch, **made)
        np.testing.assert_allclose(other.row_values(rows, coalitions, context), want, atol=1e-12)
    half = game.halved()
    assert half is not None
    assert half.batch == 32
    np.testing.assert_allclose(half.row_values(rows, coalitions, context), want, atol=1e-12)


def test_a_copy_has_the_same_bits_and_the_model_stays_as_it_is() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    rows = table(7, 9)
    made: dict[str, Any] = {
        "players": xr.Columns(),
        "removal": xr.Marginal(BACKGROUND),
        "behaviour": xr.LogOdds(),
        "numerics": FOLDED,
    }
    game = RowsGame(model, rows, **made)
    at = pairs(game)
    values = game.row_values(*at)
    np.testing.assert_array_equal(game.row_values(*at), values)
    np.testing.assert_array_equal(cloudpickle.loads(cloudpickle.dumps(game)).row_values(*at), values)
    np.testing.assert_array_equal(rows, table(7, 9))
    assert [part.inplace for part in model if isinstance(part, nn.ReLU)] == [False] * 3


def test_explained_rows_are_those_of_the_plain_game() -> None:
    made: dict[str, Any] = {"players": xr.Columns(), "removal": xr.Marginal(BACKGROUND), "behaviour": xr.LogOdds()}
    rows = table(7, 9)
    plain = xr.explain_rows(RowsGame(networks.perceptron(9), rows, **made), budget=60)
    game = RowsGame(networks.perceptron(9), rows, numerics=FOLDED, **made)
    folded = xr.explain_rows(game, budget=60)
    np.testing.assert_allclose(folded.values, plain.values, atol=1e-3)
    assert folded.job != plain.job, "what is folded is another job"
    assert folded.table().column("output").to_pylist() == plain.table().column("output").to_pylist()


def test_what_cannot_be_folded_is_refused() -> None:
    made: dict[str, Any] = {"players": xr.Columns(), "behaviour": xr.Raw(), "numerics": FOLDED}
    rows = table(7, 9)
    with pytest.raises(SpecError, match="'x' is used by 2 operations"):
        RowsGame(networks.Skipping(9), rows, removal=xr.Zeros(), **made)
    with pytest.raises(SpecError, match="take every background row"):
        RowsGame(networks.perceptron(9), rows, removal=xr.Marginal(BACKGROUND, samples=3), **made)
    with pytest.raises(SpecError, match="only torch modules"):
        RowsGame(lambda x: x, rows, removal=xr.Zeros(), **made)
    image = nn.Sequential(nn.Flatten(), networks.perceptron(12)).eval()
    made["players"] = xr.Patches(2, 2)
    with pytest.raises(SpecError, match="Blur fills each row with values of its own"):
        RowsGame(image, np.ones((4, 3, 2, 2)), removal=xr.Blur(1.0), **made)


def test_a_wrong_fold_of_later_rows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import xai_ray.games.rows.folded as folded_rows

    right = folded_rows.first_layer

    def wrong(model, example):
        cut = right(model, example)
        return type(cut)(cut.before, cut.weight * 1.001, cut.bias, cut.after)

    monkeypatch.setattr(folded_rows, "first_layer", wrong)
    made: dict[str, Any] = {"players": xr.Columns(), "removal": xr.Zeros(), "behaviour": xr.Raw(), "numerics": FOLDED}
    with pytest.raises(SpecError, match="differ from the model's by"):
        RowsGame(networks.perceptron(9), table(7, 9), **made)


@pytest.mark.parametrize("numerics", [Numerics(), FOLDED], ids=["plain", "folded"])
def test_a_measured_batch_is_a_number_from_then_on(monkeypatch: pytest.MonkeyPatch, numerics: Numerics) -> None:
    cost = {1: 1.0, 2: 0.5, 4: 0.4, 8: 0.3, 16: 0.2, 32: 0.1, 64: 0.15, 128: 0.15}
    monkeypatch.setattr(sizes, "_seconds_per_evaluation", lambda game: cost.get(game.batch, 1.0))
    monkeypatch.setattr(sizes, "_SECONDS", 1e9)
    made: dict[str, Any] = {
        "players": xr.Columns(),
        "removal": xr.Marginal(BACKGROUND),
        "behaviour": xr.LogOdds(),
        "numerics": numerics,
    }
    game = RowsGame(networks.perceptron(9), table(7, 9), batch="auto", **made)
    assert game.batch == 32
    monkeypatch.undo()
    told = RowsGame(networks.perceptron(9), table(7, 9), batch="auto", **made)
    assert told.batch & (told.batch - 1) == 0
    at = pairs(told)
    np.testing.assert_allclose(told.row_values(*at), game.row_values(*at), atol=1e-4)


@pytest.mark.parametrize(("precision", "bits"), [("bf16", 8), ("fp16", 11)])
@pytest.mark.parametrize("fold", [False, True])
def test_half_precision_of_rows(precision, bits: int, fold: bool) -> None:
    made: dict[str, Any] = {
        "players": xr.Columns(),
        "removal": xr.Marginal(BACKGROUND),
        "behaviour": xr.Raw(),
        "batch": 64,
    }
    plain = RowsGame(networks.perceptron(9), table(7, 9), **made)
    half = RowsGame(networks.perceptron(9), table(7, 9), numerics=Numerics(fold=fold, precision=precision), **made)
    at = pairs(plain)
    want, got = plain.row_values(*at), half.row_values(*at)
    assert 0 < np.abs(got - want).max() <= 2.0**-bits * max(1.0, float(np.abs(want).max()))


def test_classes_of_rows_do_not_hang_on_numerics() -> None:
    made: dict[str, Any] = {"players": xr.Columns(), "removal": xr.Zeros(), "behaviour": xr.LogOdds()}
    plain = RowsGame(networks.perceptron(9), table(40, 9), **made)
    half = RowsGame(networks.perceptron(9), table(40, 9), numerics=Numerics(precision="bf16"), **made)
    with torch.inference_mode():
        own = networks.perceptron(9)(torch.from_numpy(table(40, 9)).float()).argmax(dim=1)
    for game in (plain, half):
        np.testing.assert_array_equal(game.row_targets(np.arange(40))[:, 0], own)


def test_numerics_are_part_of_a_jobs_identity() -> None:
    from xai_ray.estimators import Ask, Stop
    from xai_ray.indices import Question
    from xai_ray.row_jobs import planned_rows

    def digest(**more) -> str:
        made: dict[str, Any] = {"players": xr.Columns(), "removal": xr.Zeros(), "behaviour": xr.Raw(0), "batch": 64}
        game = RowsGame(networks.perceptron(9), table(7, 9), **made, **more)
        task, planned = planned_rows(game, [Ask(Question("SV"), "auto")], 60, 0, Stop())
        return manifest_of("rows", task, planned, {}).digest

    assert digest() == digest(numerics=Numerics())
    assert len({digest(), digest(numerics=FOLDED), digest(numerics=Numerics(precision="bf16"))}) == 3


def test_a_spec_of_a_dataset_takes_them_and_holds_the_batch_that_was_found(tmp_path) -> None:
    from xai_ray.build import manifest_for, prepare
    from xai_ray.spec import parse

    document = {
        "game": {
            "kind": "model",
            "model": {"factory": "xai_ray.zoo:tumour_mlp"},
            "input": {"dataset": "sklearn:breast_cancer", "rows": "0:6"},
            "players": {"kind": "columns"},
            "removal": {"kind": "marginal", "background": {}},
            "behaviour": {"kind": "log_odds"},
        },
        "ask": [{"index": "SV"}],
        "budget": {"evaluations": 200},
        "compute": {"batch": "auto", "fold": True},
    }
    prepared = prepare(parse(document), tmp_path)
    task: Any = prepared.game
    manifest = manifest_for(prepared)
    stored = manifest.document["spec"]
    assert stored["compute"] == {"batch": task.rows.batch, "fold": True}
    assert manifest.document["identity"]["numerics"]["fold"] is True
    again = prepare(parse(stored), tmp_path)
    assert manifest_for(again).digest == manifest.digest
    assert getattr(again.game, "numerics", None) == FOLDED
