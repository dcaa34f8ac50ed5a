"""`odd`: exact on strata that ran out, efficient, better than the plain regression where odd terms matter, intervals that cover."""

import numpy as np
import pytest

from tests.games import smooth_table
from xai_ray.coalitions import Strata
from xai_ray.coalitions.exhaustive import pack, unpack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import Ask, Pool, plan
from xai_ray.estimators.table import build
from xai_ray.indices import Question, exact, resolve
from xai_ray.testing.estimators import check_estimator


def sample(table, name, budget, seed):
    planned = plan([Ask(Question("SV"), name)], int(np.log2(len(table))), budget, seed)
    draw = planned.design.draw(0, planned.draws)
    pool = Pool(planned.design, planned.draws, table[pack(draw.coalitions)])
    return pool.answer(planned.asks[0].question, name)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 8])
def test_the_contract_at_full_budget(n):
    design = Strata(n, 1, uniform_law(n))
    question = resolve(Question("SV"), n)
    last = 1 << (n - 1)
    cut = [(last // 2, last), (0, last // 2)] if last > 1 else [(0, 1)]
    check_estimator(lambda d: build("odd", question, d), design, last, smooth_table(n, outputs=2, seed=n), cut)


def test_values_add_up_at_any_budget():
    table = smooth_table(9, seed=1)
    assert sample(table, "odd", 100, 3).values.sum() == pytest.approx(table[-1, 0] - table[0, 0], abs=1e-9)


def test_a_game_of_few_odd_terms_is_found():
    """Singles and two conjunctions of three players: the plain regression misses what the terms carry."""
    n = 12
    z = unpack(np.arange(1 << n), n).astype(float)
    table = (z @ np.linspace(-1, 1, n) + 4 * z[:, 0] * z[:, 1] * z[:, 2] - 3 * z[:, 4] * z[:, 6] * z[:, 8])[:, None]
    truth = exact(table, resolve(Question("SV"), n)).values
    plain, odd = (
        np.mean([((sample(table, name, 300, seed).values - truth) ** 2).sum() for seed in range(3)])
        for name in ("leverage", "odd")
    )
    assert odd < plain / 10


def test_nothing_drawn_says_what_is_needed():
    estimator = build("odd", resolve(Question("SV"), 6), Strata(6, 0, uniform_law(6)))
    with pytest.raises(NotEnoughSamples, match="30 evaluations"):
        estimator.finish(estimator.empty())


def test_intervals_cover():
    """At ten rows a player intervals may be wide (errors of fits to four fifths of the pairs), never narrow."""
    table = smooth_table(10, seed=4)
    truth = exact(table, resolve(Question("SV"), 10)).values
    inside = []
    for seed in range(40):
        low, high = sample(table, "odd", 100, seed).intervals()
        inside.append(((low <= truth) & (truth <= high)).mean())
    assert 0.92 <= np.mean(inside) <= 1.0, np.mean(inside)
