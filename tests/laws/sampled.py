"""Estimates from a table of all values by the plan of one question, and how often their intervals cover the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from xai_ray.coalitions import from_description
from xai_ray.coalitions.exhaustive import pack
from xai_ray.estimators import Ask, Estimate, Pool, cells, plan
from xai_ray.estimators.cell_means import read_means
from xai_ray.estimators.correction import cross_fit
from xai_ray.estimators.observed import Observed
from xai_ray.estimators.readouts import single_context
from xai_ray.estimators.sized import SizedRows
from xai_ray.estimators.whole import assemble
from xai_ray.indices import Question, exact, resolve


def drawn(table: np.ndarray, question: Question, name: str, budget: int, seed: int) -> Pool:
    """The values that the plan of one question draws within a budget."""
    planned = plan([Ask(question, name)], int(np.log2(len(table))), budget, seed)
    return Pool(planned.design, planned.draws, table[pack(planned.design.draw(0, planned.draws).coalitions)])


def estimate(table: np.ndarray, question: Question, name: str, budget: int, seed: int) -> Estimate:
    """The answer of one estimator to one question within a budget."""
    return drawn(table, question, name, budget, seed).answer(question, name)


def whole_correction(pool: Pool, question: Question) -> Estimate:
    """The answer of `cells` with the whole correction, which is unbiased; its own is drawn towards zero for sets of two and more."""
    rows = SizedRows.of(Observed({0: (pool.design.draw(0, pool.draws), pool.values)}).rows(), pool.design)
    fitted = cross_fit(rows, cells.ridge)

    def read(readout, sets):
        if single_context(readout):
            return read_means(rows, readout, sets, pool.design.stochastic)
        return fitted.read(readout, sets)

    return assemble(resolve(question, pool.design.n_players), "cells", rows, read)


def coverage(table: np.ndarray, question: Question, name: str, budget: int, seeds: int) -> tuple[float, np.ndarray]:
    """Share of nominal 95 % intervals that hold the truth, where there is an error; and deviation of the mean over seeds from the
    truth in its own standard errors."""
    truth = exact(table, resolve(question, int(np.log2(len(table))))).values
    found = [estimate(table, question, name, budget, seed) for seed in range(seeds)]
    inside = np.array([(low <= truth) & (truth <= high) for low, high in (e.intervals() for e in found)])
    values = np.array([e.values for e in found])
    sampled = np.array([e.std_errors for e in found]).max(axis=0) > 0
    np.testing.assert_allclose(values[:, ~sampled], np.broadcast_to(truth, values.shape)[:, ~sampled], atol=1e-9)
    deviation = (values.mean(axis=0) - truth)[sampled] / (values.std(axis=0, ddof=1)[sampled] / np.sqrt(seeds))
    return float(inside[:, sampled].mean()), np.abs(deviation)


def check_cuts(design: Any, last: int) -> None:
    """Any cut of the first `last` draws gives the same draws, in a design that was described and built again."""
    whole = design.draw(0, last)
    assert len(whole.coalitions) == design.evaluations(last)
    for start, stop in [(0, 1), (0, 7), (1, 2), (13, 29), (39, 40)]:
        if stop > last:
            continue
        fresh = from_description(design.describe())
        assert fresh == design
        part, rows = fresh.draw(start, stop), slice(fresh.evaluations(start), fresh.evaluations(stop))
        assert (part.coalitions == whole.coalitions[rows]).all()
        assert (part.context == whole.context[rows]).all()
        assert (part.owner + start == whole.owner[rows]).all()
        assert (part.stratum == whole.stratum[start:stop]).all()
        assert (part.index == whole.index[start:stop]).all()


def check_affordable(design: Any) -> None:
    """What is affordable never exceeds the budget and wastes less than a draw."""
    for budget in [*range(2, 150), 997, 5_000]:
        draws = design.affordable(budget)
        assert design.evaluations(draws) <= budget
        if design.capacity is None or draws < design.capacity:
            assert design.evaluations(draws + 1) > budget
