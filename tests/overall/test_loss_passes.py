"""The passes of dataset games: folding, batches and numerics give the values of plain ones, and sample weights those of repeated rows."""

import numpy as np
import pytest
import torch

import xai_ray as xr
from tests.overall.answering import shapley_estimate
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.errors import InputError, SpecError
from xai_ray.games import ColumnGroups, Constant, LossGame, Marginal, Numerics, VarianceGame
from xai_ray.games.labelled.labels import row_weights
from xai_ray.games.passes.reducing import mean_over_fillings
from xai_ray.games.rows.batches import RowGrid
from xai_ray.testing.games import check_game

RNG = np.random.default_rng(0)
X, BACKGROUND = RNG.normal(size=(23, 6)), RNG.normal(size=(11, 6))
LABELS = RNG.integers(0, 3, 23)
EVERY = unpack(np.arange(64), 6)
NONE = np.zeros(64, dtype=np.int64)
torch.manual_seed(0)
NET = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)).eval()


def made(**more):
    return LossGame(NET, X, LABELS, **{"removal": Marginal(BACKGROUND), "loss": "cross_entropy", **more})


def slowly(convention, weights=None):
    """(64,): minus the mean cross entropy in double precision, a coalition at a time."""
    out, net = [], torch.nn.Sequential(*NET).double()
    for members in EVERY:
        filled = torch.from_numpy(np.where(members, X[:, None], BACKGROUND[None]))
        with torch.no_grad():
            shares = torch.softmax(net(filled), dim=2).numpy()[np.arange(len(X)), :, LABELS]
        losses = -np.log(shares.mean(axis=1)) if convention == "mean_then_loss" else -np.log(shares).mean(axis=1)
        out.append(-np.average(losses, weights=weights))
    net.float()
    return np.array(out)


@pytest.mark.parametrize("convention", ["mean_then_loss", "loss_then_mean"])
@pytest.mark.parametrize("batch", [1, 5, 11, 40, 300, 4096])
@pytest.mark.parametrize("fold", [False, True])
def test_any_batch_and_folding_give_the_values_of_a_loop(convention, batch, fold):
    game = made(convention=convention, batch=batch, numerics=Numerics(fold=fold))
    np.testing.assert_allclose(game.values(EVERY, NONE)[:, 0], slowly(convention), atol=2e-6)
    drawn = made(convention=convention, batch=batch, numerics=Numerics(fold=fold), rows=3)
    plain = made(convention=convention, rows=3)
    np.testing.assert_allclose(drawn.values(EVERY, NONE + 5), plain.values(EVERY, NONE + 5), atol=2e-6)
    np.testing.assert_allclose(drawn.values(EVERY, NONE - 1)[:, 0], slowly(convention), atol=2e-6)


@pytest.mark.parametrize("batch", [7, 64, 512])
@pytest.mark.parametrize("rows", [None, 4])
def test_folded_games_keep_the_contract(batch, rows):
    check_game(made(batch=batch, rows=rows, numerics=Numerics(fold=True)))
    wide = ColumnGroups({"a": [0, 1, 2], "b": [3, 4, 5]})
    check_game(made(batch=batch, rows=rows, players=wide, numerics=Numerics(fold=True), removal=Constant(0.3)))


def test_a_coalition_that_comes_twice_is_evaluated_once():
    seen = []

    def model(x):
        seen.append(len(x))
        return x[:, :3]

    game = LossGame(model, X, LABELS, removal=Marginal(BACKGROUND), loss="cross_entropy", outputs="logits", batch=253)
    seen.clear()
    values = game.values(EVERY[[3, 9, 3, 3, 9]], NONE[:5])
    assert seen == [253, 253]
    np.testing.assert_array_equal(values[[0, 1]], values[[2, 4]])


def test_settings_of_the_passes():
    measured = made(batch="auto")
    np.testing.assert_allclose(measured.values(EVERY, NONE)[:, 0], slowly("mean_then_loss"), atol=2e-6)
    half = made(numerics=Numerics(precision="bf16")).values(EVERY, NONE)[:, 0]
    assert 0 < np.abs(half - slowly("mean_then_loss")).max() < 0.02
    assert made(batch=300).digest != made(batch=40).digest  # other passes, other last bits
    with pytest.raises(SpecError, match="drawn anew"):
        made(removal=Marginal(BACKGROUND, 2), loss="squared_error", outputs="logits", numerics=Numerics(fold=True))
    with pytest.raises(SpecError, match="only torch modules"):
        LossGame(lambda x: x, X, LABELS, removal=Constant(0.0), loss="zero_one", numerics=Numerics(fold=True))


def test_passes_of_many_rows_are_full():
    for rows, pairs in [(1, 1), (100, 40), (7, 100), (1000, 1), (3, 4096), (41, 40)]:
        grid = RowGrid.within(rows, pairs)
        assert grid.pairs <= pairs
        assert rows <= grid.padded < rows + grid.passes
        assert grid.block == 1 or grid.each == rows
    assert RowGrid.within(100, 40) == RowGrid(100, 34, 1)


def test_a_probability_that_no_double_holds_keeps_its_logarithm():
    logits = torch.tensor([[[0.0, -900.0], [0.0, -1000.0]], [[0.0, 1.0], [0.0, -1.0]]], dtype=torch.float64)
    want = torch.logsumexp(torch.log_softmax(logits, dim=2), dim=1) - np.log(2)
    torch.testing.assert_close(mean_over_fillings(logits, "logits", "probabilities"), want, atol=1e-13, rtol=1e-13)


# --- weights


