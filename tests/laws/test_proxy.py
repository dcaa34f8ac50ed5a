"""`proxy`: exact on strata that ran out, corrections drawn towards zero by their noise alone, intervals that cover."""

import numpy as np
import pytest

from tests.games import smooth_table
from xai_ray.coalitions import Strata
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import Ask, Pool, plan
from xai_ray.estimators.shrinking import EFFICIENT, Shrinking
from xai_ray.estimators.table import build
from xai_ray.indices import Question, exact, resolve
from xai_ray.testing.estimators import check_estimator


def sample(table, tag, budget, seed):
    planned = plan([Ask(Question(tag), "proxy")], int(np.log2(len(table))), budget, seed)
    draw = planned.design.draw(0, planned.draws)
    pool = Pool(planned.design, planned.draws, table[pack(draw.coalitions)])
    return pool.answer(planned.asks[0].question, "proxy")


@pytest.mark.parametrize(("tag", "order"), [("SV", None), ("PHIM", None), ("SII", 2), ("FSII", 3), ("MOI", None)])
def test_the_contract_at_full_budget(tag, order):
    n = 6
    design = Strata(n, 1, uniform_law(n))
    question = resolve(Question(tag, order=order), n)
    table = smooth_table(n, outputs=2, seed=n)
    check_estimator(lambda d: build("proxy", question, d), design, 1 << (n - 1), table, [(10, 32), (0, 10)])


def test_nothing_drawn_says_what_is_needed():
    estimator = build("proxy", resolve(Question("SV"), 6), Strata(6, 0, uniform_law(6)))
    with pytest.raises(NotEnoughSamples, match="evaluations"):
        estimator.finish(estimator.empty())


def test_a_correction_without_error_is_whole_and_noise_is_drawn_to_a_third():
    correction = np.array([1.0, -1.0, 1.0]).reshape(3, 1, 1)
    nothing, ones = np.zeros((3, 1, 1)), np.ones((3, 1, 1))
    kept, errors = Shrinking.of(correction, nothing, ones).apply(correction, nothing)
    assert (kept == correction).all()
    assert (errors == 0).all()
    # Corrections no larger than their noise, of a surrogate that has no variance: bias 1/2, so a third is kept.
    kept, errors = Shrinking.of(correction, ones, nothing).apply(correction, ones)
    np.testing.assert_allclose(kept, correction / 3)
    np.testing.assert_allclose(errors, np.sqrt(1 / 9 + 4 / 9 / 2))
    # A surrogate whose variance alone explains the noise gains nothing by the correction's being drawn in.
    assert (Shrinking.of(correction, ones, ones / EFFICIENT).kept == 1).all()


def test_what_is_kept_is_the_best_share():
    """Errors b + e of surrogates and u of corrected ones, e efficient: no other share has a smaller error, and the error is as stated."""
    rng = np.random.default_rng(0)
    b, e, more = (scale * rng.normal(size=(200_000, 1, 1)) for scale in (2.0, 1.0, 1.5))
    u = e + more
    correction, noise = u - b - e, np.full(b.shape, np.sqrt(1 + 1.5**2))
    kept, errors = Shrinking.of(correction, noise, np.full(b.shape, 1 / EFFICIENT)).apply(correction, noise)
    found = ((b + e + kept) ** 2).mean()
    assert found <= min(((b + e + share * correction) ** 2).mean() for share in np.linspace(0, 1, 101)) * 1.001
    assert (errors**2).mean() == pytest.approx(found, rel=0.02)


@pytest.mark.parametrize(("tag", "budget"), [("SV", 150), ("SII", 150)])
def test_intervals_cover(tag, budget):
    table = smooth_table(10, seed=4)
    truth = exact(table, resolve(Question(tag), 10)).values
    inside = []
    for seed in range(25):
        low, high = sample(table, tag, budget, seed).intervals()
        inside.append(((low <= truth) & (truth <= high)).mean())
    assert 0.92 <= np.mean(inside) <= 0.99, np.mean(inside)
