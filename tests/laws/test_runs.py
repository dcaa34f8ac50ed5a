"""Multivariate interactions from shared contexts: the design, the estimator, its errors, and cuts of toy functions that are known."""

import numpy as np
import pytest

from tests.games import smooth_table
from tests.laws.sampled import coverage, estimate
from xai_ray.coalitions import from_description
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.run_contexts import RunContexts
from xai_ray.errors import BudgetTooSmall, NotEnoughSamples, SpecError
from xai_ray.estimators import Ask, Pool, plan
from xai_ray.estimators.runs import make
from xai_ray.indices import Question, exact, resolve

DESIGNS = [
    RunContexts(9, 3, (7, 2, 4), True),
    RunContexts(10, 3, (1, 5), False),
    RunContexts(12, 2**62, (0, 11, 5, 3), False, stochastic=True),
    RunContexts(60, 1, tuple(range(20, 25)), True),
    RunContexts(300, 5, (299, 0, 150), False),
    RunContexts(4, 0, (2, 0, 1), True),
    RunContexts(3, 0, (2, 0, 1), True),
]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: f"{d.n_players}-{len(d.members)}")
def test_any_cut_of_the_sequence_gives_the_same_draws(design):
    draws = min(40, design.capacity or 40)
    whole, fresh = design.draw(0, draws), from_description(design.describe())
    assert fresh == design
    assert len(whole.coalitions) == design.evaluations(draws)
    assert not whole.coalitions[0].any()
    assert whole.coalitions[1].all()
    for start, stop in [(0, 1), (0, 7), (1, 2), (13, 29), (39, 40)]:
        if stop > draws:
            continue
        part = fresh.draw(start, stop)
        rows = slice(design.evaluations(start), design.evaluations(stop))
        assert (part.coalitions == whole.coalitions[rows]).all()
        assert (part.context == whole.context[rows]).all()
        assert (part.owner + start == whole.owner[rows]).all()
        assert (part.stratum == whole.stratum[start:stop]).all()
        assert (part.index == whole.index[start:stop]).all()


def test_a_draw_is_a_context_and_its_complement_with_every_block():
    design = RunContexts(10, 1, (6, 2, 8), True)
    draw, outside = design.draw(1, 25), [0, 1, 3, 4, 5, 7, 9]
    rows = draw.coalitions.reshape(24, 2, 7, 10)
    assert (rows[:, 0][:, :, outside] == ~rows[:, 1][:, :, outside]).all()
    assert (rows[:, :, :1, outside] == rows[:, :, :, outside]).all()
    assert (rows[:, 0, 0, outside].sum(axis=1) == draw.stratum).all()
    blocks = {tuple(np.flatnonzero(row)) for row in rows[0, 0][:, [6, 2, 8]]}
    assert blocks == {(), (0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)}
    assert RunContexts(10, 1, (6, 2, 8), False).rows_per_draw == 2 * (1 + 1 + 3)


@pytest.mark.parametrize(
    ("n", "members"), [(8, (1, 5)), (9, (3, 0, 4)), (5, (4, 1, 2)), (4, (0, 1, 3)), (3, (2, 1, 0))]
)
def test_all_draws_are_all_contexts_once_and_exact(n, members):
    design = RunContexts(n, 6, members, True)
    rows = design.draw(0, design.capacity).coalitions
    outside = [i for i in range(n) if i not in members]
    bare = rows[~rows[:, list(members)].any(axis=1)][:, outside]
    assert (np.sort(pack(bare)) == np.arange(1 << len(outside))).all() if outside else len(bare) == 1
    table = smooth_table(n, outputs=2, seed=n)
    pool = Pool(design, design.capacity, table[pack(rows)])
    for tag in ("MVI", "BMAX", "BMIN"):
        found = pool.answer(Question(tag, groups=(members,)), "runs")
        np.testing.assert_allclose(found.values, exact(table, found.question).values, atol=1e-9)
        assert (found.std_errors == 0).all()
        assert found.evaluations == design.evaluations(design.capacity)
        assert found.coalitions == (tuple(sorted(members)),)