@pytest.mark.parametrize("convention", ["mean_then_loss", "loss_then_mean"])
def test_weights_are_repeated_rows(convention):
    weights = RNG.integers(0, 4, len(X))
    weighted = made(weights=weights, convention=convention).values(EVERY, NONE)[:, 0]
    np.testing.assert_allclose(weighted, slowly(convention, weights), atol=2e-6)
    again = np.repeat(np.arange(len(X)), weights)
    repeated = LossGame(
        NET, X[again], LABELS[again], removal=Marginal(BACKGROUND), loss="cross_entropy", convention=convention
    )
    np.testing.assert_allclose(weighted, repeated.values(EVERY, NONE)[:, 0], atol=2e-6)
    same = made(weights=10 * weights, convention=convention)
    np.testing.assert_allclose(same.values(EVERY, NONE)[:, 0], weighted, rtol=1e-12)
    assert made(weights=weights).digest != made().digest


@pytest.mark.parametrize("samples", [None, 2])
def test_rows_are_drawn_by_their_weights(samples):
    weights = RNG.random(len(X)) * (RNG.random(len(X)) < 0.7)
    removal, loss = Marginal(BACKGROUND, samples, seed=4), "squared_error"
    whole = made(weights=weights, loss=loss, outputs="logits").values(EVERY[::9], NONE[:8])[:, 0]
    drawn = made(weights=weights, loss=loss, outputs="logits", removal=removal, rows=2, seed=4)
    contexts = 3000
    found = drawn.values(np.repeat(EVERY[::9], contexts, axis=0), np.tile(np.arange(contexts), 8)).reshape(8, contexts)
    z = (found.mean(axis=1) - whole) / (found.std(axis=1, ddof=1) / np.sqrt(contexts))
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(drawn.values(EVERY[::9], NONE[:8] - 1)[:, 0], whole, atol=1e-6)


@pytest.mark.parametrize("estimator", ["permutation", "kernel"])
def test_errors_cover_weighted_rows(estimator):
    weights = RNG.random(len(X))
    want = xr.explain(made(weights=weights), budget="exact").values
    covered = []
    for seed in range(50):
        game = made(weights=weights, rows=1, seed=seed)
        low, high = shapley_estimate(game, estimator, 802, seed).intervals()
        covered.append((low[:, 0] <= want) & (want <= high[:, 0]))
    assert 0.90 <= np.mean(covered) <= 0.99  # 300 intervals


@pytest.mark.parametrize("convention", ["mean_then_loss", "loss_then_mean"])
def test_a_row_of_weight_zero_takes_no_part_even_where_its_loss_is_infinite(convention):
    def never_two(x):
        left = 0.25 + 0.5 / (1 + np.exp(-x[:, 0]))
        return np.stack([left, 1 - left, np.zeros(len(x))], axis=1)

    labels = np.where(np.isin(np.arange(23), [0, 7]), 2, LABELS % 2)
    kept = labels < 2
    settings = {"loss": "cross_entropy", "outputs": "probabilities", "convention": convention}
    game = LossGame(never_two, X, labels, removal=Marginal(BACKGROUND), weights=3.0 * kept, **settings)
    without = LossGame(never_two, X[kept], labels[kept], removal=Marginal(BACKGROUND), **settings)
    np.testing.assert_allclose(game.values(EVERY, NONE), without.values(EVERY, NONE), rtol=1e-12)
    drawn = LossGame(never_two, X, labels, removal=Marginal(BACKGROUND), weights=3.0 * kept, rows=40, **settings)
    assert np.isfinite(drawn.values(EVERY, np.arange(64))).all()


@pytest.mark.parametrize("scale", [1e308, 1e300, 1.0, 0.3, 1e-300, 5e-324])
def test_weights_of_any_size_are_shares(scale):
    plain = np.array([1.0, 0.0, 1.0, 0.5 if scale > 1e-300 else 1.0])
    np.testing.assert_allclose(row_weights(scale * plain, 4), plain / plain.sum(), rtol=1e-14)


def test_shares_of_usual_weights_are_plain_quotients():
    weights = RNG.random(23)
    np.testing.assert_array_equal(row_weights(weights, 23), weights / weights.sum())


def test_bad_weights():
    for match, weights in [
        (r"weights are numbers, one a row: shape \(23,\)", np.ones(22)),
        ("weights are numbers", ["a"] * 23),
        ("the weight of row 3 is -1", np.where(np.arange(23) == 3, -1.0, 1.0)),
        ("the weight of row 0 is nan", np.full(23, np.nan)),
        ("all weights are 0", np.zeros(23)),
    ]:
        with pytest.raises(InputError, match=match):
            made(weights=weights)


# --- signs, as the sign estimator of SAGE


def test_a_run_ends_when_every_sign_is_told():
    """A column that the model does not read has no sign: its noise becomes small instead."""

    def model(x):
        return np.stack([np.zeros(len(x)), 3 * x[:, 0] - 2 * x[:, 1]], axis=1)

    rows = RNG.normal(size=(200, 3))
    labels = (3 * rows[:, 0] - 2 * rows[:, 1] > 0).astype(int)
    game = LossGame(model, rows, labels, removal=Marginal(rows[:20]), loss="cross_entropy", outputs="logits", rows=1)
    found = xr.explain(game, budget=20_000, estimator="permutation", signs=0.025)
    assert found.evaluations < 20_000
    assert (found.values[:2] > 3 * found.std_errors[:2]).all()
    assert abs(found.values[2]) < 1e-9  # it never changes the output, so every marginal contribution is 0


def test_variances_of_a_network_by_any_batch():
    plain = VarianceGame(NET, X).values(EVERY, NONE)
    for batch in (100, 1024, 8192):
        np.testing.assert_allclose(VarianceGame(NET, X, batch=batch).values(EVERY, NONE), plain, atol=1e-5)
    check_game(VarianceGame(NET, X, samples=3, batch=64))
