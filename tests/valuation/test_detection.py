"""Detection of bad points against pairs counted one by one and clusters by enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc

from xai_ray.errors import InputError, SpecError
from xai_ray.valuation import detection, lower_cluster

VALUES = np.array([0.1, -0.3, 0.1, 0.7, -0.3, 0.2, 0.9, 0.1])
BAD = np.array([True, True, False, False, False, False, True, False])


def test_area_counts_pairs_and_ties_one_half() -> None:
    pairs = [(b, g) for b in VALUES[BAD] for g in VALUES[~BAD]]
    share = sum(1.0 if b < g else 0.5 if b == g else 0.0 for b, g in pairs) / len(pairs)
    found = detection(VALUES, BAD)
    assert found.auroc == pytest.approx(share)
    assert found.bad == 3
    assert auc(found.false_positive_rate, found.true_positive_rate) == pytest.approx(share)
    for t in np.unique(VALUES):
        point = (np.mean(VALUES[~BAD] <= t), np.mean(VALUES[BAD] <= t))
        assert any(np.allclose(point, p) for p in zip(found.false_positive_rate, found.true_positive_rate, strict=True))


def test_precision_at_the_share_inspected() -> None:
    found = detection(VALUES, BAD)
    ranked = sorted(range(8), key=lambda i: VALUES[i])
    for count in range(1, 9):
        right = sum(BAD[i] for i in ranked[:count])
        assert found.precision_at(count / 8) == pytest.approx(right / count)
        assert found.recall_at(count / 8) == pytest.approx(right / 3)
    assert found.precision_at(0.01) == float(BAD[ranked[0]])
    with pytest.raises(SpecError, match="above 0 and at most 1"):
        found.precision_at(0.0)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=9))
def test_lower_cluster_is_the_best_of_all_splits(numbers: list[int]) -> None:
    values = np.array(numbers, dtype=np.float64) / 4
    low = lower_cluster(values)
    if np.ptp(values) == 0:
        assert not low.any()
        return

    def cost(mask: np.ndarray) -> float:
        return float(sum(((part - part.mean()) ** 2).sum() for part in (values[mask], values[~mask])))

    masks = [np.array([(bits >> i) & 1 for i in range(len(values))], bool) for bits in range(1, 2 ** len(values) - 1)]
    assert cost(low) == pytest.approx(min(cost(mask) for mask in masks), abs=1e-12)
    assert values[low].max() < values[~low].min()


def test_f1_of_the_lower_cluster() -> None:
    low = lower_cluster(VALUES)
    hits = np.count_nonzero(low & BAD)
    assert detection(VALUES, BAD).f1 == pytest.approx(2 * hits / (low.sum() + BAD.sum()))
    assert detection(np.zeros(8), BAD).f1 == 0.0
    assert detection(np.zeros(8), BAD).auroc == 0.5
    perfect = detection(np.where(BAD, -1.0, 1.0), BAD)
    assert (perfect.auroc, perfect.f1, perfect.precision_at(3 / 8)) == (1.0, 1.0, 1.0)


def test_flags_of_zeros_and_ones_do() -> None:
    assert detection(VALUES, BAD.astype(int)).auroc == detection(VALUES, BAD).auroc


@pytest.mark.parametrize(
    ("values", "bad", "message"),
    [
        (VALUES, BAD[:-1], r"bad has shape \(7,\); it says of each of the 8 points"),
        (VALUES, np.zeros(8, bool), "marks no point"),
        (VALUES, np.ones(8, bool), "marks every point"),
        (VALUES, np.array(["yes"] * 8), "give True or False"),
        (VALUES, np.array([0, 1, 2, 0, 0, 0, 0, 0]), "give True or False"),
        (np.where(BAD, np.nan, 0.0), BAD, "point 0 has no value"),
        (VALUES[:, None], BAD, r"shape \(8, 1\)"),
    ],
)
def test_refusals(values: np.ndarray, bad: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        detection(values, bad)
