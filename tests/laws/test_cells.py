"""Laws of `cells` and `svarmiq` for every read-out index in orders 1 to 3, and of the surrogate correction by itself."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.games import smooth_table
from xai_ray.coalitions import Strata
from xai_ray.coalitions.exhaustive import pack, unpack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import BudgetTooSmall, NotEnoughSamples
from xai_ray.estimators import ESTIMATORS, Ask, Pool, plan, svarmiq
from xai_ray.estimators.correction import cross_fit
from xai_ray.estimators.observed import Observed
from xai_ray.estimators.quadratic_fit import fit_folds
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.table import build
from xai_ray.indices import READ_OUT, Question, exact, readouts, resolve
from xai_ray.testing.strategies import seeds, value_tables
from xai_ray.testing.surrogates import check_surrogate, read_out_questions, sets_of

NAMES = ("cells", "svarmiq")


def answer(table, question, name, budget, seed):
    n = int(np.log2(len(table)))
    planned = plan([Ask(question, name)], n, budget, seed)
    draw = planned.design.draw(0, planned.draws)
    return Pool(planned.design, planned.draws, table[pack(draw.coalitions)]).answer(question, name)


def own_formula(table, question, name, design, draws):
    estimator = build(name, resolve(question, design.n_players), design)
    draw = design.draw(0, draws)
    return estimator.finish(estimator.observe(draw, table[pack(draw.coalitions)]))


@pytest.mark.parametrize("n", [2, 3, 4, 6, 7])
@pytest.mark.parametrize("name", NAMES)
def test_exhausted_strata_give_the_exact_answer_by_the_estimators_own_formula(name, n):
    table = smooth_table(n, outputs=2, seed=n)
    design = Strata(n, 1, uniform_law(n), edges=1)
    asked = [q for q in read_out_questions(n) if (q.order or 1) <= n]
    assert {q.index for q in asked} == set(READ_OUT)
    for question in asked:
        found = own_formula(table, question, name, design, design.capacity)
        truth = exact(table, question)
        assert found.coalitions == truth.coalitions, question
        np.testing.assert_allclose(found.values, truth.values, atol=1e-9, err_msg=str(question))
        assert (found.std_errors == 0).all(), question


@given(table=value_tables(1, 6), data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_quadratic_surrogate_knows_its_own_indices(table, data):
    n, last = int(np.log2(len(table))), len(table) - 1
    rows = np.array(data.draw(st.lists(st.integers(0, last), min_size=1, max_size=2 * FOLDS)))
    fold = np.arange(len(rows)) % (FOLDS + 1) - 1
    for surrogate in fit_folds(unpack(rows, n), table[rows], table[last - rows], fold):
        check_surrogate(surrogate, n)


class Noise:
    """A surrogate that knows nothing of the game: a random table, and the exact indices of it."""

    def __init__(self, n, outputs, seed):
        self.n, self.outputs = n, outputs
        self.table = np.random.default_rng(seed).normal(size=(1 << n, outputs))

    def predict(self, coalitions):
        return self.table[pack(coalitions)]

    def read(self, readout, sets):
        question = resolve(Question("SII", order=readout.size), self.n)
        every = sets_of(self.n, readout.size).tolist()
        return exact(self.table, question).values[[every.index(s) for s in sets.tolist()]][:, None]


def noise(rows):
    """One of its own a fold."""
    n, outputs = rows.n_players, rows.values.shape[1]
    return [Noise(n, outputs, int(pack(rows.coalitions[rows.fold == f][:1])[0])) for f in range(FOLDS)]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_correction_is_exact_at_full_budget_whatever_the_surrogate(order):
    n, table = 6, smooth_table(6, outputs=2, seed=3)
    design = Strata(n, 0, uniform_law(n))
    draw = design.draw(0, 1 << (n - 1))
    rows = SizedRows.of(Observed({0: (draw, table[pack(draw.coalitions)])}).rows(), design)
    question = resolve(Question("SII", order=order), n)
    values, errors = cross_fit(rows, noise).read(readouts(question, n)[0], sets_of(n, order))
    np.testing.assert_allclose(values[:, 0], exact(table, question).values, atol=1e-9)
    assert (errors == 0).all()


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_whole_correction_is_unbiased_whatever_the_surrogate(order):
    n, table, seeds_each = 6, smooth_table(6, seed=3), 150
    question = resolve(Question("SII", order=order), n)
    truth, readout, sets = exact(table, question).values, readouts(question, n)[0], sets_of(n, order)
    found = []
    for seed in range(seeds_each):
        design = Strata(n, seed, uniform_law(n), edges=1)
        draw = design.draw(0, 1 << (n - 2))
        rows = SizedRows.of(Observed({0: (draw, table[pack(draw.coalitions)])}).rows(), design)
        found.append(cross_fit(rows, noise).read(readout, sets)[0][:, 0])
    off = np.array(found) - truth
    deviation = off.mean(axis=0) / (off.std(axis=0, ddof=1) / np.sqrt(seeds_each))
    assert np.quantile(np.abs(deviation), 0.95) < 3.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [2, 3])
def test_additive_games_have_no_interactions(name, order):
    table = (unpack(np.arange(1 << 9), 9) @ np.arange(1.0, 10.0))[:, None] + 5.0
    found = answer(table, Question("SII", order=order), name, 300, 0)
    seen = ~np.isnan(found.values)
    assert seen.any()
    assert (np.abs(found.values) <= 5 * found.std_errors + 1e-9)[seen].all()
    if name == "cells":
        assert seen.all()
        assert np.abs(found.values).max() < 0.1


def test_a_dummy_player_has_no_interactions_within_the_error():
    table = np.repeat(smooth_table(8, seed=1), 2, axis=0)  # player 0 changes nothing
    for question in (Question("SV"), Question("SII"), Question("SII", order=3), Question("FSII", order=3)):
        found = answer(table, question, "cells", 300, 0)
        own = [at for at, one in enumerate(found.coalitions) if 0 in one]
        assert (np.abs(found.values[own]) <= 5 * found.std_errors[own] + 1e-9).all(), question


@pytest.mark.parametrize("name", NAMES)
def test_a_shift_changes_only_the_empty_set(name):
    table = smooth_table(8, seed=6)
    for question in read_out_questions(8):
        a, b = (answer(t, question, name, 230, 0) for t in (table, table + 1000.0))
        moved = np.array([1000.0 * (len(one) == 0) for one in a.coalitions]).reshape(-1, *[1] * (a.values.ndim - 1))
        np.testing.assert_allclose(a.values + moved, b.values, atol=1e-6, err_msg=str(question))
        np.testing.assert_allclose(a.std_errors, b.std_errors, atol=1e-6, err_msg=str(question))


COVERED = [
    ("SV", None, "cells", 300),
    ("PHIM", None, "cells", 300),
    ("SII", 2, "cells", 300),
    ("SII", 3, "cells", 400),
    ("k-SII", 2, "cells", 300),
    ("FSII", 2, "cells", 300),
    ("STII", 3, "cells", 400),
    ("Fourier", 2, "cells", 300),
    ("SGV", 2, "cells", 300),
    ("SV", None, "svarmiq", 300),
    ("SII", 2, "svarmiq", 400),
    ("SII", 3, "svarmiq", 600),
    ("Fourier", 2, "svarmiq", 400),
]


@pytest.mark.parametrize(("tag", "order", "name", "budget"), COVERED)
def test_intervals_cover(tag, order, name, budget):
    """Law 5: nominal 95 % intervals cover 92-98 % of what was sampled, and the mean over seeds is near the truth if not shrunk."""
    n, seeds_each = 10, 100
    inside, deviation = [], []
    for game in (4, 11):
        table = smooth_table(n, seed=game)
        question = resolve(Question(tag, order=order), n)
        truth = exact(table, question).values
        found = [answer(table, question, name, budget, seed) for seed in range(seeds_each)]
        errors = np.array([e.std_errors for e in found])
        seen = ~np.isnan(errors)
        exactly = (errors == 0) & seen
        off = np.array([e.values for e in found]) - truth
        assert np.abs(off[exactly]).max(initial=0.0) < 1e-9
        ends = [e.intervals() for e in found]
        hit = np.array([(low <= truth) & (truth <= high) for low, high in ends])
        inside.append(hit[seen & ~exactly])
        sampled = (seen & ~exactly).all(axis=0)
        off = off[:, sampled]
        deviation.append(off.mean(axis=0) / (off.std(axis=0, ddof=1) / np.sqrt(seeds_each)))
    covered = np.concatenate(inside).mean()
    assert 0.92 <= covered <= 0.98, covered
    if name == "svarmiq" or tag in ("SV", "PHIM"):
        assert np.quantile(np.abs(np.concatenate(deviation)), 0.95) < 3.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("tag", "order"), [("Moebius", 2), ("CoMoebius", 2), ("Moebius", 3)])
def test_single_contexts_are_exact_where_drawn_and_missing_where_not(name, tag, order):
    n, table = 9, smooth_table(9, outputs=2, seed=2)
    question = resolve(Question(tag, order=order), n)
    truth = exact(table, question).values
    complete = answer(table, question, name, 300, 0)
    np.testing.assert_allclose(complete.values, truth, atol=1e-10)
    assert (complete.std_errors == 0).all()
    design = Strata(n, 0, uniform_law(n), edges=1)
    draws = 60
    some = own_formula(table, question, name, design, draws)
    drawn = set(pack(design.draw(0, draws).coalitions).tolist())
    whole = 0 if tag == "Moebius" else (1 << n) - 1
    for one, value, error in zip(some.coalitions, some.values, some.std_errors, strict=True):
        parts = [whole ^ sum(1 << i for i in part) for size in range(len(one) + 1) for part in combinations(one, size)]
        there = drawn.issuperset(parts)
        assert np.isnan(value).all() == np.isnan(error).all() == (not there), one
    seen = ~np.isnan(some.values)
    assert 0 < seen.sum() < seen.size
    np.testing.assert_allclose(some.values[seen], truth[seen], atol=1e-10)
    assert (some.std_errors[seen] == 0).all()


def test_lower_orders_of_shapley_taylor_are_exact():
    table = smooth_table(9, seed=4)
    found = answer(table, Question("STII", order=3), "cells", 260, 0)
    truth = exact(table, found.question).values
    low = np.array([len(one) < 3 for one in found.coalitions])
    np.testing.assert_allclose(found.values[low], truth[low], atol=1e-10)
    assert (found.std_errors[low] == 0).all()
    assert (found.std_errors[~low] > 0).all()


def test_minimums_say_what_must_be_exhausted():
    for tag, order, least in (("Moebius", 2, 2 * (1 + 12 + 66)), ("CoMoebius", 3, 2 * (1 + 12 + 66 + 220))):
        with pytest.raises(BudgetTooSmall, match=f"at least {least} "):
            plan([Ask(Question(tag, order=order), "cells")], 12, least - 2, 0)
        assert plan([Ask(Question(tag, order=order), "cells")], 12, least, 0).evaluations == least


def test_cells_never_seen_are_missing_from_svarmiq():
    table = smooth_table(10, seed=1)
    found = own_formula(table, Question("MOI"), "svarmiq", Strata(10, 3, uniform_law(10), edges=1), 100)
    missing = np.isnan(found.values)
    assert missing.any()
    assert not missing.all()
    assert (np.isnan(found.std_errors) == missing).all()
    with pytest.raises(NotEnoughSamples, match=r"no coalition of size .* was drawn"):
        own_formula(table, Question("SII"), "svarmiq", Strata(10, 3, uniform_law(10)), 3)


@pytest.mark.parametrize("seed", range(4))
def test_a_cell_never_seen_is_missing_and_never_infinite(seed):
    """Its sums are differences of others' and need not be zero to the bit."""
    table = smooth_table(10, seed=seed) * 1.7 + 0.3
    found = answer(table, Question("SII", order=3), "svarmiq", 400, seed)
    missing = np.isnan(found.values)
    assert missing.any()
    assert not missing.all()
    assert np.isfinite(found.values[~missing]).all()
    truth = exact(table, resolve(Question("SII", order=3), 10))
    assert np.abs((found.values - truth.values)[~missing]).max() < 100 * np.abs(truth.values).max()


