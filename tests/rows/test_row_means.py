"""Standard errors of means over rows hold, where rows share a design that leaves the same out of each of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import xai_ray as xr
from xai_ray.estimators.row_pool import RowSums
from xai_ray.types import Floats


def game(n: int, rows: int, apart: float, parts: int = 1) -> xr.RowsGame:
    """Interactions of three players; rows that lie `apart`."""
    rng = np.random.default_rng(0)
    weights, background = rng.normal(size=n), rng.normal(size=(12, n))

    def model(x: Floats) -> Floats:
        return np.tanh(2 * x @ weights) + 4 * x.mean(axis=1) ** 3 + 2 * x[:, 0] * x[:, 1] * x[:, 2]

    own = rng.normal(size=n) + 1.0 + apart * rng.normal(size=(rows, n))
    removal = xr.Marginal(background)
    return xr.RowsGame(model, own, players=xr.Columns(), removal=removal, behaviour=xr.Raw(), background_parts=parts)


def errors(
    n: int, budget: int, rows: int, apart: float, seeds: int, **settings: object
) -> tuple[Floats, Floats, Floats]:
    """Over seeds and sets: the error of a mean over rows, its standard error, and the error of the mean of the rows' values."""
    parts = int(str(settings.pop("parts", 1)))
    index = {"index": str(settings.pop("index", "SV")), "order": settings.pop("order", None)}
    truth = xr.explain_rows(game(n, rows, apart), budget="exact", **index).values.mean(axis=0)  # pyright: ignore[reportArgumentType]
    rows_of = game(n, rows, apart, parts)
    found = [xr.explain_rows(rows_of, budget=budget, seed=seed, **index, **settings) for seed in range(seeds)]  # pyright: ignore[reportArgumentType]
    off = np.array([one.means[0].values[:, 0] for one in found]) - truth
    wide = np.array([one.means[0].std_errors[:, 0] for one in found])
    return off, wide, np.array([one.values.mean(axis=0) for one in found]) - truth


CASES = {
    "gp_shared, 6": (6, 30, {}),
    "gp_shared, 10": (10, 64, {}),
    "leverage, 6": (6, 30, {"estimator": "leverage"}),
    "leverage, 10": (10, 64, {"estimator": "leverage"}),
    "pairs": (6, 30, {"index": "SII", "order": 2}),
    "gp_shared in parts": (6, 30, {"estimator": "gp_shared", "parts": 4}),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_that_are_alike_do_not_err_alike(case: str) -> None:
    """What the rows' values have in common of error is several times what their standard errors leave to their mean."""
    n, budget, settings = CASES[case]
    off, wide, plain = errors(n, budget, 400, 0.01, 8, **settings)
    z = np.sqrt((off**2 / wide**2).mean())
    assert 0.6 < z < 1.35
    assert (np.abs(off) < 1.96 * wide).mean() > 0.9
    assert np.sqrt((plain**2 / wide**2).mean()) > 1.7 * z


@pytest.mark.parametrize(("n", "budget"), [(6, 30), (6, 50), (12, 84), (12, 200)])
def test_intervals_of_means_cover(n: int, budget: int) -> None:
    """Of rows that differ, and of players that are rougher than the one length scale says. Before, 81 to 92 % did."""
    off, wide, _ = errors(n, budget, 100, 1.0, 16)
    assert 0.92 <= (np.abs(off) < 1.96 * wide).mean() <= 0.99
    assert 0.75 < np.sqrt((off**2 / wide**2).mean()) < 1.12


def test_a_mean_over_rows_stays_efficient() -> None:
    found = xr.explain_rows(game(6, 20, 1.0), budget=30)
    total = (found.full_values - found.base_values).mean()
    assert found.means[0].values.sum() == pytest.approx(total, abs=1e-9)


def test_a_question_put_later_has_the_same_means() -> None:
    asks = [xr.Ask(xr.Question("SV"), "gp_shared")]
    found = xr.explain_rows(game(6, 20, 1.0), budget=30, asks=asks, unit_rows=7)
    again = found.ask("SV", estimator="gp_shared")
    assert (again.means[0].values == found.means[0].values).all()
    assert (again.means[0].std_errors == found.means[0].std_errors).all()


def test_errors_that_may_be_common_do_not_average_out() -> None:
    found = xr.explain_rows(game(6, 20, 1.0), "FSII", order=2, estimator="faith", budget=58, unit_rows=7)
    expected = np.sqrt((found.std_errors**2).mean(axis=0))
    np.testing.assert_allclose(found.means[0].std_errors[:, 0], expected, rtol=1e-12)
    scatter = found.values.var(axis=0, ddof=1) / 20
    np.testing.assert_allclose(found.global_values().mean_std_errors, np.sqrt(scatter + expected**2), rtol=1e-9)


def test_the_set_of_no_players_is_a_set_like_others() -> None:
    """Its Fourier coefficient is the mean of v, which a process shrinks in all rows alike."""
    exactly = xr.explain_rows(game(6, 3, 1.0), "Fourier", order=2, budget="exact")
    assert exactly.sets(0)[0] == ()
    off, wide, _ = errors(6, 30, 400, 0.01, 6, index="Fourier", order=2)
    assert np.sqrt((off[:, 0] ** 2 / wide[:, 0] ** 2).mean()) < 1.35


def test_common_errors_of_the_rows_that_are_there() -> None:
    """A job that ended early has the root mean square of its own rows' errors, whatever it was to have."""
    found = xr.explain_rows(game(6, 20, 1.0), "FSII", order=2, estimator="faith", budget=58, unit_rows=7)
    sums = RowSums(found.pool.design)
    sums.add(next(iter(found.pool.blocks())))
    part = replace(found.pool, sums=sums).answer(found.asks[0].question, "faith")
    expected = np.sqrt((found.std_errors[:7] ** 2).mean(axis=0))
    np.testing.assert_allclose(part.std_errors[:, 0], expected, rtol=1e-12)
