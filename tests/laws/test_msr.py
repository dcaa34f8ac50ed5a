"""Maximum sample reuse: unbiased for every semivalue, intervals that cover, sizes that were not drawn are missing."""

import numpy as np
import pytest

from tests.games import smooth_table
from tests.laws.sampled import coverage, estimate
from xai_ray.coalitions import Strata
from xai_ray.coalitions.exhaustive import pack, unpack
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import Pool
from xai_ray.indices import Question, exact

SEMIVALUES = [
    Question("SV"),
    Question("BV"),
    Question("WBV", p=0.3),
    Question("BETA", alpha=4.0, beta=1.0),
    Question("SEMI", weights=(0.4, 0.3, 0.1, 0.1, 0.05, 0.05, 0.0, 0.0, 0.0, 0.0)),
    Question("PHIM"),
]


@pytest.mark.parametrize("question", SEMIVALUES, ids=lambda q: q.index)
@pytest.mark.parametrize("budget", [90, 250])
def test_unbiased_and_intervals_cover(question, budget):
    covered, deviation = coverage(smooth_table(10, seed=4), question, "msr", budget, 200)
    assert 0.92 <= covered <= 0.98, covered
    assert np.quantile(deviation, 0.95) < 3.0, deviation


def test_the_line_between_the_ends_costs_nothing():
    """Equal additive players are answered without error at any budget; so is any function of the size alone."""
    sizes = unpack(np.arange(1 << 10), 10).sum(axis=1)
    for curve in (3.0 * sizes + 7.0, np.sqrt(sizes), (sizes == 5) * 1.0):
        found = estimate(curve[:, None], Question("SV"), "msr", 120, 1)
        np.testing.assert_allclose(found.values, (curve[-1] - curve[0]) / 10, atol=1e-12)
        np.testing.assert_allclose(found.std_errors, 0.0, atol=1e-12)


def test_an_even_number_of_players_reads_its_middle_size_once():
    """The pairs of the middle stratum always hold player 0 on one side; no player may be favoured by that."""
    table = smooth_table(6, seed=2)
    covered, deviation = coverage(table, Question("PHIM", contexts=(2, 3)), "msr", 50, 300)
    assert 0.92 <= covered <= 0.98, covered
    assert deviation.max() < 4.0, deviation


def test_contexts_that_were_not_drawn_are_missing():
    table = smooth_table(10)
    design = Strata(10, 0, (1.0, 1.0, 1e-9, 1e-9, 1e-9), edges=1)
    pool = Pool(design, 30, table[pack(design.draw(0, 30).coalitions)])
    found = pool.answer(Question("PHIM"), "msr")
    seen = [0, 1, 8, 9]
    assert np.isfinite(found.values[:, seen]).all()
    assert np.isnan(np.delete(found.values, seen, axis=1)).all()
    assert np.isnan(np.delete(found.std_errors, seen, axis=1)).all()
    with pytest.raises(NotEnoughSamples, match=r"msr: no coalition of size 3, 4, 5.*extend the budget"):
        pool.answer(Question("BV"), "msr")


def test_noise_of_a_stochastic_game_is_in_the_standard_errors():
    n, table = 8, smooth_table(8, seed=3)
    truth = exact(table, Question("BV")).values
    inside, quiet, noisy = [], [], []
    for seed in range(200):
        design = Strata(n, seed, (1.0, 1.0, 1.0, 0.5), stochastic=True)
        draw = design.draw(0, 150)
        clean = table[pack(draw.coalitions)]
        own = np.random.default_rng(seed).normal(size=(150, 1))[draw.context] * (draw.context >= 0)[:, None]
        found = Pool(design, 150, clean + 2.0 * own * ~draw.coalitions[:, :1]).answer(Question("BV"), "msr")
        low, high = found.intervals()
        inside.append((low <= truth) & (truth <= high))
        noisy.append(found.std_errors.mean())
        quiet.append(Pool(design, 150, clean).answer(Question("BV"), "msr").std_errors.mean())
    assert 0.92 <= np.mean(inside) <= 0.98, np.mean(inside)
    assert np.mean(noisy) > 1.1 * np.mean(quiet)
