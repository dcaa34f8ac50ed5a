"""Draws of the methods and running means; what importing the room brings along."""

import subprocess
import sys

import numpy as np
import pytest

import xai_ray.valuation
from xai_ray.errors import NonFiniteValue, NotEnoughSamples, SpecError
from xai_ray.valuation.draws import Purpose, orders, positive, uniforms, words
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.running_means import RunningMeans

R = np.random.default_rng(1)


def test_every_purpose_part_seed_and_item_has_words_of_its_own() -> None:
    items = np.arange(3)
    rows = [words(s, p, items, 4, sub=sub) for s in (0, 1, 2**33) for p in Purpose for sub in (0, 1)]
    assert len(np.unique(np.concatenate([r.ravel() for r in rows]))) == 3 * len(Purpose) * 2 * 12
    assert np.array_equal(words(1, Purpose.BATCHES, items[2:], 4), words(1, Purpose.BATCHES, items, 4)[2:])
    with pytest.raises(SpecError, match="seed is a whole number"):
        words(-1, Purpose.BATCHES, items, 4)


def test_uniforms_and_orders_are_uniform() -> None:
    found = uniforms(3, Purpose.ROULETTE, np.arange(5000), 2)
    assert ((found >= 0) & (found < 1)).all()
    shares = np.histogram(found, bins=10, range=(0, 1))[0] / found.size
    assert np.abs(shares - 0.1).max() < 0.015
    first = orders(3, Purpose.ORDERS, np.arange(6000), 3)
    counts = np.unique(first @ [9, 3, 1], return_counts=True)[1]
    assert len(counts) == 6
    assert np.abs(counts / 6000 - 1 / 6).max() < 0.025


@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_counts_are_positive_whole_numbers(value) -> None:
    with pytest.raises(SpecError, match="steps is a whole number, at least 1"):
        positive("steps", value)


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_running_means_keep_the_digits_of_the_spread(offset: float) -> None:
    samples, present = R.normal(size=(50, 6)), R.random((50, 6)) < 0.5
    present[:2] = True
    present[10:20, 3] = False
    means = RunningMeans(6)
    for start in range(0, 50, 7):
        means.add(samples[start : start + 7] + offset, present[start : start + 7])
    for column in range(6):
        held = samples[present[:, column], column]
        assert means.counts[column] == len(held)
        assert means.means()[column] - offset == pytest.approx(held.mean(), abs=1e-7 if offset else 1e-12)
        expected = held.std(ddof=1) / np.sqrt(len(held))
        assert means.std_errors()[column] == pytest.approx(expected, rel=1e-6 if offset else 1e-12)


def test_too_few_samples_are_refused() -> None:
    means = RunningMeans(3)
    means.add(np.ones((1, 3)), np.array([[True, False, True]]))
    with pytest.raises(NotEnoughSamples, match="training point 1 has 0 samples"):
        means.means()
    with pytest.raises(NotEnoughSamples, match=r"training point 0 has 1 samples \(3 points"):
        means.std_errors()


def test_a_valuation_is_finite() -> None:
    with pytest.raises(NonFiniteValue, match="LAVA: the value of training point 1 is nan"):
        Valuation(np.array([0.0, np.nan]), np.zeros(2), "LAVA: distance")
    with pytest.raises(NonFiniteValue, match="the standard error of training point 0 is inf"):
        Valuation(np.zeros((2, 1)), np.array([[np.inf], [0.0]]), "Data-OOB: accuracy")


def test_the_room_brings_no_torch_and_has_all_its_names() -> None:
    code = "import sys, xai_ray.valuation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    for name in (*xai_ray.valuation.__all__, *xai_ray.valuation._TORCH):
        assert callable(getattr(xai_ray.valuation, name)) or name == "SCORES"
    with pytest.raises(AttributeError, match="no attribute 'gradients'"):
        _ = xai_ray.valuation.gradients
