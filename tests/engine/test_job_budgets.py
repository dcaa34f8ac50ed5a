"""Law 6: the budget is counted in evaluations of v and never exceeded, whatever the estimator."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.job_games import Counting
from xai_ray.api import explain
from xai_ray.errors import BudgetTooSmall, SpecError
from xai_ray.estimators.table import ESTIMATORS, answers
from xai_ray.indices import Question, resolve

CASES = [
    (name, tag, noisy)
    for name, row in ESTIMATORS.items()
    for tag in ("SV", "SII", "STII", "MOI")
    for noisy in (False, True)
    if answers(row, resolve(Question(tag), 7)) and not (noisy and name in ("exact", "kernel_iq"))
]


@pytest.mark.parametrize(("estimator", "index", "stochastic"), CASES)
def test_the_budget_is_never_exceeded(estimator: str, index: str, stochastic: bool) -> None:
    """Law 6, for every estimator: what it says it needs is enough, one less is refused, and no budget is overspent."""
    need = ESTIMATORS[estimator].minimum(resolve(Question(index), 7), 7, stochastic)
    for budget in sorted({need, need + 1, need + 5, max(need, 100), max(need, 127), max(need, 128), max(need, 131)}):
        game = Counting(7, stochastic=stochastic)
        found = explain(game, index, estimator=estimator, budget=budget)
        assert game.rows == found.evaluations <= budget
        if not stochastic and estimator in ("exact", "leverage", "cells"):
            codes = np.concatenate(game.seen)
            assert len(np.unique(codes)) == len(codes)
    game = Counting(7, stochastic=stochastic)
    with pytest.raises(BudgetTooSmall, match=rf"{need}"):
        explain(game, index, estimator=estimator, budget=need - 1)
    assert game.rows == 0


def test_kernel_iq_refuses_a_stochastic_game_before_anything_is_spent() -> None:
    game = Counting(7, stochastic=True)
    with pytest.raises(SpecError, match="stochastic game"):
        explain(game, "SII", estimator="kernel_iq", budget=200)
    assert game.rows == 0