def test_sizes_are_seen_evenly_whole_rounds_and_cut_ones():
    design = RunContexts(34, 0, (0, 1), False)
    strata = design.draw(1, 1 + 10 * 16).stratum
    rounds = strata[: 16 * 10].reshape(10, 16)
    assert (np.sort(rounds, axis=1) == np.arange(1, 17)).all()
    first = np.concatenate([RunContexts(34, seed, (0, 1), False).draw(1, 6).stratum for seed in range(320)])
    counts = np.bincount(first, minlength=17)[1:]
    assert np.abs(counts - 100).max() < 5 * np.sqrt(100)


@pytest.mark.parametrize(
    ("n", "members", "budget"),
    [(9, (2, 5, 3), 100), (12, (2, 5, 3, 7), 120), (12, (2, 5, 3, 7), 400), (14, (0, 1), 400)],
)
def test_multivariate_interactions_cover_and_are_unbiased(n, members, budget):
    covered, deviation = coverage(smooth_table(n, seed=4), Question("MVI", groups=(members,)), "runs", budget, 400)
    assert 0.92 <= covered <= 0.98, covered
    assert deviation.max() < 4.0, deviation


@pytest.mark.parametrize(("tag", "budget"), [("BMAX", 200), ("BMAX", 400), ("BMIN", 400)])
def test_intervals_of_the_best_partition_cover(tag, budget):
    covered, _ = coverage(smooth_table(12, seed=4), Question(tag, groups=((2, 5, 3, 7),)), "runs", budget, 250)
    assert 0.92 <= covered <= 0.985, covered


def test_near_ties_have_an_error_although_the_partition_of_singles_is_worth_zero():
    """Two players that hardly interact: the best of (0, I) is often the 0 of single players, and I may still be above it."""
    table, question = smooth_table(14, seed=4), Question("BMIN", groups=((0, 1),))
    truth = exact(table, question).values
    found = [estimate(table, question, "runs", 150, seed) for seed in range(200)]
    assert np.mean([(e.values == 0).all() for e in found]) > 0.2
    assert all((e.std_errors > 0).all() for e in found)
    inside = [(low <= truth) & (truth <= high) for low, high in (e.intervals() for e in found)]
    assert np.mean(inside) >= 0.92


def test_a_larger_budget_only_appends_and_auto_finds_it():
    question = Question("BMAX", groups=((2, 5, 3),))
    small, large = (plan([Ask(question)], 12, budget, 5) for budget in (200, 900))
    assert small.asks[0].estimator == "runs"
    assert small.design == large.design
    assert small.evaluations <= 200
    assert large.evaluations <= 900
    part, whole = small.design.draw(0, small.draws), large.design.draw(0, small.draws)
    assert (part.coalitions == whole.coalitions).all()
    # More than all outside contexts is not spent.
    assert plan([Ask(question)], 12, 4_000, 5).evaluations == 7 * 2**9


def test_questions_about_one_set_share_its_contexts():
    table, asked = smooth_table(9, seed=1), ((5, 2, 7),)
    asks = [Ask(Question(tag, groups=asked)) for tag in ("MVI", "BMAX", "BMIN")]
    planned = plan(asks, 9, 300, 0)
    assert planned.design.every_run
    assert not plan(asks[:1], 9, 300, 0).design.every_run
    pool = Pool(planned.design, planned.draws, table[pack(planned.design.draw(0, planned.draws).coalitions)])
    middle, top, bottom = (pool.answer(ask.question).values for ask in asks)
    assert (bottom <= middle + 1e-12).all()
    assert (middle <= top + 1e-12).all()
    np.testing.assert_array_equal(pool.answer(Question("MVI", groups=((7, 5, 2),))).values, middle)


