"""Law 2: for every index, estimator and order (1, 2, 3) a budget of 2^n gives the exact answer to 1e-9. A new row of either table is tested
here."""

import numpy as np
import pytest

from tests.games import smooth_table
from xai_ray.coalitions import Exhaustive, Strata
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.estimators import ESTIMATORS, Ask, Pool, plan
from xai_ray.estimators.table import build
from xai_ray.indices import INDICES, Question, exact, resolve

N = 7
PARAMETERS = {
    "WBV": {"p": 0.3},
    "BETA": {"alpha": 4.0, "beta": 1.0},
    "SEMI": {"weights": (0.4, 0.3, 0.1, 0.1, 0.05, 0.05, 0.0)},
    "MVI": {"groups": ((1, 2, 4),)},
    "BMAX": {"groups": ((1, 2, 4),)},
    "BMIN": {"groups": ((1, 2, 4),)},
    "Owen": {"groups": ((0, 1), (2, 3, 4), (5, 6))},
}


def parameters(tag, name, n, order=None):
    """The parameters of an index, for n players, and its order where one is given or the estimator does not answer the usual one."""
    given = dict(PARAMETERS.get(tag, {}))
    if tag == "Owen" and n != N:
        return {"groups": (tuple(range(n // 2)), tuple(range(n // 2, n)))}
    if tag in ("MVI", "BMAX", "BMIN") and n < 5:
        return {"groups": ((1, 3, 2),)}
    if tag == "SEMI":
        given["weights"] = tuple(2.0 * (n - t) / (n * (n + 1)) for t in range(n))
    orders = ESTIMATORS[name].orders
    if order is not None:
        given["order"] = order
    elif orders is not None and INDICES[tag].order is None and n not in orders and "groups" not in given:
        given["order"] = 2 if 2 in orders else max(orders)
    return given


def orders(tag, name):
    """Orders that are asked of an estimator; None alone where the index has one order, or that of its group."""
    if INDICES[tag].sets not in ("of_order", "up_to_order", "all_up_to_order"):
        return [None]
    answered = ESTIMATORS[name].orders
    return [order for order in (1, 2, 3) if answered is None or order in answered]


CASES = [(tag, name, order) for name, row in ESTIMATORS.items() for tag in row.indices for order in orders(tag, name)]

FITS = ("gp", "stacked", "odd", "proxy", "sparse_proxy")
"""They fit a process or trees, in about a second whatever n: few and small games, in which every fold has pairs all the same."""


def own_formula():
    """Cases with players, for estimators that read strata."""
    for tag, name, order in CASES:
        if ESTIMATORS[name].designs[0] == "strata":
            for n in (3, 5) if name in FITS else (2, 3, 6) if order == 3 else (2, 3, 6, 7):
                if n >= (order or INDICES[tag].order or 1):
                    yield tag, name, order, n


@pytest.mark.parametrize(("tag", "name", "order"), CASES)
def test_through_the_plan(tag, name, order):
    table = smooth_table(N, outputs=2, seed=3)
    planned = plan([Ask(Question(tag, **parameters(tag, name, N, order)), name)], N, 1 << N, seed=0)
    draw = planned.design.draw(0, planned.draws)
    pool = Pool(planned.design, planned.draws, table[pack(draw.coalitions)])
    estimate = pool.answer(planned.asks[0].question, planned.asks[0].estimator)
    truth = exact(table, planned.asks[0].question)
    assert estimate.estimator == name
    assert estimate.coalitions == truth.coalitions
    np.testing.assert_allclose(estimate.values, truth.values, atol=1e-9)
    assert (estimate.std_errors == 0).all()
    assert planned.evaluations == 1 << N


@pytest.mark.parametrize(("tag", "name", "order", "n"), list(own_formula()))
def test_by_the_estimators_own_formula(tag, name, order, n):
    """Not through the complete table: the regression or the cells themselves, on strata that ran out."""
    table = smooth_table(n, outputs=2, seed=n)
    question = resolve(Question(tag, **parameters(tag, name, n, order)), n)
    design = Strata(n, 1, uniform_law(n), edges=1)
    if n > 4 and ESTIMATORS[name].minimum(question, n) < 1 << n:
        design = plan([Ask(question, name)], n, (1 << n) - 1, seed=1).design
    draw = design.draw(0, design.capacity)
    estimator = build(name, question, design)
    estimate = estimator.finish(estimator.observe(draw, table[pack(draw.coalitions)]))
    truth = exact(table, question)
    assert estimate.coalitions == truth.coalitions
    np.testing.assert_allclose(estimate.values, truth.values, atol=1e-9)
    assert (estimate.std_errors == 0).all()


def test_every_index_is_answered_by_exact():
    assert set(ESTIMATORS["exact"].indices) == set(INDICES)


def test_complete_strata_answer_every_index():
    table = smooth_table(N, seed=5)
    design = Strata(N, 0, uniform_law(N))
    pool = Pool(design, design.capacity, table[pack(design.draw(0, design.capacity).coalitions)])
    full = Pool(Exhaustive(N), 1 << N, table)
    for tag in ("SV", "k-SII", "FSII", "Moebius"):
        np.testing.assert_allclose(pool.answer(Question(tag)).values, full.answer(Question(tag)).values, atol=1e-9)
