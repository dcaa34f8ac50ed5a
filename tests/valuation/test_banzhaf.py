"""Data Banzhaf in one pass against enumeration, its standard errors over seeds, and refusals."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import xai_ray as xr
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.valuation import TrainingGame, banzhaf
from xai_ray.valuation.banzhaf import banzhaf_values

N = 8
R = np.random.default_rng(4)
X, TEST = R.normal(size=(N, 2)), R.normal(size=(30, 2))
Y = np.array([0, 1, 0, 1, 1, 0, 1, 0])
GAME = TrainingGame(
    LogisticRegression(), X, Y, TEST, (TEST[:, 0] > 0).astype(int), scores=("accuracy", "balanced_accuracy")
)


def enumerated(p: float) -> np.ndarray:
    rows = (np.arange(1 << N)[:, None] >> np.arange(N)) & 1 == 1
    v = GAME.values(rows, np.zeros(1 << N, dtype=np.int64))
    chance = np.prod(np.where(rows, p, 1 - p), axis=1)
    inside = [(v[rows[:, i]] * chance[rows[:, i], None]).sum(axis=0) / p for i in range(N)]
    outside = [(v[~rows[:, i]] * chance[~rows[:, i], None]).sum(axis=0) / (1 - p) for i in range(N)]
    return np.array(inside) - np.array(outside)


def table() -> xr.TableGame:
    """A large constant beside small differences."""
    return xr.TableGame(1e6 + np.random.default_rng(0).normal(size=1 << N))


def test_the_reference_of_these_tests_is_the_exact_index() -> None:
    np.testing.assert_allclose(enumerated(0.5), xr.explain(GAME, "BV", budget="exact", seed=0).values, atol=1e-9)
    exact = xr.explain(GAME, "WBV", p=0.3, budget="exact", seed=0).values
    np.testing.assert_allclose(enumerated(0.3), exact, atol=1e-9)


@pytest.mark.parametrize("p", [0.5, 0.3])
def test_meets_enumeration_within_its_errors(p: float) -> None:
    found = banzhaf_values(GAME, evaluations=6000, p=p, seed=1)
    assert found.values.shape == (N, 2)
    assert (np.abs(found.values - enumerated(p)) <= 4.5 * found.std_errors).all()
    assert found.std_errors.max() < 0.01
    assert np.abs(found.facts["counts"] / 6000 - p).max() < 5 * np.sqrt(p * (1 - p) / 6000)


def test_standard_errors_are_those_of_repeated_runs() -> None:
    game = table()
    truth = xr.explain(game, "BV", budget="exact", seed=0).values
    runs = [banzhaf_values(game, evaluations=200, seed=seed) for seed in range(300)]
    z = np.array([(run.values[:, 0] - truth) / run.std_errors[:, 0] for run in runs])
    assert 0.92 < (np.abs(z) < 1.96).mean() < 0.975
    assert abs(z.mean()) < 0.1


def test_blocks_do_not_matter(monkeypatch) -> None:
    whole = banzhaf_values(table(), evaluations=300, seed=2)
    monkeypatch.setattr(banzhaf, "_ENTRIES", 7 * N)
    parts = banzhaf_values(table(), evaluations=300, seed=2)
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-8)
    np.testing.assert_allclose(parts.std_errors, whole.std_errors, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"evaluations": 3}, SpecError, "evaluations is a whole number, at least 4"),
        ({"p": 1.0}, SpecError, "between 0 and 1"),
        ({"seed": -1}, SpecError, "seed is a whole number"),
        ({"evaluations": 4}, NotEnoughSamples, "hold, or lack, player"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(changes: dict, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        banzhaf_values(GAME, **({"evaluations": 100} | changes))
