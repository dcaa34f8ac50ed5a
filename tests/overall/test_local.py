"""Global values from local ones: de-biasing, standard errors that cover, sums that merge."""

import numpy as np
import pytest

import xai_ray as xr
from xai_ray.errors import InputError
from xai_ray.overall import LocalSums, StrengthSums, dataset_strength, global_values
from xai_ray.overall.absolute import LEFT, debiased_absolute


def test_the_bias_that_is_left_is_as_stated():
    """By quadrature over the noise, for true values from 0 to 12 standard errors."""
    nodes = np.linspace(-9, 9, 20_001)
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    truth = np.linspace(0.0, 12.0, 241)
    x = truth[:, None] + nodes
    each = debiased_absolute(x, np.ones_like(x))
    bias = each @ weights - truth
    assert bias.max() == pytest.approx(0.273, abs=0.01)
    assert bias.max() <= LEFT
    assert bias.min() >= -0.09
    assert np.abs(bias[truth > 3]).max() < 0.02
    plug_in = np.abs(x) @ weights - truth
    assert plug_in.max() == pytest.approx(np.sqrt(2 / np.pi), abs=0.02)
    spread = np.sqrt((each**2) @ weights - (each @ weights) ** 2)
    assert spread.max() < 1.6


def test_exact_values_stay_as_they_are():
    x = np.random.default_rng(0).normal(size=(30, 4, 2))
    found = global_values(x)
    np.testing.assert_allclose(found.absolute, np.abs(x).mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.square, (x**2).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.mean_std_errors, x.std(axis=0, ddof=1) / np.sqrt(30), rtol=1e-13)
    assert not found.absolute_bias.any()
    assert np.isnan(global_values(x[:1]).mean_std_errors).all()


def samples(seed, rows, scale, noise):
    """True phi of rows, estimates, and their standard errors."""
    rng = np.random.default_rng(seed)
    phi = 0.3 + scale * rng.normal(size=(rows, 1))
    s = noise * rng.uniform(0.5, 1.5, size=(rows, 1))
    return phi + s * rng.normal(size=(rows, 1)), s


@pytest.mark.parametrize(("scale", "noise"), [(1.0, 0.2), (0.5, 0.5), (0.4, 1.0)])
def test_means_are_unbiased_and_errors_cover(scale, noise):
    """Rows vary as much as their noise: 95 % intervals of all three cover the population's means; the plug-in would not."""
    truth = 0.3 + scale * np.random.default_rng(99).normal(size=2_000_000)
    want = {"mean": 0.3, "absolute": np.abs(truth).mean(), "square": (truth**2).mean()}
    covered = dict.fromkeys(want, 0)
    plug_in = []
    for seed in range(300):
        found = global_values(*samples(seed, 200, scale, noise))
        for name, number in want.items():
            error = getattr(found, f"{name}_std_errors")[0]
            covered[name] += abs(getattr(found, name)[0] - number) <= 1.96 * error
        plug_in.append(found.plug_in[0])
    assert all(0.91 <= count / 300 <= 0.985 for count in covered.values()), covered
    assert np.mean(plug_in) > want["absolute"] + 0.03 * noise


def test_players_that_never_matter():
    """The worst case: every true value is 0. What is left is a third of the plug-in's, and within the stated bound."""
    rng = np.random.default_rng(0)
    found = global_values(rng.normal(size=(20_000, 1)), np.ones((20_000, 1)))
    assert found.plug_in[0] == pytest.approx(0.798, abs=0.02)
    assert found.absolute[0] == pytest.approx(0.273, abs=0.04)
    assert found.absolute[0] <= found.absolute_bias[0] + 3 * found.absolute_std_errors[0]
    assert abs(found.square[0]) < 4 * found.square_std_errors[0]


def test_sums_merge_in_any_cut():
    values, errors = np.random.default_rng(1).normal(size=(2, 50, 3, 2)) ** 2
    whole = LocalSums.of(values, errors)
    parts = [LocalSums.of(values[a:b], errors[a:b]) for a, b in ((0, 7), (7, 8), (8, 50))]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    assert merged.rows == 50
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.spread, whole.spread, rtol=1e-10)


def test_strength_per_order_over_a_dataset():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(40, 10, 3)) * np.array([1.0, 0.3, 2.0])
    exact = dataset_strength(truth, None, (0, 2, 4))
    means = np.abs(truth).mean(axis=1)
    np.testing.assert_allclose(exact.absolute[:, 0], means.mean(axis=0))
    np.testing.assert_allclose(exact.absolute_std_errors[:, 0], means.std(axis=0, ddof=1) / np.sqrt(40))
    np.testing.assert_allclose(exact.normalised[:, 0], means.mean(axis=0) / means.mean())
    without = [np.delete(means, at, axis=0).mean(axis=0) for at in range(40)]
    curves = np.array([one / one.mean() for one in without])
    jackknife = np.sqrt(39 / 40 * ((curves - curves.mean(axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(exact.normalised_std_errors[:, 0], jackknife, rtol=0.1)
    noisy = truth + 0.5 * rng.normal(size=truth.shape)
    found = dataset_strength(noisy, np.full(truth.shape, 0.5), (0, 2, 4))
    assert np.abs(found.absolute - exact.absolute).max() < 0.1
    assert (np.abs(noisy).mean(axis=(0, 1)) - exact.absolute[:, 0]).max() > 0.15
    parts = [StrengthSums.of(noisy[a:b], np.full((b - a, 10, 3), 0.5), (0, 2, 4)) for a, b in ((0, 11), (11, 40))]
    merged = parts[0].merge(parts[1]).finish()
    np.testing.assert_allclose(merged.normalised_std_errors, found.normalised_std_errors, rtol=1e-10)


def test_bad_tables():
    good = np.zeros((4, 3))
    for values, errors, match in (
        (np.zeros(3), None, "got \\(3,\\)"),
        (good, np.zeros((4, 2)), "std_errors have shape"),
        (np.where(np.arange(12).reshape(4, 3) == 7, np.nan, good), None, r"row 2 at \[1\] is nan"),
        (good, good - 1, "negative"),
    ):
        with pytest.raises(InputError, match=match):
            xr.global_values(values, errors)
    with pytest.raises(InputError, match="do not go with"):
        LocalSums.of(good).merge(LocalSums.of(np.zeros((4, 2))))
    with pytest.raises(InputError, match="2 contexts"):
        xr.dataset_strength(np.zeros((4, 3, 3)), None, (0, 1))
