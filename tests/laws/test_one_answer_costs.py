"""What a run of one row and two hundred evaluations asks for: passes, model rows, draws; and that what replaced loops says the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import xai_ray as xr
from tests.games import smooth_table
from xai_ray.coalitions import Strata, strata
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.coalitions.shuffle import shuffled
from xai_ray.coalitions.strata import uniform_law
from xai_ray.estimators import gp_paired, gp_reads
from xai_ray.estimators.gp_arrays import OnDevice
from xai_ray.estimators.gp_kernel import Hyper
from xai_ray.estimators.keep_rates import mixture
from xai_ray.indices import Question, readouts, resolve

PLAYERS, FILLINGS = 12, 10


def rows_game(called: list[int], batch: int | None) -> xr.RowsGame:
    rng = np.random.default_rng(0)

    def model(x: np.ndarray) -> np.ndarray:
        called.append(len(x))
        return np.tanh(x[:, :1] * x[:, 1:2] + x[:, 2:].sum(axis=1, keepdims=True))

    given: dict[str, Any] = {"players": xr.Columns(), "behaviour": xr.Raw(), "batch": batch}
    background = rng.normal(size=(FILLINGS, PLAYERS))
    return xr.RowsGame(model, rng.normal(size=(4, PLAYERS)), removal=xr.Marginal(background), **given)


@pytest.mark.parametrize(("batch", "passes"), [(None, [2000]), (1300, [1000, 1000]), (700, [670, 670, 670])])
def test_model_calls_of_two_hundred_evaluations_of_a_row(batch: int | None, passes: list[int]) -> None:
    called: list[int] = []
    game = rows_game(called, batch)
    assert called == [2]
    called.clear()
    xr.explain_rows(xr.RowsGame(**_first_row(game, batch)), budget=200, estimator="leverage")
    assert called == [2, *passes]


def _first_row(game: xr.RowsGame, batch: int | None) -> dict[str, Any]:
    given: dict[str, Any] = {
        "model": game._model,
        "rows": game.rows[:1],
        "players": xr.Columns(),
        "behaviour": xr.Raw(),
    }
    return given | {"removal": game._removal, "batch": batch}


def test_passes_that_are_cut_evenly_hold_the_same_values() -> None:
    rng = np.random.default_rng(1)
    rows, coalitions = rng.integers(4, size=203), rng.random((203, PLAYERS)) < 0.5
    context = np.zeros(203, dtype=np.int64)
    found = [rows_game([], batch).row_values(rows, coalitions, context) for batch in (1, 10, 64, 1300, None)]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("explain", ["one input", "rows"])
def test_a_run_draws_its_design_once_and_the_next_one_not_at_all(explain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []
    made: Callable[..., Any] = Strata._drawn

    def counting(self: Strata, start: int, stop: int) -> Any:
        drawn.append((start, stop))
        return made(self, start, stop)

    monkeypatch.setattr(Strata, "_drawn", counting)
    strata._piece.cache_clear()
    table = xr.TableGame(smooth_table(PLAYERS, outputs=1, seed=0))
    answers = [
        xr.explain(table, budget=200, seed=7).values
        if explain == "one input"
        else xr.explain_rows(rows_game([], None), budget=200, seed=7).values
        for _ in range(2)
    ]
    assert drawn == [(0, 128)]
    np.testing.assert_array_equal(answers[0], answers[1])


@pytest.mark.parametrize("size", [1, 64, 65, 1000, 65_536])
def test_the_first_of_a_shuffle_are_those_of_the_whole(size: int) -> None:
    words = random_words(3, Stream.RANKS, 9, np.arange(size), 1)[:, 0]
    whole = np.argsort(words, kind="stable")
    for count in {1, min(size, 64), min(size, 65), size // 3 + 1, size}:
        np.testing.assert_array_equal(shuffled(3, 9, size, np.arange(count)), whole[:count])


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_likelihood_is_the_same_in_numpy_and_in_torch(outputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    coalitions = Strata(9, 3, uniform_law(9)).draw(0, 60).coalitions
    members = torch.from_numpy(coalitions.astype(float))
    data = torch.from_numpy(np.random.default_rng(0).normal(size=(120, outputs)))
    at = Hyper(torch.linspace(0.05, 0.4, 9, dtype=torch.float64), 0.7, 1e-3, 1.5)
    one = gp_paired.Pairs(members, data).density(at)
    monkeypatch.setattr(gp_paired, "arrays_on", OnDevice)
    other = gp_paired.Pairs(members, data).density(at)
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(other.value, rel=1e-12)
    np.testing.assert_allclose(one.theta, other.theta, atol=1e-9)
    assert (one.linear, one.nugget, one.tilt) == pytest.approx((other.linear, other.nugget, other.tilt), abs=1e-9)


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("index", ["SV", "BV", "k-SII", "FSII"])
def test_covariances_of_single_players_are_sums_over_nodes(index: str, alike: bool) -> None:
    """Node by node and entry by entry, as sets of two players are read, against the products of matrices."""
    rng, n = np.random.default_rng(5), 8
    theta = np.full(n, 0.2) if alike else np.exp(rng.normal(size=n) - 1.5)
    hyper = Hyper(torch.from_numpy(theta), 0.7, 1e-2, 0.9)
    members = torch.from_numpy((rng.random((40, n)) < 0.5).astype(float))
    readout = next(r for r in readouts(resolve(Question(index), n), n) if r.size == 1)
    sets, nodes = torch.arange(n)[:, None], mixture(readout)
    real = gp_reads.is_real(nodes)
    present, absent = gp_reads.factors(hyper, members)
    each = [gp_reads._node(nodes, j, absent, present, readout, sets, real) for j in range(len(nodes.absent))]
    weighed = np.einsum("jr,jpf->frp", nodes.weights, torch.stack(each).numpy()).real
    lean = hyper.linear * gp_reads._linear(members, readout, sets)
    expected = torch.from_numpy(weighed) * hyper.weight(members) + lean
    found = gp_reads.cross(hyper, members, readout, nodes, sets)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=1e-11 * float(expected.abs().max()))
