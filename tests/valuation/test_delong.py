"""Standard errors and intervals of AUROCs against sums over all pairs, and their coverage by simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from xai_ray.valuation import detection
from xai_ray.valuation.delong import auroc_interval, auroc_std_error, placements


def right(low: float, high: float) -> float:
    return 1.0 if low < high else 0.5 if low == high else 0.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=2, max_size=7), st.lists(st.integers(-4, 4), min_size=2, max_size=7))
def test_variance_is_the_double_sum_of_its_definition(bad: list[int], good: list[int]) -> None:
    m, n = len(bad), len(good)
    area = sum(right(x, y) for x, y in product(bad, good)) / (m * n)
    # S10 and S01 of DeLong et al. (1988), equations 5 and 6.
    of_bad = [sum(right(x, y) for y in good) / n for x in bad]
    of_good = [sum(right(x, y) for x in bad) / m for y in good]
    s10 = sum((v - area) ** 2 for v in of_bad) / (m - 1)
    s01 = sum((v - area) ** 2 for v in of_good) / (n - 1)
    values, flags = np.array(bad + good, dtype=np.float64), np.arange(m + n) < m
    found = placements(values, flags)
    np.testing.assert_allclose(found[0], of_bad, atol=1e-14)
    np.testing.assert_allclose(found[1], of_good, atol=1e-14)
    assert auroc_std_error(values, flags) ** 2 == pytest.approx(s10 / m + s01 / n, abs=1e-14)
    whole = detection(values, flags)
    assert whole.auroc == pytest.approx(area)
    assert whole.auroc_interval == auroc_interval(values, flags)
    low, high = whole.auroc_interval
    assert 0.0 <= low <= area <= high <= 1.0
    assert high - low > 0.01


@pytest.mark.parametrize(("area", "bad", "good"), [(0.7, 30, 270), (0.9, 30, 270), (0.9, 15, 60), (0.97, 30, 270)])
def test_intervals_cover(area: float, bad: int, good: int) -> None:
    generator = np.random.default_rng(int(1000 * area) + bad)
    shift, flags, repeats = np.sqrt(2) * norm.ppf(area), np.arange(bad + good) < bad, 1_000
    held = 0
    for _ in range(repeats):
        low, high = auroc_interval(generator.normal(size=bad + good) + np.where(flags, 0.0, shift), flags)
        held += low <= area <= high
    # Near 1 intervals are somewhat short, as their docstring says.
    assert (0.92 if area < 0.95 else 0.89) < held / repeats < 0.98


def test_perfect_and_reversed_ranks_have_intervals_of_independent_pairs() -> None:
    flags = np.arange(20) < 5
    low, high = auroc_interval(np.where(flags, -1.0, np.arange(20.0)), flags)
    assert high == 1.0
    # Five pairs that share no point: an AUROC of `low` gets all of them right in one case of forty.
    assert binom.pmf(5, 5, low) == pytest.approx(0.025)
    assert auroc_interval(np.where(flags, 30.0, np.arange(20.0)), flags) == (0.0, pytest.approx(1.0 - low))
    assert auroc_interval(np.zeros(20), flags) == (pytest.approx(low / 2), pytest.approx(1 - low / 2))
    assert auroc_std_error(np.where(flags, -1.0, 1.0), flags) == 0.0


def test_of_one_bad_point_nothing_is_known() -> None:
    flags = np.arange(9) == 3
    values = np.arange(9.0)
    assert auroc_interval(values, flags) == (0.0, 1.0)
    assert np.isnan(detection(values, flags).auroc_std_error)
    assert auroc_interval(np.where(flags, -1.0, values), flags) == (pytest.approx(0.025), 1.0)


def test_large_sets_take_no_table_of_pairs() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=400_000)
    flags = generator.random(400_000) < 0.5
    assert auroc_std_error(values, flags) == pytest.approx(1 / np.sqrt(12 * 100_000), rel=0.02)
