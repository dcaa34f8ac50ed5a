"""Shapley effects against closed forms: additive models, linear models of normal inputs, the Ishigami function; draws are unbiased."""

import numpy as np
import pytest
from scipy.stats import norm, uniform

import xai_ray as xr
from tests.overall.answering import shapley_estimate
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.errors import InputError, NonFiniteValue, SpecError
from xai_ray.games import ColumnGroups, VarianceGame
from xai_ray.testing.games import check_game

A, B = 7.0, 0.1
FIRST, SECOND = (1 + B * np.pi**4 / 5) ** 2 / 2, A**2 / 8
BOTH = B**2 * np.pi**8 * (1 / 18 - 1 / 50)
"""Ishigami: variance of x0 alone, of x1 alone, of x0 with x2."""


def ishigami(x):
    return np.sin(x[:, 0]) + A * np.sin(x[:, 1]) ** 2 + B * x[:, 2] ** 4 * np.sin(x[:, 0])


LAWS = [uniform(-np.pi, 2 * np.pi)] * 3
EVERY = unpack(np.arange(8), 3)
TABLE = np.array([0, FIRST, SECOND, FIRST + SECOND, 0, FIRST + BOTH, SECOND, FIRST + SECOND + BOTH])


def test_ishigami_from_sobol_pairs():
    game = VarianceGame(ishigami, LAWS)
    check_game(game, rows=6)
    total = TABLE[-1]
    np.testing.assert_allclose(game.values(EVERY, np.zeros(8, dtype=np.int64))[:, 0], TABLE, atol=0.02 * total)
    found = xr.explain(game, budget="exact")
    np.testing.assert_allclose(found.values, [FIRST + BOTH / 2, SECOND, BOTH / 2], atol=0.02 * total)


def test_draws_are_unbiased_and_errors_cover():
    game = VarianceGame(ishigami, LAWS, samples=1)
    check_game(game, rows=6)
    contexts = 20_000
    drawn = game.values(np.repeat(EVERY, contexts, axis=0), np.tile(np.arange(contexts), 8)).reshape(8, contexts)
    z = (drawn.mean(axis=1) - TABLE) / np.maximum(drawn.std(axis=1, ddof=1) / np.sqrt(contexts), 1e-12)
    assert np.abs(z).max() < 4.5
    assert not drawn[0].any()
    want = np.array([FIRST + BOTH / 2, SECOND, BOTH / 2])
    covered = []
    for seed in range(60):
        game = VarianceGame(ishigami, LAWS, samples=4, seed=seed)
        low, high = shapley_estimate(game, "permutation", 602, seed).intervals()
        covered.append((low[:, 0] <= want) & (want <= high[:, 0]))
    assert 0.91 <= np.mean(covered) <= 0.99  # 180 intervals


def test_additive_and_linear_models():
    """Additive: the effect of a player is its own variance. Rows: each column by itself, so dependence between them plays no part."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(60, 1))
    rows = base + 0.5 * rng.normal(size=(60, 3))
    slopes = np.array([1.0, -2.0, 0.5])
    game = VarianceGame(lambda x: np.stack([x @ slopes, (x**2).sum(axis=1)], axis=1), rows)
    found = xr.explain(game, budget="exact").values
    want = np.stack([slopes**2 * rows.var(axis=0), (rows**2).var(axis=0)], axis=1)
    np.testing.assert_allclose(found, want, atol=0.03 * want.sum(axis=0).max())
    normal = VarianceGame(lambda x: x @ slopes, [norm(0, 1), norm(2, 0.5), norm(-1, 3)])
    np.testing.assert_allclose(xr.explain(normal, budget="exact").values, [1.0, 1.0, 2.25], atol=0.05)
    groups = VarianceGame(lambda x: x[:, 0] + x[:, 1], rows, players=ColumnGroups({"a": [0, 1], "b": [2]}))
    joint = (rows[:, 0] + rows[:, 1]).var()
    np.testing.assert_allclose(xr.explain(groups, budget="exact").values, [joint, 0.0], atol=0.02 * joint)


def test_bad_inputs():
    rows = np.random.default_rng(0).normal(size=(5, 2))
    for error, match, arguments in (
        (InputError, "row 1, place 0", {"inputs": np.where(np.arange(10).reshape(5, 2) == 2, np.nan, rows)}),
        (InputError, "one distribution", {"inputs": np.zeros((3, 2, 2))}),
        (InputError, "number 1 .3. is no distribution", {"inputs": [norm(), 3]}),
        (SpecError, "samples must be", {"inputs": rows, "samples": 0}),
        (SpecError, "one a column", {"inputs": [norm(), norm()], "players": ColumnGroups({"a": [0, 1]})}),
    ):
        with pytest.raises(error, match=match):
            VarianceGame(lambda x: x[:, 0], **arguments)
    with pytest.raises(NonFiniteValue, match="not finite"):
        VarianceGame(lambda x: np.full(len(x), np.inf), rows)
