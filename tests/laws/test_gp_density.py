"""The likelihood of the Gaussian process's parameters: by parity as from the whole covariance, and its gradient by differences."""

import numpy as np
import pytest
import torch

from tests.games import smooth_table
from xai_ray.coalitions import Strata
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.estimators import gp_fit
from xai_ray.estimators.gp_density import Whole
from xai_ray.estimators.gp_kernel import Hyper
from xai_ray.estimators.gp_paired import Pairs

N = 9


def rows(count, outputs=2):
    coalitions = Strata(N, 3, uniform_law(N)).draw(0, count // 2).coalitions
    values = smooth_table(N, outputs=outputs, seed=1)[pack(coalitions)]
    return torch.from_numpy(coalitions.astype(float)), torch.from_numpy(values - values.mean(axis=0))


def hyper(at):
    return Hyper(torch.from_numpy(np.exp(at[:N])), float(np.exp(at[N])), float(np.exp(at[N + 1])), float(at[N + 2]))


def flat(found):
    return np.r_[found.theta, found.linear, found.nugget, found.tilt]


POINTS = [
    np.r_[np.full(N, np.log(3.0 / N)), 0.0, np.log(1e-2), 0.0],
    np.r_[np.linspace(-6, 2, N), np.log(0.2), np.log(3e-3), 2.5],
    np.r_[np.linspace(-1, 3, N), np.log(1e3), np.log(20.0), -9.0],
    np.r_[np.full(N, -4.0), np.log(1e-5), np.log(1e-5), 12.0],
]


@pytest.mark.parametrize("at", POINTS)
@pytest.mark.parametrize(("count", "outputs"), [(40, 1), (200, 3)])
def test_pairs_by_parity_say_what_the_whole_covariance_says(at, count, outputs):
    one, other = (kind(*rows(count, outputs)).density(hyper(at)) for kind in (Whole, Pairs))
    assert other.value == pytest.approx(one.value, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(flat(other), flat(one), atol=1e-8 * np.abs(flat(one)).max())


@pytest.mark.parametrize("kind", [Whole, Pairs])
@pytest.mark.parametrize("at", POINTS[:3])
def test_the_gradient_is_that_of_the_value(kind, at):
    density = kind(*rows(60)).density
    found, steps = density(hyper(at)), 1e-5 * np.eye(N + 3)
    slopes = [(density(hyper(at + step)).value - density(hyper(at - step)).value) / 2e-5 for step in steps]
    np.testing.assert_allclose(flat(found), slopes, rtol=1e-5, atol=1e-5 * np.abs(slopes).max())


@pytest.mark.parametrize("kind", [Whole, Pairs])
def test_a_covariance_that_is_singular_to_rounding_has_no_density(kind):
    members, data = rows(40)
    twice = torch.cat([members, members]), torch.cat([data, data])
    assert kind(*twice).density(hyper(np.r_[np.zeros(N + 1), -80.0, 0.0])) is None


@pytest.mark.parametrize("count", [60, 200])
def test_the_parameters_that_are_found_do_not_depend_on_the_way(count):
    members, data = rows(count, outputs=1)
    for by in (gp_fit.fit, gp_fit.fit_alike):
        one, other = by(members, data), by(members, data, True)
        np.testing.assert_allclose(one.theta.numpy(), other.theta.numpy(), rtol=1e-3, atol=1e-5)
        assert one.tilt == pytest.approx(other.tilt, rel=1e-3, abs=1e-3)
        assert (one.linear, one.nugget) == pytest.approx((other.linear, other.nugget), rel=1e-3)
