"""`proxy`: exact on strata that ran out, corrections drawn towards zero by their noise alone, intervals that cover."""

import numpy as np
import pytest

from tests.games import smooth_table
from xai_ray.coalitions import Strata
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import Ask, Pool, plan
from xai_ray.estimators.correction import shrunk
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


def test_a_correction_without_error_is_whole_and_noise_is_halved():
    surrogate, correction = np.zeros((3, 1, 1)), np.array([1.0, -1.0, 1.0]).reshape(3, 1, 1)
    values, errors = shrunk(surrogate, correction, np.zeros((3, 1, 1)))
    assert (values == correction).all()
    assert (errors == 0).all()
    values, errors = shrunk(surrogate, correction, np.ones((3, 1, 1)))
    np.testing.assert_allclose(values, correction / 2)
    np.testing.assert_allclose(errors, np.sqrt(0.75))


@pytest.mark.parametrize(("tag", "budget"), [("SV", 150), ("SII", 150)])
def test_intervals_cover(tag, budget):
    table = smooth_table(10, seed=4)
    truth = exact(table, resolve(Question(tag), 10)).values
    inside = []
    for seed in range(25):
        low, high = sample(table, tag, budget, seed).intervals()
        inside.append(((low <= truth) & (truth <= high)).mean())
    assert 0.92 <= np.mean(inside) <= 0.99, np.mean(inside)
