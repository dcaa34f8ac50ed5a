"""Point-removal and point-addition curves against models that are trained one by one."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from xai_ray.errors import InputError, SpecError
from xai_ray.valuation import TrainingGame, curve_counts, point_curves, weighted_drop

R = np.random.default_rng(11)
N, M = 11, 40
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
LABELS = np.array([0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1])
TEST_LABELS = (TEST[:, 0] > 0).astype(int)
VALUES = np.array([0.3, 0.1, 0.3, -0.2, 0.0, 0.5, 0.1, -0.2, 0.4, 0.1, 0.2])


def game(**changed: Any) -> TrainingGame:
    given = {"estimator": RidgeClassifier(alpha=0.5), "scores": ("accuracy",)} | changed
    return TrainingGame(given.pop("estimator"), X, LABELS, TEST, TEST_LABELS, **given)


def accuracy(members: list[int]) -> float:
    """A fit of its own, by the stated conventions."""
    classes = np.unique(LABELS[members])
    if not len(members):
        return 0.5
    if len(classes) == 1:
        return float(np.mean(classes[0] == TEST_LABELS))
    return float(RidgeClassifier(alpha=0.5).fit(X[members], LABELS[members]).score(TEST, TEST_LABELS))


def by_hand(action: str, order: str) -> list[float]:
    """Sorted by hand: Python's sort keeps the order of equal values."""
    ranked = sorted(range(N), key=lambda i: VALUES[i] if order == "lowest" else -VALUES[i])
    return [accuracy(ranked[:c] if action == "add" else ranked[c:]) for c in range(N + 1)]


@pytest.mark.parametrize("action", ["remove", "add"])
@pytest.mark.parametrize("order", ["highest", "lowest"])
def test_ranked_curves_are_those_of_fits_one_by_one(action: Any, order: Any) -> None:
    found = point_curves(game(), VALUES, fractions=[i / N for i in range(N + 1)], random_orders=3)
    assert found.counts.tolist() == list(range(N + 1))
    np.testing.assert_allclose(found.of(action, order)[0, :, 0], by_hand(action, order), atol=1e-12)


def test_random_orders_are_different_chains_and_additions_go_them_backwards() -> None:
    found = point_curves(game(), VALUES, fractions=np.linspace(0, 1, N + 1).tolist(), random_orders=4, seed=3)
    removed, added = found.of("remove", "random"), found.of("add", "random")
    assert removed.shape == (4, N + 1, 1)
    np.testing.assert_array_equal(removed, added[:, ::-1])
    assert len({row.tobytes() for row in removed}) > 1
    assert (removed[:, 0] == accuracy(list(range(N)))).all()
    assert (removed[:, -1] == 0.5).all()
    same = point_curves(game(), VALUES, fractions=np.linspace(0, 1, N + 1).tolist(), random_orders=6, seed=3)
    np.testing.assert_array_equal(same.of("remove", "random")[:4], removed)
    other = point_curves(game(), VALUES, fractions=np.linspace(0, 1, N + 1).tolist(), random_orders=4, seed=4)
    assert not np.array_equal(other.of("remove", "random"), removed)


def test_random_orders_remove_one_point_after_the_other() -> None:
    """With v(S) = the sum of powers of two over S, a score names its coalition."""
    found = point_curves(_Additive(), VALUES, fractions=np.linspace(0, 1, N + 1).tolist(), random_orders=5)
    for row in found.of("remove", "random")[:, :, 0]:
        coalitions = [int(v) for v in row]
        gone = [a - b for a, b in itertools.pairwise(coalitions)]
        assert sorted(gone) == [1 << i for i in range(N)]
    for row in found.of("add", "random")[:, :, 0]:
        assert sorted(int(b - a) for a, b in itertools.pairwise(row)) == [1 << i for i in range(N)]


