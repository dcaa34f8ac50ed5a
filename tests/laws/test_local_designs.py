"""Laws of the designs in rounds (`paired`, `stars`, `cubes`) and of the estimators that read their second differences."""

from math import comb

import numpy as np
import pytest

from tests.games import smooth_table
from tests.laws.sampled import check_affordable, check_cuts
from xai_ray.coalitions import Cubes, PairedContexts, Stars
from xai_ray.coalitions.covers import group_blocks, pair_blocks, union_blocks
from xai_ray.coalitions.exhaustive import pack, unpack
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import cube, paired, star
from xai_ray.estimators.differences import PAIR_INDICES
from xai_ray.indices import Question, exact, resolve

ROWS = {row.name: row for row in (paired.INFO, star.INFO, cube.INFO)}
LOCAL = ((0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (3, 5), (5, 9), (6, 7), (7, 8), (6, 8), (0, 9))
EVERY = tuple(range(9))


def grid_pairs(side):
    cells = [(r, c) for r in range(side) for c in range(side)]
    near = [(a, b) for a in cells for b in cells if a < b and max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1]
    return tuple(sorted((a[0] * side + a[1], b[0] * side + b[1]) for a, b in near))


DESIGNS = [
    PairedContexts(10, 3, EVERY),
    PairedContexts(10, 3, (0, 4, 8), LOCAL, singles=True),
    PairedContexts(10, 3, EVERY, law=(0.2,) * 9),
    PairedContexts(90, 2**62, (0, 44, 60), ((0, 1), (5, 80))),
    PairedContexts(196, 5, (0, 97, 192, 194), ((0, 1), (5, 80), (193, 195))),
    PairedContexts(10, 3, EVERY, stochastic=True),
    Stars(10, 3, EVERY),
    Stars(10, 3, EVERY, LOCAL, singles=True),
    Stars(10, 3, EVERY, LOCAL, law=tuple(range(1, 10))),
    Stars(49, 2**62, (0, 5, 24, 40, 47), grid_pairs(7)),
    Stars(49, 1, (0, 24, 47), stochastic=True),
    Cubes(10, 3, EVERY),
    Cubes(30, 2**62, (0, 14, 28), singles=True),
    Cubes(10, 3, (2, 3, 4), law=(1.0, 2.0, 0.5), stochastic=True),
]
IDS = [f"{d.describe()['kind']}-{d.n_players}-{at}" for at, d in enumerate(DESIGNS)]


@pytest.mark.parametrize("design", DESIGNS, ids=IDS)
def test_any_cut_of_the_sequence_gives_the_same_draws(design):
    check_cuts(design, 40)
    assert (np.bincount(design.draw(0, 40).owner, minlength=40) > 0).all()


@pytest.mark.parametrize("design", DESIGNS, ids=IDS)
def test_what_is_affordable_never_exceeds_the_budget_and_wastes_less_than_a_draw(design):
    check_affordable(design)


@pytest.mark.parametrize("design", DESIGNS, ids=IDS)
def test_differences_point_at_the_rows_of_their_pair_and_context(design):
    draw, found = design.draw(3, 60), design.differences(3, 60)
    four = draw.coalitions[found.rows]
    ends = design.pair_list[found.pair]
    at = np.arange(len(found.pair))
    lower, upper = four.all(axis=1), four.any(axis=1)
    assert (upper.sum(axis=1) == found.context + 2).all()
    assert (lower.sum(axis=1) == found.context).all()
    assert not lower[at, ends[:, 0]].any()
    assert not lower[at, ends[:, 1]].any()
    one, other = four[at, 1], four[at, 2]
    assert (one[at, ends[:, 0]] != one[at, ends[:, 1]]).all()
    assert (other == (one ^ (upper ^ lower))).all()
    assert (draw.owner[found.rows] == (found.draw - 3)[:, None]).all()
    contexts = np.unique(draw.context)
    assert (contexts >= 0).all()
    assert len(contexts) == 57


def test_draw_zero_is_the_ends_and_the_singles():
    draw = Stars(10, 0, EVERY, singles=True).draw(0, 1)
    assert pack(draw.coalitions).tolist() == [0, 1023, *(1 << np.arange(10))]
    assert (draw.context == -1).all()


@pytest.mark.parametrize("design", DESIGNS[:2], ids=IDS[:2])
def test_paired_draws_each_context_of_a_pair_once(design):
    capacity = design.capacity
    draw, found = design.draw(0, capacity), design.differences(0, capacity)
    codes = pack(draw.coalitions[found.rows[:, 0]])
    assert len(np.unique(np.stack([found.pair, codes]), axis=1).T) == len(codes) == capacity - 1
    counts = np.bincount(found.pair)
    assert (counts == sum(comb(8, m) for m in design.contexts)).all()
    one_round = np.bincount(design.differences(0, 1 + len(design.pair_list) * design.slots).pair)
    assert (one_round == design.slots).all()


WHOLE = [(kind, n) for kind in (Stars, Cubes) for n in (2, 3, 4, 5, 7, 16)]


@pytest.mark.parametrize(("kind", "n"), [*WHOLE, (Stars, 30), (Cubes, 30)])
def test_a_round_reaches_every_pair_at_every_asked_size(kind, n):
    design = kind(n, 5, (0, 3, 9, 14) if n == 30 else tuple(range(n - 1)))
    draws = design.affordable(design.first_rows + design.round_cost())
    found = design.differences(0, draws)
    seen = np.zeros((n * (n - 1) // 2, n - 1), dtype=int)
    np.add.at(seen, (found.pair, found.context), 1)
    assert (design.chances()[list(design.contexts)] > 0).all()
    assert (seen[:, list(design.contexts)] > 0).all()
    if isinstance(design, Stars):
        assert (seen[:, list(design.contexts)] == 1).all()


@pytest.mark.parametrize("size", [2, 3, 9])
def test_blocks_cover_every_given_pair_once(size):
    pairs = grid_pairs(6)
    blocks = pair_blocks(36, size, pairs)
    covered = [tuple(edge) for block in blocks for edge in block.members[block.edges].tolist()]
    assert sorted(covered) == list(pairs)
    assert max(len(block.members) for block in blocks) <= size


def test_blocks_cover_all_pairs():
    for n, size in [(4, 2), (10, 3), (17, 8), (5, 8)]:
        edges = [tuple(e) for b in group_blocks(n, size) for e in b.members[b.edges].tolist()]
        assert sorted(edges) == [(i, j) for i in range(n) for j in range(i + 1, n)]
    for n, size in [(8, 6), (10, 6), (49, 6), (5, 3)]:
        blocks = union_blocks(n, size)
        together = {(i, j) for b in blocks.tolist() for i in b for j in b if i < j}
        assert len(together) == n * (n - 1) // 2
        assert all(len(set(b)) == size for b in blocks.tolist())


def test_contexts_of_a_star_hold_every_other_player_equally_often():
    """Neighbours included: a fixed block that contexts never enter would answer another question."""
    design = Stars(12, 1, (3, 8), grid_pairs(3))
    found, draw = design.differences(0, 12_000), design.draw(0, 12_000)
    for size in (3, 8):
        here = (found.context == size) & (found.pair == 5)
        contexts = draw.coalitions[found.rows[here]].all(axis=1)
        share = np.delete(contexts.mean(axis=0), design.pair_list[5])
        spread = np.sqrt(size / 10 * (1 - size / 10) / here.sum())
        assert here.sum() > 300
        assert (np.abs(share - size / 10) < 4.5 * spread).all()


def sampled(table, tag, name, budget, seed, stochastic=False, noise=None, **parameters):
    n = int(np.log2(len(table)))
    question = resolve(Question(tag, **parameters), n)
    design = ROWS[name].design([question], n, seed, stochastic)
    draws = design.affordable(budget)
    draw = design.draw(0, draws)
    values = table[pack(draw.coalitions)]
    if noise is not None:
        values = values + noise(draw)
    estimator = ROWS[name].make(question, design)
    return estimator.finish(estimator.observe(draw, values)), design


def truth_of(table, estimate):
    found = exact(table, estimate.question)
    return found.values[[found.coalitions.index(one) for one in estimate.coalitions]]


CASES = [
    ("paired", "MOI", 4_000, {}),
    ("paired", "MOI", 1_200, {"contexts": (0, 2, 5), "pairs": LOCAL}),
    ("paired", "SII", 1_100, {}),
    ("paired", "CHII", 270, {"pairs": LOCAL}),
    ("star", "MOI", 3_300, {}),
    ("star", "MOI", 1_200, {"contexts": (0, 2, 5, 8), "pairs": LOCAL}),
    ("star", "STII", 570, {}),
    ("star", "BII", 180, {"pairs": LOCAL}),
    ("cube", "MOI", 3_850, {}),
    ("cube", "SII", 2_300, {}),
    ("cube", "FBII", 2_300, {}),
]


@pytest.mark.parametrize(("name", "tag", "budget", "parameters"), CASES)
def test_unbiased_and_intervals_cover(name, tag, budget, parameters):
    """Law 5, and every pair by itself is unbiased; the budgets are a few rounds."""
    table = smooth_table(10, seed=4)
    found = [sampled(table, tag, name, budget, seed, **parameters)[0] for seed in range(200)]
    truth = truth_of(table, found[0])
    values = np.array([e.values for e in found])
    errors = np.array([e.std_errors for e in found])
    low, high = np.array([e.intervals() for e in found]).transpose(1, 0, *range(2, values.ndim + 1))
    open_ = np.isfinite(errors) & (errors > 0)
    inside = ((low <= truth) & (truth <= high))[open_].mean()
    assert 0.92 <= inside <= 0.98, inside
    assert np.isnan(values).mean() < 0.02
    np.testing.assert_allclose(values[errors == 0], np.broadcast_to(truth, values.shape)[errors == 0], atol=1e-9)
    count = np.isfinite(values).sum(axis=0)
    moved = np.nanstd(values, axis=0) > 1e-9
    spread = np.nanstd(values, axis=0, ddof=1)[moved] / np.sqrt(count[moved])
    z = (np.nanmean(values, axis=0) - truth)[moved] / spread
    assert np.abs(z).max() < 4.5, z
    assert np.sqrt(np.mean(z**2)) < 1.5


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("tag", PAIR_INDICES)
def test_additive_games_have_no_interactions(name, tag):
    table = (unpack(np.arange(1 << 10), 10) @ (2.0 ** np.arange(10)))[:, None] + 3.0
    found = sampled(table, tag, name, 2_600, 0)[0]
    at = [len(one) == 2 for one in found.coalitions]
    assert (found.values[at] == 0).all()
    errors = found.std_errors[at]
    assert (errors[np.isfinite(errors)] == 0).all()


@pytest.mark.parametrize("name", ROWS)
def test_unanimity_games_have_their_closed_form(name):
    """I^(m)(i,j) = C(m, t-2) / C(n-2, t-2) for i, j in the carrier of t players; a dummy has exactly nothing."""
    n, carrier = 9, [1, 3, 4]
    table = unpack(np.arange(1 << n), n)[:, carrier].all(axis=1)[:, None].astype(float)
    found = sampled(table, "MOI", name, 40_000, 2)[0]
    for (i, j), row, error in zip(found.coalitions, found.values[..., 0], found.std_errors[..., 0], strict=True):
        if i in carrier and j in carrier:
            expected = np.array([comb(m, 1) / comb(n - 2, 1) for m in range(n - 1)])
            assert (np.abs(row - expected) <= 5 * error + 1e-12).all()
        else:
            assert (row == 0).all()


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("tag", ["MOI", "SII"])
def test_stochastic_games_share_a_context_within_a_draw(name, tag):
    """A main effect of the context's own cancels; an interaction of it goes into the standard errors."""
    table = smooth_table(8, seed=3)

    def main(draw):
        own = np.random.default_rng(1).normal(size=200_000)[draw.context] * (draw.context >= 0)
        return (own * draw.coalitions[:, 0] * 100.0 + own * 1000.0)[:, None]

    def pair(draw):
        own = np.random.default_rng(1).normal(size=200_000)[draw.context] * (draw.context >= 0)
        return (own * draw.coalitions[:, 0] * draw.coalitions[:, 1] * 2.0)[:, None]

    quiet = sampled(table, tag, name, 6_000, 0, stochastic=True)[0]
    moved = sampled(table, tag, name, 6_000, 0, stochastic=True, noise=main)[0]
    noisy = sampled(table, tag, name, 6_000, 0, stochastic=True, noise=pair)[0]
    np.testing.assert_allclose(moved.values, quiet.values, atol=1e-9)
    at = quiet.coalitions.index((0, 1))
    assert (noisy.std_errors[at] > 1.3 * quiet.std_errors[at]).all()
    truth = truth_of(table, noisy)[at]
    assert (np.abs(noisy.values[at] - truth) < 5 * noisy.std_errors[at]).all()


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("tag", ["MOI", "STII"])
def test_no_cut_into_units_changes_a_bit(name, tag):
    table = smooth_table(10, outputs=2, seed=2)
    question = resolve(Question(tag), 10)
    design = ROWS[name].design([question], 10, 7, False)
    estimator = ROWS[name].make(question, design)
    draws = design.affordable(3_500)

    def part(start, stop):
        draw = design.draw(start, stop)
        return estimator.observe(draw, table[pack(draw.coalitions)])

    whole = estimator.finish(part(0, draws))
    merged = estimator.empty()
    for start, stop in [(40, draws), (0, 3), (9, 40), (3, 9)]:
        merged = estimator.merge(part(start, stop), merged)
    again = estimator.finish(merged)
    assert np.array_equal(again.values, whole.values, equal_nan=True)
    assert np.array_equal(again.std_errors, whole.std_errors, equal_nan=True)


def test_paired_is_exact_once_every_context_is_there():
    table = smooth_table(6, outputs=2, seed=1)
    found, design = sampled(table, "MOI", "paired", 10**6, 0)
    assert found.evaluations == design.evaluations(design.capacity)
    np.testing.assert_allclose(found.values, truth_of(table, found), atol=1e-12)
    assert (found.std_errors == 0).all()


def test_a_job_of_several_questions_serves_them_all():
    table, n = smooth_table(10, seed=9), 10
    asked = [resolve(Question("MOI", contexts=(1, 4)), n), resolve(Question("SII"), n), resolve(Question("BII"), n)]
    for name, row in ROWS.items():
        for questions in (asked, asked[1:]):
            design = row.design(questions, n, 0, False)
            draws = design.affordable(30_000)
            draw = design.draw(0, draws)
            for question in questions:
                estimator = row.make(question, design)
                found = estimator.finish(estimator.observe(draw, table[pack(draw.coalitions)]))
                error = np.abs(found.values - truth_of(table, found))
                assert (error <= 5 * found.std_errors + 1e-9).all(), (name, question.index)
                assert (error < 0.5).all()


@pytest.mark.parametrize("name", ["paired", "star"])
def test_what_was_never_drawn_is_missing_not_zero(name):
    table = smooth_table(10)
    found = sampled(table, "MOI", name, 200, 0)[0]
    missing = np.isnan(found.values)
    assert missing.any()
    assert not missing.all()
    assert np.isnan(found.std_errors[missing]).all()
    few = ROWS[name].design([resolve(Question("MOI", contexts=(2,), pairs=LOCAL), 10)], 10, 0, False)
    draw = few.draw(0, 30)
    partial = ROWS[name].make(resolve(Question("SV"), 10), few).observe(draw, table[pack(draw.coalitions)])
    for question, says in [
        (Question("SII", pairs=LOCAL), "reads context sizes 0, 1, 3"),
        (Question("MOI", contexts=(2,)), "11 pairs of 45"),
        (Question("MOI", contexts=(2,), pairs=((0, 7),)), r"\(0, 7\) was not drawn"),
        (Question("MOI", contexts=(3,), pairs=LOCAL), "no pair has"),
    ]:
        with pytest.raises(NotEnoughSamples, match=says):
            ROWS[name].make(resolve(question, 10), few).finish(partial)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(SpecError, match="'star'"):
        cube.INFO.design([resolve(Question("MOI", pairs=LOCAL), 10)], 10, 0, False)
    with pytest.raises(ValueError, match=r"0\.\.8"):
        Stars(10, 0, (9,))
    with pytest.raises(ValueError, match="positive weights"):
        PairedContexts(10, 0, (1, 2), law=(1.0, 0.0))
    with pytest.raises(ValueError, match="all pairs"):
        Cubes(10, 0, (1, 2), LOCAL)
