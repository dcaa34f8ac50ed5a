"""A background in parts: the same game, answered from more coalitions for the same model rows."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import xai_ray as xr
from tests.forward import networks
from tests.rows.models import Net, table, tabular
from xai_ray.errors import InputError, SpecError, XaiRayError

BACKGROUND = table(12, 6, 9)


def game(parts: int = 1, rows: int = 7, **more: object) -> xr.RowsGame:
    settings = {"removal": xr.Marginal(BACKGROUND), "background_parts": parts} | more
    return tabular(rows, 6, **settings)


@pytest.mark.parametrize("parts", [1, 2, 6, 12])
@pytest.mark.parametrize("fold", [False, True])
def test_all_coalitions_of_all_parts_give_the_values_of_the_whole_background(parts: int, fold: bool) -> None:
    def explained(parts: int, fold: bool) -> xr.RowsResult:
        made = xr.RowsGame(
            networks.standardised(9),
            table(5, 9),
            players=xr.Columns(),
            removal=xr.Marginal(table(12, 9, 4)),
            behaviour=xr.Raw([0, 2]),
            background_parts=parts,
            numerics=xr.Numerics(fold=fold),
            batch=64,
        )
        return xr.explain_rows(made, budget="exact", asks=[xr.Ask(xr.Question("SV"), "exact")])

    whole, found = explained(1, False), explained(parts, fold)
    np.testing.assert_allclose(found.values, whole.values, atol=2e-5)
    np.testing.assert_allclose(found.base_values, whole.base_values, atol=2e-5)
    np.testing.assert_allclose(found.full_values, whole.full_values, atol=2e-5)
    assert found.row_evaluations.tolist() == whole.row_evaluations.tolist() == [2**9] * 5


def test_the_answer_is_the_mean_of_those_of_the_parts() -> None:
    """Each part is a dataset of its own whose rows have the relabellings of that part."""
    found = xr.explain_rows(game(3), budget=40, seed=5)
    design = found.pool.design
    assert design.parts == 3
    block = next(iter(found.blocks()))
    for row in range(7):
        lines = block.values[row].reshape(3, -1, 1)
        assert lines.shape == (3, 40, 1)
        for part in range(3):
            single = game(1, removal=xr.Marginal(BACKGROUND[part::3]))
            sigma = design.relabellings(np.array([row]))[part]
            drawn = design.each.draw(0, int(block.draws[row])).coalitions
            coalitions = np.empty_like(drawn)
            coalitions[:, sigma] = drawn
            expected = single.row_values(np.full(len(drawn), row), coalitions, np.full(len(drawn), -1))
            np.testing.assert_allclose(lines[part], expected, atol=1e-12)


def test_values_add_up_and_ends_are_those_of_the_whole_background() -> None:
    found, whole = xr.explain_rows(game(4), budget=40), xr.explain_rows(game(), budget=40)
    np.testing.assert_allclose(found.base_values, whole.base_values, atol=1e-12)
    np.testing.assert_allclose(found.full_values, whole.full_values, atol=1e-12)
    np.testing.assert_allclose(found.values.sum(axis=1), found.full_values - found.base_values, atol=1e-10)
    assert found.evaluations == whole.evaluations == 7 * 40


def test_parts_take_less_error_from_as_many_model_rows_and_their_intervals_cover() -> None:
    columns, rows = 12, 60
    settings = {"removal": xr.Marginal(table(40, columns, 9))}
    truth = xr.explain_rows(tabular(rows, columns, **settings), budget="exact").values
    errors, covered = {}, {}
    for parts in (1, 10):
        drawn = [
            xr.explain_rows(tabular(rows, columns, background_parts=parts, **settings), budget=80, seed=seed)
            for seed in range(4)
        ]
        missed = [d.values - truth for d in drawn]
        errors[parts] = float(np.sqrt(np.mean(np.square(missed))))
        within = [abs(m) < 1.96 * d.std_errors for m, d in zip(missed, drawn, strict=True)]
        covered[parts] = float(np.mean(within))
    assert errors[10] < 0.7 * errors[1]
    assert covered[10] > 0.92


def test_stored_values_of_parts_answer_another_question(tmp_path) -> None:
    store = str(tmp_path / "store")
    found = xr.explain_rows(game(3), budget=60, store=store, unit_rows=2, name="parts")
    opened = xr.open_rows(found.job, store)
    np.testing.assert_array_equal(opened.values, found.values)
    np.testing.assert_array_equal(opened.std_errors, found.std_errors)
    exact = xr.explain_rows(game(3), "SII", order=2, budget="exact")
    pairs = opened.ask("SII")
    assert pairs.values.shape == exact.values.shape
    assert np.abs(pairs.values - exact.values).max() < 6 * pairs.std_errors.max()


def test_rows_stop_when_the_mean_over_parts_is_precise() -> None:
    loose = xr.explain_rows(game(3), budget=60, std_error=10.0)
    assert loose.row_evaluations.max() < 60
    never = xr.explain_rows(game(3), budget=60, std_error=1e-9)
    assert set(never.row_evaluations.tolist()) == {60}


def test_parts_are_part_of_a_jobs_identity() -> None:
    assert game(1).digest == tabular(7, 6, removal=xr.Marginal(BACKGROUND)).digest
    assert len({game(parts).digest for parts in (1, 2, 3)}) == 3


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        (
            {"parts": 5},
            InputError,
            "5 does not divide the 12 rows of the background; take a number that does (2, 3, 4, 6, 12)",
        ),
        ({"parts": 0}, SpecError, "background_parts = 0: at least 1"),
        ({"parts": -2}, SpecError, "background_parts = -2: at least 1"),
        ({"parts": 2.5}, SpecError, "background_parts = 2.5: a whole number"),
        ({"parts": 1.0}, SpecError, "background_parts = 1.0: a whole number"),
        ({"parts": True}, SpecError, "background_parts = True: a whole number"),
        ({"parts": "2"}, SpecError, "background_parts = '2': a whole number"),
        ({"parts": None}, SpecError, "background_parts = None: a whole number"),
        ({"parts": [2]}, SpecError, "background_parts = [2]: a whole number"),
        ({"parts": 2, "removal": xr.Zeros()}, SpecError, "not the removal Zeros"),
        ({"parts": 2, "removal": xr.Marginal(BACKGROUND, samples=3)}, SpecError, "Marginal with samples"),
    ],
)
def test_backgrounds_without_such_parts_are_refused(more, error: type[XaiRayError], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        game(more.pop("parts"), **more)


def test_a_number_of_numpy_is_a_whole_number() -> None:
    found = game(np.int64(3))  # pyright: ignore[reportArgumentType]
    assert type(found.parts) is int
    assert found.digest == game(3).digest


@pytest.mark.parametrize("part", [-1, 3, 12])
def test_a_context_is_the_number_of_a_part_that_is_there(part: int) -> None:
    context, coalitions = np.array([0, 2, part, 1]), np.ones((4, 6), dtype=bool)
    with pytest.raises(SpecError, match=f"context {part} of pair 2: the background is in 3 parts"):
        game(3).row_values(np.arange(4), coalitions, context)
    assert game(1).row_values(np.arange(4), coalitions, context).shape == (4, 1)


def test_a_behaviour_of_the_mean_is_no_mean_of_parts() -> None:
    def made(order: str) -> xr.RowsGame:
        return xr.RowsGame(
            Net(6, 3).double(),
            torch.from_numpy(table(4, 6)),
            players=xr.Columns(),
            removal=xr.Marginal(BACKGROUND),
            behaviour=xr.LogOdds(1),
            order=order,  # pyright: ignore[reportArgumentType]
            background_parts=3,
        )

    with pytest.raises(SpecError, match="LogOdds of the mean over the background is not the mean of its parts"):
        made("mean_then_behaviour")
    assert made("behaviour_then_mean").parts == 3
