"""The nodes of every read-out, against elementary symmetric polynomials."""

import numpy as np
import pytest

from xai_ray.estimators.keep_rates import mixture
from xai_ray.indices import INDICES, READ_OUT, Question, Readout, readouts, resolve
from xai_ray.indices.weights import log_binomial

ORDERED = [tag for tag in READ_OUT if INDICES[tag].order != 1 and tag not in ("MOI", "PHIM")]


def questions(n: int) -> list[Question]:
    """Every read-out at orders 1 to 3, with one-sided and U-shaped Beta laws and weights by size that follow no law."""
    jagged = np.random.default_rng(n).dirichlet(np.ones(n))
    jagged[-1] += 1.0 - jagged.sum()
    special = {
        "WBV": [{"p": 0.1}, {"p": 0.9}],
        "BETA": [{"alpha": 16.0, "beta": 1.0}, {"alpha": 1.0, "beta": 4.0}, {"alpha": 0.5, "beta": 0.5}],
        "SEMI": [{"weights": tuple(jagged)}],
    }
    found = [Question(tag, **one) for tag in READ_OUT for one in special.get(tag, [{}])]
    found += [Question(tag, order=s) for tag in ORDERED for s in (1, 2, 3)]
    return [resolve(question, n) for question in found]


def means_by_size(absent: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean of prod f_l(l in T) over the T of size m, for every m: the coefficients of prod (f_l(0) + x f_l(1)) over binomials."""
    terms = np.zeros(len(absent) + 1)
    terms[0] = 1.0
    for low, high in zip(absent, present, strict=True):
        terms[1:] = terms[1:] * low + terms[:-1] * high
        terms[0] *= low
    return terms * np.exp(-log_binomial(len(absent), np.arange(len(absent) + 1.0)))


def integrated(readout: Readout, absent: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The same read-out through its nodes."""
    nodes = mixture(readout)
    product = np.prod(nodes.absent[:, None] * absent + nodes.present[:, None] * present, axis=1)
    return (nodes.weights.T @ product).real


@pytest.mark.parametrize("n", [4, 6, 13, 49])
def test_nodes_integrate_every_read_out(n):
    rng = np.random.default_rng(n)
    absent, present = rng.uniform(0.2, 1.0, n), rng.uniform(0.2, 1.0, n)
    for question in questions(n):
        for readout in readouts(question, n):
            means = means_by_size(absent[readout.size :], present[readout.size :])
            got = integrated(readout, absent[readout.size :], present[readout.size :])
            error = np.abs(got - readout.weights @ means) / (np.abs(readout.weights) @ means)
            assert error.max() < 1e-8, (question, readout.size, error.max())


def test_no_player_outside_the_set():
    for question in (Question("SII", order=3), Question("MOI"), Question("k-SII", order=2)):
        n = question.order or 2
        for readout in readouts(resolve(question, n), n):
            got = integrated(readout, np.full(n - readout.size, 0.5), np.full(n - readout.size, 0.25))
            means = means_by_size(np.full(n - readout.size, 0.5), np.full(n - readout.size, 0.25))
            np.testing.assert_allclose(got, readout.weights @ means, atol=1e-14)


def test_a_context_size_of_many_players_needs_several_circles():
    """One circle at radius one would lose all digits: at 197 players the middle binomial is about 1e58."""
    n = 197
    rng = np.random.default_rng(1)
    absent, present = rng.uniform(0.2, 1.0, n), rng.uniform(0.2, 1.0, n)
    (readout,) = readouts(resolve(Question("PHIM", contexts=(0, 1, 5, 98, 190, 196)), n), n)
    want = readout.weights @ means_by_size(absent[1:], present[1:])
    np.testing.assert_allclose(integrated(readout, absent[1:], present[1:]), want, rtol=1e-7)
