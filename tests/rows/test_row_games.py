"""Values of (row, coalition) pairs are those of a ModelGame on that row; answers are those of explain on the relabelled design."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import xai_ray as xr
from tests.rows.models import Net, Pixels, table, tabular
from xai_ray.coalitions import RowBlocks, Strata, from_description
from xai_ray.coalitions.row_blocks import relabelled
from xai_ray.errors import InputError, NonFiniteValue, SpecError
from xai_ray.games.passes import together

REMOVALS = {
    "zeros": xr.Zeros(),
    "constant": xr.Constant(0.5),
    "mean": xr.Mean(table(7, 6, 3)),
    "marginal": xr.Marginal(table(7, 6, 3)),
    "more fillings than a batch": xr.Marginal(table(50, 6, 3)),
}


def pairs(game: xr.RowsGame, count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    coalitions = rng.random((count, game.n_players)) < rng.random((count, 1))
    return rng.integers(game.n_rows, size=count), coalitions, np.full(count, -1)


def alone(game: xr.RowsGame, model, row: int, **given) -> xr.ModelGame:
    return xr.ModelGame(model, np.array(game.rows[row]), **given)


@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize("behaviour", [xr.LogOdds(), xr.Probability(1), xr.Margin(), xr.Logit("all"), xr.Raw()])
def test_pairs_have_the_values_of_model_games(removal, behaviour) -> None:
    model = Net(6, 3).double()
    given = {"players": xr.Columns(), "removal": REMOVALS[removal], "behaviour": behaviour}
    game = xr.RowsGame(model, table(5, 6), batch=32, **given)
    rows, coalitions, context = pairs(game, 40)
    found = game.row_values(rows, coalitions, context)
    for row in range(5):
        mine = rows == row
        expected = alone(game, model, row, **given).values(coalitions[mine], context[mine])
        np.testing.assert_allclose(found[mine], expected, atol=1e-12)


@pytest.mark.parametrize("removal", [xr.Blur(1.5), xr.Mean(), xr.Zeros(), xr.Constant([0.1, 0.2, 0.3])])
def test_images_with_fillings_of_their_own(removal) -> None:
    images = np.random.default_rng(2).random((4, 3, 8, 10))
    given = {"players": xr.Patches(2, 3), "removal": removal, "behaviour": xr.LogOdds()}
    game = xr.RowsGame(Pixels(), images, batch=8, **given)
    rows, coalitions, context = pairs(game, 30)
    found = game.row_values(rows, coalitions, context)
    for row in range(4):
        mine = rows == row
        expected = xr.ModelGame(Pixels(), images[row], **given).values(coalitions[mine], context[mine])
        np.testing.assert_allclose(found[mine], expected, atol=1e-6)


def test_sampled_fillings_by_context() -> None:
    model, background = Net(6, 1).double(), table(9, 6, 4)
    given = {"players": xr.Columns(), "removal": xr.Marginal(background, samples=3, seed=5), "behaviour": xr.Raw()}
    game = xr.RowsGame(model, table(4, 6), batch=16, **given)
    rows, coalitions, _ = pairs(game, 24)
    context = np.random.default_rng(1).integers(-1, 20, size=24)
    found = game.row_values(rows, coalitions, context)
    for row in range(4):
        mine = rows == row
        expected = alone(game, model, row, **given).values(coalitions[mine], context[mine])
        np.testing.assert_allclose(found[mine], expected, atol=1e-12)


def test_any_mixture_of_rows_gives_the_same_values() -> None:
    game = tabular(rows=9, batch=40)
    rows, coalitions, context = pairs(game, 100)
    whole = game.row_values(rows, coalitions, context)
    order = np.random.default_rng(4).permutation(100)
    np.testing.assert_allclose(
        game.row_values(rows[order], coalitions[order], context[order]), whole[order], atol=1e-13
    )
    other = tabular(rows=9, batch=200)
    np.testing.assert_allclose(other.row_values(rows, coalitions, context), whole, atol=1e-13)


def test_each_row_explains_its_own_class() -> None:
    game = tabular(rows=40, columns=6, classes=3, output_names=("a", "b", "c"))
    targets = game.row_targets(np.arange(40))
    full = Net(6, 3).double()(__import__("torch").from_numpy(np.array(game.rows))).detach().numpy()
    assert targets[:, 0].tolist() == full.argmax(axis=1).tolist()
    assert len(set(targets[:, 0].tolist())) > 1
    found = xr.explain_rows(game, budget=60)
    named = found.table().column("output").to_pylist()
    assert named == [("a", "b", "c")[t] for t in targets[:, 0]]


@pytest.mark.parametrize(
    ("index", "order", "estimator"),
    [
        ("SV", 1, "leverage"),
        ("SV", 1, "permutation"),
        ("SV", 1, "gp"),
        ("SII", 2, "svarmiq"),
        ("BV", 1, "msr"),
        ("k-SII", 2, "gp"),
    ],
)
def test_answers_are_those_of_explain_on_the_relabelled_players(index, order, estimator) -> None:
    """Row r with its players renumbered by sigma_r is a game of its own; `explain` with the same seed draws the same design on it."""
    game = tabular(rows=3, columns=7)
    found = xr.explain_rows(game, index, order=order, estimator=estimator, budget=90, seed=11)
    sigma = found.pool.design.relabellings(np.arange(3))
    assert len({tuple(s) for s in sigma.tolist()}) == 3
    sets = found.sets()
    for row in range(3):
        renumbered = Renumbered(game, row, sigma[row])
        one = xr.explain(renumbered, index, order=order, estimator=estimator, budget=90, seed=11)
        estimate = one.estimates[0]
        where = {tuple(sorted(sigma[row][list(s)].tolist())): at for at, s in enumerate(estimate.coalitions)}
        order_of = [where[s] for s in sets]
        # Length scales are shared by the rows of a unit, so only the linear estimators agree to rounding.
        tolerance = 1e-9 if estimator != "gp" else 0.05
        np.testing.assert_allclose(found.values[row], estimate.values[order_of, 0], atol=tolerance)
        if estimator != "gp":
            np.testing.assert_allclose(found.std_errors[row], estimate.std_errors[order_of, 0], atol=1e-9)


class Renumbered:
    """One row as a game whose player i is player sigma[i] of the row."""

    stochastic, block, n_outputs, output_names, view = False, 1, 1, ("v",), None

    def __init__(self, game: xr.RowsGame, row: int, sigma: np.ndarray) -> None:
        self._game, self._row, self._sigma = game, row, sigma
        self.n_players, self.digest = game.n_players, f"{row}"
        self.player_names = tuple(map(str, sigma))

    def values(self, coalitions: np.ndarray, context: np.ndarray) -> np.ndarray:
        own = relabelled(coalitions, np.tile(self._sigma, (len(coalitions), 1)))
        return self._game.row_values(np.full(len(own), self._row), own, context)


def test_relabelling_moves_players() -> None:
    coalition = np.array([[True, False, False]])
    assert relabelled(coalition, np.array([[2, 0, 1]])).tolist() == [[False, False, True]]


def test_design_is_rebuilt_from_its_description() -> None:
    design = RowBlocks(Strata(5, 3, (1.0, 1.0)), 7, 100, 16, 3)
    again = from_description(design.describe())
    assert again == design
    assert isinstance(again, RowBlocks)
    assert (again.relabellings(np.array([4, 99])) == design.relabellings(np.arange(100))[[4, 99]]).all()


def test_full_budget_is_exact_and_adds_up() -> None:
    game = tabular(rows=4, columns=5)
    found = xr.explain_rows(game, budget="exact")
    assert (found.std_errors == 0).all()
    np.testing.assert_allclose(found.values.sum(axis=1), found.full_values - found.base_values, atol=1e-12)
    one = xr.explain(
        alone(
            game, Net(5, 1).double(), 2, players=xr.Columns(), removal=xr.Marginal(table(5, 5, 9)), behaviour=xr.Raw()
        ),
        budget="exact",
    )
    np.testing.assert_allclose(found.values[2], one.values, atol=1e-12)


BAD_ROWS = {
    "ragged": ([[1.0, 2.0], [1.0]], "row 1 has shape"),
    "missing": (np.array([[1.0, 2.0], [3.0, np.nan]]), "row 1, column 1 is missing"),
    "text": (np.array([["a", "b"]]), "not numbers"),
    "empty": (np.empty((0, 3)), "at least one row"),
    "one axis": (np.arange(3.0), "shape"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_rows_are_named(kind) -> None:
    rows, words = BAD_ROWS[kind]
    with pytest.raises(InputError, match=words):
        xr.RowsGame(Net(2, 1), rows, players=xr.Columns(), removal=xr.Zeros(), behaviour=xr.Raw())


def test_a_value_that_is_not_finite_names_row_and_coalition() -> None:
    def model(x: np.ndarray) -> np.ndarray:
        return np.where((x[:, :1] == 7.0) & (x[:, 1:2] == 0), np.inf, x[:, :1])

    rows = np.array([[1.0, 2.0, 3.0, 1.0], [7.0, 1.0, 1.0, 1.0]])
    game = xr.RowsGame(model, rows, players=xr.Columns(), removal=xr.Zeros(), behaviour=xr.Raw())
    with pytest.raises(NonFiniteValue, match=r"row 1: .*coalition of players \{0"):
        xr.explain_rows(game, budget="exact")


def test_a_rows_game_is_not_a_game_of_one_input() -> None:
    with pytest.raises(SpecError, match="explain_rows"):
        xr.explain(tabular(), budget=40)
    with pytest.raises(SpecError, match="pairs"):
        xr.explain_rows(tabular(), budget=60, asks=[xr.Ask(xr.Question("SII", 2, pairs=((0, 1),)))])


def test_a_number_that_the_model_cannot_hold_stays_out_where_it_is_absent() -> None:
    rows, model = table(3, 6), Net(6, 2)
    rows[1, 2] = 1e300  # infinite in single precision
    game = xr.RowsGame(model, rows, players=xr.Columns(), removal=xr.Zeros(), behaviour=xr.Raw())
    coalitions = np.ones((4, 6), dtype=np.bool_)
    coalitions[:, 2] = False
    found = game.row_values(np.array([1, 1, 0, 2]), coalitions, np.full(4, -1))
    assert np.isfinite(found).all()


class Reusing(torch.nn.Module):
    """Writes its answer into the same place at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.place = Net(6, 2), torch.empty(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.place[: len(x)] = self.inner(x)
        return self.place[: len(x)]


@pytest.mark.parametrize("order", ["mean_then_behaviour", "behaviour_then_mean"])
def test_passes_that_are_read_together_are_their_own(monkeypatch: pytest.MonkeyPatch, order) -> None:
    given: dict[str, Any] = {"players": xr.Columns(), "removal": xr.Marginal(table(3, 6, 3)), "order": order}
    want = xr.RowsGame(Net(6, 2), table(5, 6), batch=300, behaviour=xr.LogOdds(), **given)
    game = xr.RowsGame(Reusing(), table(5, 6), batch=8, behaviour=xr.LogOdds(), **given)
    at = pairs(game, 41)
    np.testing.assert_allclose(game.row_values(*at), want.row_values(*at), atol=1e-5)
    monkeypatch.setattr(together, "_TOGETHER", 30)
    np.testing.assert_allclose(game.row_values(*at), want.row_values(*at), atol=1e-5)


def test_classes_are_told_once_a_row() -> None:
    asked: list[int] = []

    def model(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return np.stack([rows[:, 0], rows[:, 1]], axis=1)

    game = xr.RowsGame(model, table(20, 6), players=xr.Columns(), removal=xr.Zeros(), behaviour=xr.LogOdds(), batch=16)
    asked.clear()
    first = game.row_targets(np.arange(20))
    assert asked == [16, 16]
    np.testing.assert_array_equal(game.row_targets(np.arange(20)[::-1]), first[::-1])
    assert asked == [16, 16]


def test_a_rows_class_does_not_hang_on_the_rows_asked_beside_it() -> None:
    """A model whose tie is decided by the place in the batch, as the last bits of a product may be."""

    def model(x: np.ndarray) -> np.ndarray:
        tilt = np.where(np.arange(len(x)) % 2, 1e-12, -1e-12)
        return np.stack([tilt, np.zeros(len(x))], axis=1)

    def classes(*groups: list[int]) -> list[int]:
        game = xr.RowsGame(
            model, table(21, 6), players=xr.Columns(), removal=xr.Zeros(), behaviour=xr.Logit("predicted"), batch=8
        )
        return [int(c) for rows in groups for c in game.row_targets(np.array(rows, dtype=np.int64))[:, 0]]

    together = classes(list(range(21)))
    assert classes(*[[row] for row in range(21)]) == together
    assert classes(list(range(7, 21)), list(range(7))) == together[7:] + together[:7]
