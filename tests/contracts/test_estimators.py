"""The shipped contract, on every sampled estimator, for random games, seeds and cuts."""

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.laws.test_full_budget_is_exact import parameters
from xai_ray.coalitions import Exhaustive, Permutations, Strata
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import ESTIMATORS
from xai_ray.estimators.table import build
from xai_ray.indices import Question, resolve
from xai_ray.testing.estimators import check_estimator
from xai_ray.testing.strategies import cuts, seeds, value_tables

CASES = [(tag, name) for name, row in ESTIMATORS.items() if name != "exact" for tag in row.indices] + [
    ("SV", "exact"),
    ("MOI", "exact"),
]


def design_of(name, question, n, seed):
    kind, own = ESTIMATORS[name].designs[0], ESTIMATORS[name].design
    if kind in ("paired", "stars", "cubes", "owen_orders", "player_contexts", "run_contexts"):
        return own([question], n, seed, False)
    if kind == "permutations":
        return Permutations(n, seed)
    return Exhaustive(n) if kind == "exhaustive" else Strata(n, seed, uniform_law(n), edges=1)


@pytest.mark.parametrize(("tag", "name"), CASES)
@given(data=st.data(), table=value_tables(4, 6), seed=seeds())
@settings(max_examples=12, deadline=None)
def test_contract(tag, name, data, table, seed):
    n = int(np.log2(len(table)))
    question = resolve(Question(tag, **parameters(tag, name, n)), n)
    design = design_of(name, question, n, seed)
    full = design.capacity is not None and (name == "exact" or data.draw(st.booleans()))
    least = ESTIMATORS[name].minimum(question, n) // 2 if name in ("faith", "kernel_iq") else 0
    draws = design.capacity if full else min(design.capacity or 40, max(least, data.draw(st.integers(8, 12)) + n))
    cut = data.draw(cuts(draws))
    try:
        check_estimator(lambda d: build(name, question, d), design, draws, table, cut)
    except NotEnoughSamples:
        # A list may be empty, as of a game that is zero everywhere.
        if not full and ESTIMATORS[name].sparse:
            return
        # Means of cells alone are missing where a cell is, which few draws leave to chance.
        if full or name != "svarmiq":
            raise
        reject()


def test_the_contract_catches_an_estimator_that_forgets():
    class Forgetful:
        def __init__(self, inner):
            self.inner, self.name = inner, "forgetful"

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def merge(self, a, b):
            return b

    table = np.random.default_rng(0).normal(size=(64, 1))
    design = Permutations(6, 0)
    question = resolve(Question("SV"), 6)
    with pytest.raises(AssertionError, match="one answer"):
        check_estimator(lambda d: Forgetful(build("permutation", question, d)), design, 9, table, [(4, 9), (0, 4)])
