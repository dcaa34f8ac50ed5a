"""Truncated permutations against a plain loop, their accounts, and the unbiased form against exact values."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from xai_ray.errors import SpecError
from xai_ray.games.table import TableGame
from xai_ray.indices.exact import exact
from xai_ray.indices.question import Question
from xai_ray.valuation import TrainingGame
from xai_ray.valuation.draws import Purpose, orders, uniforms
from xai_ray.valuation.truncated import truncated_shapley

R = np.random.default_rng(5)
N = 7


def table(k: int = 1) -> np.ndarray:
    """Concave in the size, with noise: most of the value is reached early."""
    sizes = np.array([bin(s).count("1") for s in range(2**N)])
    base = 1 - 0.4 ** sizes.astype(float)
    return base[:, None] + 0.02 * R.normal(size=(2**N, k)) * (sizes[:, None] > 0)


def loop(values: np.ndarray, permutations: int, tolerance: float, patience: int, seed: int, go_on: float = 0.0):
    """Weighted marginals of each permutation (p, n, k) and where it stopped."""
    out, stops = np.zeros((permutations, N, values.shape[1])), []
    coins = uniforms(seed, Purpose.ROULETTE, np.arange(permutations), 1)[:, 0]
    for p, order in enumerate(orders(seed, Purpose.ORDERS, np.arange(permutations), N)):
        mask, calm, before, weight, asked = 0, 0, values[0], 1.0, False
        for t, player in enumerate(order):
            mask |= 1 << int(player)
            out[p, player] = weight * (values[mask] - before)
            before = values[mask]
            calm = calm + 1 if (np.abs(values[-1] - before) <= tolerance).all() else 0
            stop = t == N - 1
            if calm >= patience and not stop and not asked:
                asked, stop = True, coins[p] >= go_on
                weight = 1.0 if stop else 1.0 / go_on
            if stop:
                stops.append(t + 1)
                break
    return out, np.array(stops)


@pytest.mark.parametrize("patience", [1, 2])
@pytest.mark.parametrize("permutations", [10, 200])
@pytest.mark.parametrize("k", [1, 2])
def test_equals_a_loop(k: int, permutations: int, patience: int) -> None:
    values = table(k)
    found = truncated_shapley(TableGame(values), permutations=permutations, tolerance=0.05, patience=patience, seed=3)
    marginals, stops = loop(values, permutations, 0.05, patience, 3)
    np.testing.assert_allclose(found.values, marginals.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        found.std_errors, marginals.std(axis=0, ddof=1) / np.sqrt(permutations), rtol=1e-9, atol=1e-12
    )
    assert np.array_equal(found.facts["truncated_at"], stops)
    assert (stops < N).any()
    assert found.facts["evaluations"] == 2 + np.minimum(stops, N - 1).sum()
    np.testing.assert_allclose(found.values.sum(axis=0) + found.facts["skipped"], values[-1] - values[0], atol=1e-12)


def test_the_bias_stays_within_its_bound_for_a_monotone_game() -> None:
    weights = np.array([0.5, 0.25, 0.12, 0.06, 0.04, 0.02, 0.01])
    members = (np.arange(2**N)[:, None] >> np.arange(N)) & 1
    values = np.sqrt(members @ weights)[:, None]
    exact_values = exact(values, Question("SV")).values[:, 0]
    found = truncated_shapley(TableGame(values), permutations=4000, tolerance=0.1, patience=1)
    lack = exact_values - found.values[:, 0]
    assert lack.max() > 5 * found.std_errors.max()
    assert (lack <= found.facts["bias_bound"][:, 0] + 4 * found.std_errors[:, 0]).all()
    assert (lack >= -4 * found.std_errors[:, 0]).all()


@pytest.mark.parametrize("go_on", [0.3, 1.0])
def test_roulette_equals_a_loop_when_the_score_leaves_again(go_on: float) -> None:
    values = R.normal(size=(2**N, 1))
    found = truncated_shapley(TableGame(values), permutations=300, tolerance=0.8, patience=1, go_on=go_on, seed=8)
    marginals, stops = loop(values, 300, 0.8, 1, 8, go_on)
    np.testing.assert_allclose(found.values, marginals.mean(axis=0), rtol=0, atol=1e-11)
    assert np.array_equal(found.facts["truncated_at"], stops)
    assert found.facts["skipped"] == 0


@pytest.mark.parametrize("go_on", [0.2, 1.0])
def test_roulette_is_unbiased(go_on: float) -> None:
    values = table()
    exact_values = exact(values, Question("SV")).values[:, 0]
    settings = {"permutations": 6000, "tolerance": 0.2, "patience": 1}
    found = truncated_shapley(TableGame(values), go_on=go_on, **settings)
    gaps = (found.values[:, 0] - exact_values) / found.std_errors[:, 0]
    assert (np.abs(gaps) < 4).all()
    biased = truncated_shapley(TableGame(values), **settings)
    assert (np.abs(biased.values[:, 0] - exact_values) > 4 * biased.std_errors[:, 0]).any()
    assert found.facts["bias_bound"].max() == 0
    if go_on == 1.0:
        assert (found.facts["truncated_at"] == N).all()
        assert found.values.sum() == pytest.approx(values[-1, 0] - values[0, 0], abs=1e-12)


def test_training_games_save_fits() -> None:
    X, TEST = R.normal(size=(40, 2)), R.normal(size=(50, 2))
    y, y_test = (X[:, 0] > 0).astype(int), (TEST[:, 0] > 0).astype(int)
    game = TrainingGame(LogisticRegression(), X, y, TEST, y_test, scores=("accuracy",))
    found = truncated_shapley(game, permutations=70, tolerance=0.02)
    assert found.facts["evaluations"] < 0.9 * 70 * 40
    again = truncated_shapley(game, permutations=70, tolerance=0.02)
    assert np.array_equal(found.values, again.values)


def test_bad_settings_are_refused() -> None:
    game = TableGame(table())
    with pytest.raises(SpecError, match="tolerance is a number"):
        truncated_shapley(game, permutations=10, tolerance=-1.0)
    with pytest.raises(SpecError, match="go_on is a probability"):
        truncated_shapley(game, permutations=10, tolerance=0.1, go_on=1.5)
    with pytest.raises(SpecError, match="permutations is a whole number, at least 2"):
        truncated_shapley(game, permutations=1, tolerance=0.1)
