"""Means over rows: over all relabellings of a fixed design what rows add to a mean is exact, with the variance that is there."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

import xai_ray as xr
from xai_ray.coalitions.row_blocks import relabelled
from xai_ray.estimators import plan
from xai_ray.estimators.plan import Ask
from xai_ray.estimators.row_answers import RowAnswers, answer_rows
from xai_ray.estimators.row_sums import INDEPENDENT, AnswerSums, OverRows
from xai_ray.indices import Question, resolve
from xai_ray.types import Floats

N = 5
RELABELLINGS = np.array(list(permutations(range(N))), dtype=np.int64)
BINARY = 1 << np.arange(N)


def table(seed: int = 0) -> Floats:
    """A game with interactions of all orders, (2^n,), player i is bit i."""
    rng = np.random.default_rng(seed)
    present = (np.arange(1 << N)[:, None] & BINARY) > 0
    return (
        np.tanh(present @ rng.normal(size=N))
        + present[:, 0] * present[:, 1] * present[:, 2]
        + 0.3 * rng.normal(size=1 << N)
    )


def of_all_relabellings(question: Question, estimator: str, budget: int, seed: int = 0) -> tuple[RowAnswers, Floats]:
    """One game as n! rows, each through another relabelling of one design; and its exact answer (c, m, 1)."""
    ask, game = Ask(resolve(question, N), estimator), table()
    planned = plan([ask], N, budget, seed)
    coalitions = planned.design.draw(0, planned.draws).coalitions
    values = np.empty((len(RELABELLINGS), len(coalitions), 1))
    for row, sigma in enumerate(RELABELLINGS):
        values[row, :, 0] = game[relabelled(coalitions, np.tile(sigma, (len(coalitions), 1))) @ BINARY]
    found = answer_rows(planned.design, planned.draws, values, RELABELLINGS, ask).whole()
    exact = xr.explain(xr.TableGame(game), asks=[Ask(question, "exact")], budget="exact").estimates[0].values
    return found, exact.reshape(found.values.shape[1:])


ASKED = [Question("SV"), Question("BV"), Question("SII", 2), Question("MOI", contexts=(0, 1, 3)), Question("SII", 3)]


@pytest.mark.parametrize("question", ASKED, ids=lambda q: f"{q.index}{q.order or ''}")
@pytest.mark.parametrize("estimator", ["gp_shared", "gp"])
def test_a_process_is_unbiased_over_relabellings(question: Question, estimator: str) -> None:
    found, exact = of_all_relabellings(question, estimator, 24)
    assert found.over_rows is not None
    assert not found.over_rows.common
    assert np.abs(found.values.mean(axis=0) - exact).max() > 1e-3
    np.testing.assert_allclose((found.values + found.over_rows.shift).mean(axis=0), exact, atol=1e-7)


def test_a_regression_is_unbiased_over_relabellings() -> None:
    found, exact = of_all_relabellings(Question("SV"), "leverage", 26, seed=1)
    assert found.over_rows is not None
    assert not found.over_rows.common
    assert np.abs(found.values.mean(axis=0) - exact).max() > 1e-3
    shifted = found.values + found.over_rows.shift
    np.testing.assert_allclose(shifted.mean(axis=0), exact, atol=1e-9)
    # And stays efficient, row by row.
    np.testing.assert_allclose(shifted.sum(axis=1), found.values.sum(axis=1), atol=1e-9)


@pytest.mark.parametrize(
    ("estimator", "index", "budget"), [("permutation", "SV", 26), ("permutation", "BV", 26), ("svarmiq", "SV", 30)]
)
def test_independent_estimators_are_unbiased_over_relabellings(estimator: str, index: str, budget: int) -> None:
    assert estimator in INDEPENDENT
    found, exact = of_all_relabellings(Question(index), estimator, budget)
    assert np.abs(found.values - exact).max() > 1e-3
    assert found.over_rows is None
    np.testing.assert_allclose(found.values.mean(axis=0), exact, atol=1e-12)


def test_the_errors_of_all_other_estimators_count_as_common() -> None:
    for estimator in ("levelled", "stacked"):
        found, _ = of_all_relabellings(Question("SV"), estimator, 26)
        assert found.over_rows is not None
        assert found.over_rows.common


def test_variances_are_those_over_relabellings() -> None:
    """Of every player, though one length scale is fitted to all: the variance that is estimated is the one that is there."""
    for estimator, low, high in (("gp_shared", 0.6, 1.8), ("leverage", 0.6, 1.8)):
        ratios: list[Floats] = []
        for seed in range(8):
            found, exact = of_all_relabellings(Question("SV"), estimator, 26, seed)
            over = found.over_rows
            assert over is not None
            true = ((found.values + over.shift - exact) ** 2).mean(axis=0)
            ratios.append(over.variance.mean(axis=0) / true)
        assert low < np.exp(np.log(ratios).mean()) < high


def test_errors_that_cannot_be_told_apart_are_bounded() -> None:
    values, errors = np.random.default_rng(0).normal(size=(2, 6, 4, 1, 1))
    over = OverRows(np.zeros_like(values), errors**2, common=True)
    sums = [
        AnswerSums.of(values[a:b], abs(errors[a:b]), OverRows(over.shift[a:b], over.variance[a:b], True))
        for a, b in ((0, 2), (2, 6))
    ]
    assert not np.any([one.variances for one in sums])
    common = sums[0].common + sums[1].common
    np.testing.assert_allclose(np.sqrt(common / 6), np.sqrt((errors**2).mean(axis=0)))