def test_what_does_not_go_together_is_refused():
    def ask(tag, *players):
        return Ask(Question(tag, groups=(players,)))

    for asks, says in [
        ([ask("MVI", 0, 1), ask("MVI", 0, 2)], "contexts for one set of players"),
        ([ask("BMAX", 0, 1, 2), ask("BMIN", 0, 2, 1)], "one order of its players"),
        ([ask("MVI", 0)], "one set of at least two players"),
        ([Ask(Question("MVI", groups=((0, 1), (2, 3))))], "one set of at least two players"),
        ([ask("MVI", 0, 1), Ask(Question("SV"))], "one job draws one design"),
    ]:
        with pytest.raises(SpecError, match=says):
            plan(asks, 30, 5_000, 0)
    with pytest.raises(BudgetTooSmall, match=r"'runs' needs at least 1422 for BMAX of 30 players"):
        plan([ask("BMAX", *range(12))], 30, 1_000, 0)
    singles = plan([ask("MVI", 3, 4, 5)], 12, 200, 0).design
    for question, says in [
        (Question("BMAX", groups=((3, 4, 5),)), "single players and the whole set only"),
        (Question("MVI", groups=((3, 4, 6),)), "outside players"),
    ]:
        with pytest.raises(NotEnoughSamples, match=says):
            make(resolve(question, 12), singles)
    every = plan([ask("BMAX", 3, 4, 5)], 12, 200, 0).design
    with pytest.raises(NotEnoughSamples, match=r"in the order \(3, 4, 5\)"):
        make(resolve(Question("BMIN", groups=((4, 3, 5),)), 12), every)
    estimator = make(resolve(Question("MVI", groups=((3, 4, 5),)), 12), singles)
    draw = singles.draw(0, 4)
    with pytest.raises(NotEnoughSamples, match=r"needs 9 draws of contexts \(90 evaluations\), has 4"):
        estimator.finish(estimator.observe(draw, np.zeros((len(draw.coalitions), 1))))


def test_all_players_are_one_context_and_exact():
    table = smooth_table(6, outputs=2, seed=3)
    question = Question("BMAX", groups=((3, 0, 5, 1, 2, 4),))
    found = estimate(table, question, "runs", 22, 0)
    np.testing.assert_allclose(found.values, exact(table, question).values, atol=1e-9)
    assert (found.std_errors == 0).all()
    assert found.evaluations == 22


def test_draws_of_a_stochastic_game_share_a_context():
    draw = RunContexts(8, 3, (1, 4, 2), True, stochastic=True).draw(0, 200)
    assert (draw.context[draw.owner == 0] == -1).all()
    for number in (1, 57, 199):
        assert len(set(draw.context[draw.owner == number].tolist())) == 1
    assert len(np.unique(draw.context)) == 200


def add_multiply(rng, n):
    """A sum of products of runs (Zhang et al., synthetic functions): the runs, and x1 + x2 x3 + ... on presence, values in 1..2."""
    cuts = rng.random(n - 1) < 0.5
    runs = np.split(np.arange(n), np.flatnonzero(cuts) + 1)
    weight = rng.uniform(1, 2, n)
    return runs, lambda z: sum(np.prod(z[:, run] * weight[run], axis=1) for run in runs)


def and_or(rng, n):
    """A disjunction of conjunctions of runs."""
    cuts = rng.random(n - 1) < 0.5
    runs = np.split(np.arange(n), np.flatnonzero(cuts) + 1)
    return runs, lambda z: np.max([z[:, run].all(axis=1) for run in runs], axis=0).astype(float)


@pytest.mark.parametrize("toy", [add_multiply, and_or])
def test_cuts_of_toy_functions_are_recovered(toy):
    """Precision and recall of the joints (places that are not cut) within a random set A of a random toy function."""
    from xai_ray.estimators.observed import Observed
    from xai_ray.estimators.run_spread import Spread
    from xai_ray.estimators.runs import block_gains
    from xai_ray.indices.multivariate import best_partition

    hits = found_joints = true_joints = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, size = int(rng.integers(8, 13)), int(rng.integers(2, 6))
        runs, v = toy(rng, n)
        first = int(rng.integers(0, n - size + 1))
        members = tuple(range(first, first + size))
        whole = [run for run in runs if set(run) <= set(members)]
        design = RunContexts(n, seed, members, True)
        draws = min(design.capacity, 30)
        draw = design.draw(0, draws)
        rows = Observed({0: (draw, v(draw.coalitions)[:, None])}).rows()
        spread = Spread(design, rows.stratum)
        phi = np.einsum("d,dbk->bk", spread.weights, block_gains(design, rows))
        partition = best_partition(phi, design.runs, members, largest=True).partitions[0]
        found = {int(a) for run in partition for a in run[:-1]}
        true = {int(a) for run in whole for a in run[:-1]}
        # A run that A cuts through is worth nothing without the rest that stays outside: joints there are not counted.
        inside = {int(a) for run in whole for a in run}
        found = {a for a in found if a in inside and a + 1 in inside}
        hits += len(found & true)
        found_joints += len(found)
        true_joints += len(true)
    assert true_joints > 30
    precision, recall = hits / found_joints, hits / true_joints
    assert precision >= 0.9, precision
    assert recall >= 0.9, recall
