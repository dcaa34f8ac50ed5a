"""Distributional Shapley values against enumeration of all data sets of a tiny pool."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

import xai_ray as xr
from xai_ray.errors import InputError, NotEnoughSamples, SpecError
from xai_ray.valuation import TrainingGame
from xai_ray.valuation.distributional import distributional_shapley
from xai_ray.valuation.refit import RefitEngine

N = 7
R = np.random.default_rng(3)
X, TEST = R.normal(size=(N, 2)), R.normal(size=(20, 2))
Y = np.array([0, 1, 0, 1, 1, 0, 1])
TEST_Y = (TEST[:, 0] > 0).astype(int)


def game_of(estimator=None, **settings) -> TrainingGame:
    scores = settings.pop("scores", ("accuracy", "roc_auc"))
    return TrainingGame(estimator or LogisticRegression(), X, Y, TEST, TEST_Y, scores=scores, **settings)


def enumerated(game: TrainingGame, cardinality: int, pool) -> np.ndarray:
    """The definition: a mean over sizes of means over all sets of that size without z."""
    out = np.zeros((game.n_players, game.n_outputs))

    def v(members) -> np.ndarray:
        row = np.zeros((1, game.n_players), dtype=bool)
        row[0, list(members)] = True
        return game.values(np.repeat(row, game.block, axis=0), np.zeros(game.block, dtype=np.int64))[0]

    for z in range(game.n_players):
        rest = [i for i in pool if i != z]
        for size in range(cardinality):
            sets = list(combinations(rest, size))
            out[z] += sum(v((*S, z)) - v(S) for S in sets) / len(sets) / cardinality
    return out


@pytest.mark.parametrize("cardinality", [1, 3, N])
def test_equals_enumeration_within_its_errors(cardinality: int) -> None:
    game = game_of()
    truth = enumerated(game, cardinality, range(N))
    found = distributional_shapley(game, cardinality=cardinality, draws=1500, seed=2)
    assert found.values.shape == (N, 2)
    gap = np.abs(found.values - truth)
    assert (gap <= 4.5 * found.std_errors + 1e-9).all()
    assert found.facts["counts"].sum() == 1500 * cardinality
    assert found.facts["evaluations"] == 1500 * cardinality
    if cardinality > 1:
        assert np.corrcoef(found.values[:, 0], truth[:, 0])[0, 1] > 0.95
    else:
        # One player's contribution to the empty set never varies.
        np.testing.assert_allclose(found.values, truth, atol=1e-12)
        np.testing.assert_allclose(found.std_errors, 0, atol=1e-9)


def test_at_full_cardinality_it_is_the_shapley_value() -> None:
    exact = xr.explain(game_of(), "SV", budget="exact", seed=0).values
    np.testing.assert_allclose(enumerated(game_of(), N, range(N)), exact, atol=1e-9)
    found = distributional_shapley(game_of(), cardinality=N, draws=1500, seed=4)
    assert (np.abs(found.values - exact) <= 4.5 * found.std_errors).all()


def test_points_outside_the_pool_are_valued_against_it() -> None:
    game = game_of()
    inside = np.array([True] * 5 + [False] * 2)
    truth = enumerated(game, 4, range(5))
    found = distributional_shapley(game, cardinality=4, draws=1200, pool=inside, seed=1)
    assert (np.abs(found.values - truth) <= 4.5 * found.std_errors + 1e-9).all()
    assert (found.facts["counts"][5:] == 1200).all()
    assert found.facts["evaluations"] == 1200 * 6
    assert found.std_errors[5:].min() > 0


def test_evaluations_are_the_models_that_were_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, plain = [], RefitEngine._fit

    def counted(self, members, targets):
        trained.append(len(members))
        return plain(self, members, targets)

    monkeypatch.setattr(RefitEngine, "_fit", counted)
    numbers = (X, X[:, 0] + 0.1 * Y, TEST, TEST[:, 0])
    game = TrainingGame(Ridge(random_state=0), *numbers, scores=("neg_mean_squared_error",), refit=True)
    inside = np.array([True] * 5 + [False] * 2)
    found = distributional_shapley(game, cardinality=4, draws=30, pool=inside, seed=1)
    assert found.facts["evaluations"] == len(trained) == 30 * (4 + 2)


ESTIMATORS = {
    "logistic": (LogisticRegression(), "accuracy"),
    "ridge": (RidgeClassifier(), "accuracy"),
    "balanced ridge": (RidgeClassifier(class_weight="balanced"), "accuracy"),
    "regression": (Ridge(), "r2"),
    "neighbours": (KNeighborsClassifier(2), "accuracy"),
    "tree": (DecisionTreeClassifier(random_state=0), "accuracy"),
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("groups", [None, [0, 1, 2, 3, 1, 2, 4]], ids=["points", "groups"])
def test_short_orders_are_the_beginning_of_whole_ones(name: str, groups) -> None:
    estimator, score = ESTIMATORS[name]
    game = game_of(estimator, scores=(score,), groups=groups)
    orders = np.stack([np.random.default_rng(s).permutation(game.n_players) for s in range(4)])
    context = np.zeros(4, dtype=np.int64)
    whole = game.chain_values(orders, context)
    for length in range(1, game.n_players + 1):
        short = game.chain_values(orders[:, :length], context)
        np.testing.assert_allclose(short, whole[:, : length + 1], rtol=0, atol=1e-9)


def test_draws_are_functions_of_the_seed() -> None:
    settings = {"cardinality": 3, "draws": 40}
    one, two = (distributional_shapley(game_of(), **settings, seed=5) for _ in range(2))
    assert np.array_equal(one.values, two.values)
    assert not np.array_equal(one.values, distributional_shapley(game_of(), **settings, seed=6).values)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"cardinality": 0}, SpecError, "cardinality is a whole number"),
        ({"cardinality": N + 1}, SpecError, "above the 7 players of the pool"),
        ({"draws": 1}, SpecError, "draws is a whole number, at least 2"),
        ({"pool": [True] * 3}, InputError, "True or False for each of the 7 players"),
        ({"pool": [1] * N}, InputError, "True or False"),
        ({"cardinality": 1, "draws": 4}, NotEnoughSamples, "of 4 draws .* about 140 draws"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(changes: dict, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        distributional_shapley(game_of(), **({"cardinality": 3, "draws": 20} | changes))