@pytest.mark.parametrize("name", NAMES)
def test_pairs_restrict_pairs_alone(name):
    table = smooth_table(9, outputs=2, seed=5)
    pairs = ((0, 3), (2, 7))
    for tag in ("SII", "MOI", "FSII", "STII"):
        some, every = (answer(table, Question(tag, pairs=p), name, 250, 1) for p in (pairs, None))
        at = [every.coalitions.index(one) for one in some.coalitions]
        assert [one for one in some.coalitions if len(one) == 2] == list(pairs)
        np.testing.assert_allclose(some.values, every.values[at], atol=1e-11)
        np.testing.assert_allclose(some.std_errors, every.std_errors[at], atol=1e-11)


@given(seed=seeds())
@settings(max_examples=8, deadline=None)
def test_orders_agree_on_sets_that_they_share(seed):
    """k-SII and SII of the top order are one index."""
    table = smooth_table(8, seed=seed % 1000)
    design = Strata(8, seed, uniform_law(8), edges=1)
    low, high = (own_formula(table, Question(tag, order=3), "cells", design, 70) for tag in ("SII", "k-SII"))
    np.testing.assert_allclose(low.values, high.values[-len(low.values) :], atol=1e-12)


@pytest.mark.parametrize("question", [Question("SII"), Question("SV"), Question("MOI")])
def test_too_few_draws_for_bare_cells_say_how_many_meet_them_all(question):
    n = 12
    table, resolved = smooth_table(n), resolve(question, n)
    need = svarmiq.meeting_all(resolved, n)
    missing = [np.isnan(answer(table, question, "svarmiq", need, seed).values).mean() for seed in range(5)]
    assert np.mean(missing) < 0.02