class _Additive:
    """Counts its calls."""

    n_players, n_outputs, output_names, player_names = N, 1, ("sum",), tuple(map(str, range(N)))
    digest, block, stochastic = "additive", 4, False

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def values(self, coalitions: np.ndarray, context: np.ndarray) -> np.ndarray:
        self.asked.append(coalitions)
        return (coalitions @ (1 << np.arange(N))).astype(np.float64)[:, None]


def test_one_call_trains_each_coalition_once() -> None:
    watched = _Additive()
    found = point_curves(watched, VALUES, random_orders=7)
    assert len(watched.asked) == 1
    rows = watched.asked[0]
    assert len(rows) % watched.block == 0
    kept = rows[: found.models + 1]
    assert len(np.unique(kept, axis=0)) == len(kept)
    # Two ranked chains and seven random ones, each with the 10 counts between none and all, and all players once.
    assert found.models <= 4 * (N - 1) + 7 * (N - 1) + 1
    assert rows[found.models + 1 :].all()


def test_several_valuations_at_once_are_each_of_them_alone() -> None:
    both = np.stack([VALUES, -VALUES[::-1]])
    together = point_curves(game(), both, random_orders=2)
    for row, values in enumerate(both):
        alone = point_curves(game(), values, random_orders=2)
        for action in ("remove", "add"):
            for order in ("highest", "lowest"):
                np.testing.assert_array_equal(together.of(action, order)[row], alone.of(action, order)[0])


def test_groups_and_several_scores() -> None:
    owner = np.arange(N) % 4
    grouped = game(estimator=LogisticRegression(), scores=("accuracy", "neg_log_loss"), groups=owner)
    found = point_curves(grouped, [3.0, 1.0, 2.0, 0.0], fractions=[0.25], actions=("remove",), ranked=("highest",))
    kept = owner != 0
    fit = LogisticRegression(tol=1e-10).fit(X[kept], LABELS[kept])
    assert found.counts.tolist() == [1]
    assert found.of("remove", "highest")[0, 0, 0] == pytest.approx(fit.score(TEST, TEST_LABELS))
    loss = np.log(fit.predict_proba(TEST)[np.arange(M), TEST_LABELS]).mean()
    assert found.of("remove", "highest")[0, 0, 1] == pytest.approx(loss, abs=1e-6)
    with pytest.raises(SpecError, match="ask point_curves for add random too"):
        found.of("add", "random")
    with pytest.raises(SpecError, match="starts from all players"):
        found.weighted_drop("highest")


def test_weighted_drop_is_the_double_sum_of_the_paper() -> None:
    found = point_curves(game(), VALUES, fractions=[i / N for i in range(N + 1)])
    accuracies = by_hand("remove", "highest")
    drops = [before - after for before, after in itertools.pairwise(accuracies)]
    direct = sum(Fraction(1, j) * Fraction(sum(drops[:j])) for j in range(1, N + 1))
    assert found.weighted_drop("highest")[0, 0] == pytest.approx(float(direct), abs=1e-12)
    assert weighted_drop(np.ones((2, 5, 1))).tolist() == [[0.0], [0.0]]


def test_counts() -> None:
    assert curve_counts(10).tolist() == list(range(11))
    assert curve_counts(30, [0.05, 0.15, 1.0, 0.0]).tolist() == [0, 2, 5, 30]
    assert len(curve_counts(1000)) == 21


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"values": VALUES[:-1]}, r"shape \(10,\); the game has 11 players"),
        ({"values": np.where(np.arange(N) == 4, np.nan, VALUES)}, "player 4 has no value"),
        ({"values": ["high"] * N}, "are numbers"),
        ({"fractions": [0.5, 1.2]}, "from 0 to 1"),
        ({"fractions": []}, "at least one"),
        ({"random_orders": 0}, "at least 1"),
        ({"actions": ("drop",)}, "give some of remove, add"),
        ({"ranked": ()}, "give some of highest, lowest, random"),
        ({"seed": -1}, "at least 0"),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    asked: dict[str, Any] = {"values": VALUES}
    asked |= given
    with pytest.raises((InputError, SpecError), match=message):
        point_curves(game(), **asked)
