"""LAVA and its transport against linear programmes."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from xai_ray.errors import InputError, SpecError, XaiRayError
from xai_ray.valuation.lava import lava_values
from xai_ray.valuation.sinkhorn import transport

R = np.random.default_rng(12)
# 11 and 7 have no common divisor: the dual potentials of exact transport are unique up to a constant.
X, VAL = R.normal(size=(11, 2)), R.normal(size=(7, 2)) + 0.3
Y, VAL_Y = np.arange(11) % 2, np.arange(7) % 2


def exact(cost: np.ndarray, a: np.ndarray | None = None) -> float:
    n, m = cost.shape
    a = np.full(n, 1 / n) if a is None else a
    equal = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    found = linprog(cost.ravel(), A_eq=equal, b_eq=np.append(a, np.full(m, 1 / m)), bounds=(0, None))
    assert found.status == 0
    return found.fun


def exact_costs(label_weight: float) -> np.ndarray:
    between = np.array([[exact(cdist(X[c == Y], VAL[d == VAL_Y])) for d in range(2)] for c in range(2)])
    return cdist(X, VAL) + label_weight * between[Y[:, None], VAL_Y]


@pytest.mark.parametrize("label_weight", [0.0, 1.0, 3.0])
def test_values_are_the_calibrated_gradients_of_exact_transport(label_weight: float) -> None:
    """Weight moved from the other points to point i changes the cost of the linear programme at the rate of minus its value."""
    found = lava_values(X, Y, VAL, VAL_Y, label_weight=label_weight, regularisation=0.002, tolerance=1e-4, steps=50_000)
    cost, move = exact_costs(label_weight), 1e-4
    base = exact(cost)
    expected = np.empty(11)
    for i in range(11):
        weights = np.full(11, 1 / 11) - move / 10
        weights[i] = 1 / 11 + move
        expected[i] = (base - exact(cost, weights)) / move
    np.testing.assert_allclose(found.values, expected, atol=0.02)
    assert np.ptp(expected) > 0.5
    assert found.facts["transport_cost"] == pytest.approx(base, abs=0.02)


def test_marginals_and_duality() -> None:
    cost = R.random((30, 20))
    found = transport(
        lambda: iter([(slice(0, 13), cost[:13]), (slice(13, 30), cost[13:])]),
        (30, 20),
        scale=1.0,
        epsilon=0.02,
        tolerance=1e-10,
        steps=10_000,
    )
    plan = np.exp((found.rows[:, None] + found.columns - cost) / 0.02) / 600
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 30, atol=1e-11)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 20, atol=1e-11)
    assert found.cost == pytest.approx((plan * cost).sum(), abs=1e-12)
    assert exact(cost) <= found.cost <= exact(cost) + 0.05


def test_blocks_and_recomputed_costs_do_not_matter(monkeypatch) -> None:
    whole = lava_values(X, Y, VAL, VAL_Y).values
    monkeypatch.setattr("xai_ray.valuation.lava._ENTRIES", 20)
    np.testing.assert_allclose(lava_values(X, Y, VAL, VAL_Y).values, whole, rtol=0, atol=1e-12)
    monkeypatch.setattr("xai_ray.valuation.lava._HELD", 1)
    np.testing.assert_allclose(lava_values(X, Y, VAL, VAL_Y).values, whole, rtol=0, atol=1e-12)


def test_flipped_labels_are_found_and_duplicates_share_value() -> None:
    # Balanced classes: where they are not, the potentials price the missing share of a class first.
    labels = np.arange(240) % 3
    rows = R.normal(size=(240, 3)) + 3.0 * np.eye(3)[labels]
    y = labels[:180].copy()
    flipped = np.arange(20, 44)
    y[flipped] = (y[flipped] + 1) % 3
    rows[5], y[5] = rows[9], y[9]
    values = lava_values(rows[:180], y, rows[180:], labels[180:]).values
    bad = np.isin(np.arange(180), flipped)
    assert (values[bad][:, None] < values[~bad][None]).mean() > 0.9
    assert values[5] == values[9]


def test_a_class_that_validation_lacks_is_allowed() -> None:
    found = lava_values(X, Y, VAL[VAL_Y == 0], np.zeros(4))
    assert np.isnan(found.facts["label_distances"][:, 1]).all()
    assert np.isfinite(found.values).all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(SpecError, match="regularisation is a positive number"):
        lava_values(X, Y, VAL, VAL_Y, regularisation=0.0)
    with pytest.raises(SpecError, match="label_weight is a number"):
        lava_values(X, Y, VAL, VAL_Y, label_weight=-1.0)
    with pytest.raises(InputError, match="overflow"):
        lava_values(X * 1e200, Y, VAL, VAL_Y)
    with pytest.raises(InputError, match="nothing to value"):
        lava_values(np.ones((4, 2)), [0, 1, 0, 1], np.ones((2, 2)), [0, 1])
    with pytest.raises(XaiRayError, match="of the mass misplaced after 3 iterations"):
        lava_values(X, Y, VAL, VAL_Y, regularisation=1e-4, steps=3, tolerance=1e-9)