def test_bare_cells_that_are_all_missing_name_the_budget_that_meets_them():
    question, n = Question("SII"), 14
    need = svarmiq.meeting_all(resolve(question, n), n)
    with pytest.raises(NotEnoughSamples, match=f"about {need:,} evaluations"):
        answer(smooth_table(n), question, "svarmiq", ESTIMATORS["svarmiq"].minimum(resolve(question, n), n), 0)


def test_a_coalition_that_is_drawn_by_chance_does_not_stand_for_thousands():
    """Airport of 150 players: interactions are small and of one sign, and the pairs whose own coalition was drawn come out like others."""
    n = 150
    costs = 1.0 + (np.arange(n) * 37 % n) / n
    question = Question("SII")
    planned = plan([Ask(question, "cells")], n, 1_500, 0)
    draw = planned.design.draw(0, planned.draws)
    values = np.where(draw.coalitions, costs, 0.0).max(axis=1)[:, None]
    found = Pool(planned.design, planned.draws, values).answer(question, "cells")
    steps = np.diff(np.r_[0.0, np.sort(costs)])
    # The interaction of a step with r players above it: -step / (r - 1) for two of them.
    above = n - np.arange(n)
    shared = np.cumsum(np.where(above > 1, -steps / np.maximum(above - 1, 1), 0.0))
    rank = np.argsort(np.argsort(costs))
    truth = np.array([shared[min(rank[i], rank[j])] for i, j in found.coalitions])
    hit = {tuple(np.flatnonzero(row)) for row in draw.coalitions if row.sum() == 2}
    drawn = np.array([pair in hit for pair in found.coalitions])
    off = np.abs(found.values[:, 0] - truth)
    assert drawn.sum() > 5
    assert off[drawn].mean() < 3 * off[~drawn].mean()
    low, high = found.intervals()
    assert ((low[:, 0] <= truth) & (truth <= high[:, 0])).mean() > 0.9
