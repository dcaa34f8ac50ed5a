"""The tree surrogate: leaves are what LightGBM predicts, and every closed form is the index of the enumerated predictions."""

import lightgbm
import numpy as np
import pytest

from tests.games import smooth_table
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.estimators.boosted import BoostedTrees
from xai_ray.estimators.leaves import Leaves, joined, linear_leaves, size_leaves
from xai_ray.estimators.tree_reads import read
from xai_ray.estimators.trees import Growth, Trees, features, grow, leaves_of
from xai_ray.indices import Question, readouts, resolve
from xai_ray.testing.surrogates import check_surrogate

N = 8


def half(n, seed=0):
    rows = np.random.default_rng(seed).permutation(1 << n)[: 1 << (n - 1)]
    return unpack(np.sort(rows), n), np.sort(rows)


@pytest.mark.parametrize("by_size", [False, True])
@pytest.mark.parametrize("shape", [{"depth": 3, "leaves": 6}, {"depth": 8, "leaves": 40, "least": 1}])
def test_leaves_predict_what_lightgbm_predicts(by_size, shape):
    coalitions, rows = half(N)
    growth = Growth(trees=30, by_size=by_size, **shape)
    booster = grow(coalitions, smooth_table(N, seed=2)[rows, 0], growth)
    everything = unpack(np.arange(1 << N), N)
    expected = np.asarray(booster.predict(features(everything, by_size), num_threads=1))
    leaves = leaves_of(booster, N)
    np.testing.assert_allclose(leaves.predict(everything), expected, atol=1e-9)
    assert (leaves.players[:, 0] >= 0).all() or by_size
    assert bool((leaves.low > leaves.inside).any()) == by_size


def test_trees_as_they_were_grown_are_the_trees_that_lightgbm_writes_out():
    coalitions, rows = half(N)
    trees = Trees.grown(coalitions, smooth_table(N, seed=2)[rows, 0], Growth(trees=50))
    again = lightgbm.Booster(model_str=trees.booster.model_to_string())
    everything = unpack(np.arange(1 << N), N)
    expected = np.asarray(again.predict(features(everything, by_size=False), num_threads=1))
    assert trees.predict(everything).tobytes() == expected.tobytes()
    assert trees.leaves.value.tobytes() == leaves_of(again, N).value.tobytes()


def test_a_constant_target_is_a_leaf_without_conditions():
    coalitions, rows = half(5)
    leaves = leaves_of(grow(coalitions, np.full(len(rows), 2.0), Growth(trees=3)), 5)
    np.testing.assert_allclose(leaves.predict(coalitions), 2.0, atol=1e-6)


@pytest.mark.parametrize("n", [3, N])
def test_every_read_out_of_the_surrogate_is_the_index_of_its_predictions(n):
    coalitions, rows = half(n)
    fitter = BoostedTrees(coalitions, smooth_table(n, outputs=2, seed=n)[rows], Growth(trees=20, least=1))
    check_surrogate(fitter.fit(np.ones(len(rows), dtype=bool)), n)


def test_every_read_out_of_trees_that_split_on_the_size():
    coalitions, rows = half(N)
    fitter = BoostedTrees(coalitions, smooth_table(N, outputs=1, seed=3)[rows], Growth(trees=20, by_size=True))
    check_surrogate(fitter.fit(np.ones(len(rows), dtype=bool)), N)


def test_the_same_rows_give_the_same_bits():
    coalitions, rows = half(N)
    fitter = BoostedTrees(coalitions, smooth_table(N, seed=4)[rows])
    train = np.arange(len(rows)) % 5 != 0
    a, b = (fitter.fit(train).trees[0].leaves for _ in range(2))
    assert a.value.tobytes() == b.value.tobytes()
    assert a.players.tobytes() == b.players.tobytes()


def test_leaves_with_equal_conditions_add_up_and_impossible_ones_go():
    players = np.array([[2, 0], [0, 2], [1, -1]])
    needed = np.array([[True, False], [False, True], [True, False]])
    leaves = Leaves.of(3, np.array([1.0, 2.0, 4.0]), players, needed, np.zeros(3, int), np.array([3, 3, 0]))
    assert leaves.players.tolist() == [[0, 2]]
    assert leaves.value.tolist() == [3.0]
    whole = joined([leaves, linear_leaves(3, np.array([0.5, 0.0, 0.25])), size_leaves(3, np.arange(4.0))])
    everything = unpack(np.arange(8), 3).astype(float)
    expected = 3 * (1 - everything[:, 0]) * everything[:, 2] + everything @ [0.5, 0, 0.25] + everything.sum(axis=1)
    np.testing.assert_allclose(whole.predict(everything > 0), expected, atol=1e-12)


def test_a_thousand_players():
    """v = 1 when players 3 and 900 are in and 7 is out: Shapley values 1/3!, ... of a conjunction (beta functions)."""
    n = 1000
    leaf = Leaves.of(
        n, np.ones(1), np.array([[3, 900, 7]]), np.array([[True, True, False]]), np.zeros(1, int), np.array([n])
    )
    single = readouts(resolve(Question("SV"), n), n)[0]
    np.testing.assert_allclose(
        read(leaf, single, np.array([[3], [900], [7], [8]]))[:, 0], [1 / 6, 1 / 6, -1 / 3, 0], atol=1e-12
    )
    pair = readouts(resolve(Question("SII", order=2), n), n)[-1]
    found = read(leaf, pair, np.array([[3, 900], [7, 900], [3, 8], [8, 9]]))[:, 0]
    np.testing.assert_allclose(found, [1 / 2, -1 / 2, 0, 0], atol=1e-12)
