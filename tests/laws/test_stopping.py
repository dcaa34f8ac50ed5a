"""Stop rules say what they mean, decisions are right as often as they claim, and intervals hold where a job stopped."""

from __future__ import annotations

import numpy as np
import pytest

from tests.games import smooth_table
from xai_ray.coalitions import Strata
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import Ask, Estimate, Pool, Stop, boundaries, plan
from xai_ray.estimators.bands import half_widths
from xai_ray.estimators.stop_rules import (
    ERROR,
    BottomSettled,
    RankingSettled,
    RelativeErrorBelow,
    SignsSettled,
    StdErrorBelow,
    TopSettled,
    level,
)
from xai_ray.estimators.stopping import count_sets
from xai_ray.games import TableGame
from xai_ray.indices import INDICES, Question, exact, resolve

SINGLES = Question("SV", 1)


def given(values, errors, sets=None, freedom=1e9):
    values, errors = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    if values.ndim == 1:
        values, errors = values[:, None], np.broadcast_to(errors, values.shape)[:, None]
    sets = tuple((i,) for i in range(len(values))) if sets is None else sets
    return Estimate(SINGLES, sets, values, np.broadcast_to(errors, values.shape), "given", 10, freedom)


def test_boundaries_do_not_depend_on_the_budget():
    design = Strata(12, 0, uniform_law(12))
    short, long = list(boundaries(design, 100)), list(boundaries(design, 1000))
    assert short[:-1] == [b for b in long if b < 100]
    assert short[-1] == 100
    assert long[-1] == 1000


def test_the_levels_of_all_looks_spend_the_error_once():
    spent = sum(1 - level(look) for look in range(1, 200_000))
    assert 0.999 * ERROR < spent < ERROR
    assert level(2) > level(1) > 0.95


@pytest.mark.parametrize(
    "rule",
    [
        StdErrorBelow(1e9),
        RelativeErrorBelow(0.99),
        TopSettled(1),
        BottomSettled(1),
        RankingSettled(1.0),
        SignsSettled(0.5),
    ],
)
def test_what_is_missing_is_never_precise(rule):
    assert rule.judge(given([3.0, 2.0, 1.0], 1e-9), 1).met
    for values, errors in [([3.0, np.nan, 1.0], [1e-9, np.nan, 1e-9]), ([3.0, 2.0, 1.0], [1e-9, np.nan, 1e-9])]:
        assert not rule.judge(given(values, errors), 1).met


def test_relative_error_is_a_share_of_the_spread_of_each_output():
    one = given([[0.0, 0.0], [4.0, 40.0]], [[0.1, 0.1], [0.2, 0.2]])
    verdict = RelativeErrorBelow(0.05).judge(one, 1)
    assert (verdict.met, verdict.found) == (True, pytest.approx(0.05))
    assert not RelativeErrorBelow(0.0499).judge(one, 1).met
    assert not RelativeErrorBelow(0.5).judge(given([2.0, 2.0], 0.1), 1).met
    assert RelativeErrorBelow(0.5).judge(given([2.0, 2.0], 0.0), 1).met


def test_top_needs_every_band_of_the_top_above_every_other():
    z = 2.6  # one side of two values at level(1), Bonferroni: 2.165 of a normal
    assert TopSettled(1).judge(given([z * 2, 0.0], 1.0), 1).met
    assert not TopSettled(1).judge(given([2.1 * 2, 0.0], 1.0), 1).met
    assert not TopSettled(1).judge(given([z * 2, 0.0], 1.0), 4).met
    # The second of the top is sharp and high; the first is vague, and may be lower than the third.
    assert not TopSettled(2).judge(given([10.0, 9.0, 5.0], [5.0, 0.1, 0.1]), 1).met
    assert TopSettled(2).judge(given([10.0, 9.0, 5.0], [0.1, 0.1, 0.1]), 1).met


def test_bottom_is_the_top_of_the_other_end():
    R = np.random.default_rng(3)
    for count in (1, 3):
        for _ in range(50):
            values, errors = R.normal(size=6), np.abs(R.normal(size=6)) * 0.1
            up, down = (
                rule(count).judge(given(v, errors), 2) for rule, v in ((TopSettled, -values), (BottomSettled, values))
            )
            assert (up.met, up.found) == (down.met, down.found)
    assert BottomSettled(1).judge(given([9.0, 8.99, 0.0], 0.1), 1).met
    assert not TopSettled(1).judge(given([9.0, 8.99, 0.0], 0.1), 1).met
    # Of pairs: the smallest absolute value.
    assert BottomSettled(1).judge(given([-9.0, 4.0, 0.0], 0.1, ((0, 1), (0, 2), (1, 2))), 1).met
    assert "bottom 1 of SV open" in BottomSettled(1).judge(given([9.0, 0.0, 0.01], 0.1), 1).words


def test_players_are_ranked_by_value_and_pairs_by_absolute_value():
    values = [-9.0, 4.0, 1.0]
    players, pairs = given(values, 0.1), given(values, 0.1, ((0, 1), (0, 2), (1, 2)))
    close = [-9.0, 4.0, 3.99]
    assert TopSettled(1).judge(players, 1).met
    assert TopSettled(1).judge(pairs, 1).met
    assert not TopSettled(1).judge(given(close, 0.1), 1).met
    assert TopSettled(1).judge(given(close, 0.1, ((0, 1), (0, 2), (1, 2))), 1).met


def test_ranking_counts_the_neighbours_that_are_told_apart():
    found = given([4.0, 3.0, 2.99, 0.0, -1.0], 0.01)
    assert RankingSettled(1.0).judge(found, 1).found == 0.75
    assert RankingSettled(0.75).judge(found, 1).met
    assert not RankingSettled(0.76).judge(found, 1).met
    assert RankingSettled(1.0).judge(given([2.0, 2.0, 1.0], 0.0), 1).met


def test_signs_leave_out_zero_or_are_small():
    assert SignsSettled(0.0).judge(given([1.0, -1.0, 0.5], 0.1), 1).met
    verdict = SignsSettled(0.0).judge(given([1.0, -1.0, 0.2, 0.0], 0.1), 1)
    assert (verdict.met, verdict.found) == (False, 0.5)
    # 0.1 is 5 % of the range from -1 to 1; of values on one side the range begins at 0.
    assert SignsSettled(0.05).judge(given([1.0, -1.0, 0.2, 0.0], 0.1), 1).met
    assert not SignsSettled(0.049).judge(given([1.0, -1.0, 0.2, 0.0], 0.1), 1).met
    assert SignsSettled(0.05).judge(given([2.0, 1.9, 0.0], 0.1), 1).met
    assert not SignsSettled(0.0).judge(given([1.0, 0.35], 0.1), 40).met  # later looks ask for more
    assert SignsSettled(0.0).judge(given([1.0, 0.35], 0.1), 1).met
    assert SignsSettled(0.0).judge(given([0.0, 1.0], 0.0), 1).met  # an exact 0 is known
    assert Stop(signs=True).rules == (SignsSettled(0.0),)
    assert Stop(signs=False).rules == ()


def test_signs_are_wrong_as_seldom_as_they_claim():
    """Of normal estimates that are looked at again and again, sharper each time; two of five values are 0 and have no sign."""
    rng, wrong, claimed = np.random.default_rng(0), 0, 0
    truth = np.array([0.5, -0.4, 0.3, 0.0, 0.0])
    for _ in range(400):
        draws = rng.normal(truth, 1.0, size=(4096, 5)).cumsum(axis=0)
        for look, count in enumerate((64, 128, 256, 512, 1024, 2048, 4096), 1):
            found = given(draws[count - 1] / count, count**-0.5)
            if SignsSettled(0.04).judge(found, look).met:
                width = half_widths(found.std_errors, found.degrees_of_freedom, level(look), sides=2)
                told = np.abs(found.values) > width
                wrong += bool((told & (np.sign(found.values) != np.sign(truth[:, None]))).any())
                claimed += 1
                break
    assert claimed == 400
    assert wrong / claimed <= ERROR + 0.01


def test_the_empty_set_is_not_ranked():
    sets = ((), (0,), (1,), (0, 1))
    assert TopSettled(1).judge(given([50.0, 1.0, 9.0, 2.0], [30.0, 0.1, 0.1, 0.1], sets), 1).met


def test_bands_count_uncertain_entries_only():
    alone = given([1.0, 2.0, 3.0], [0.5, 0.0, 0.0])
    np.testing.assert_allclose(alone.bands(0.95), alone.intervals(0.95), rtol=1e-12)
    low, high = given([1.0, 2.0, np.nan], [0.5, 0.5, np.nan]).bands(0.95)
    np.testing.assert_allclose((high - low)[:, 0] / 2, [0.5 * 2.2414, 0.5 * 2.2414, np.nan], rtol=1e-4)
    exact_one = given([1.0, 2.0], 0.0)
    np.testing.assert_array_equal(exact_one.bands(), exact_one.intervals())
    vague = given([1.0, 2.0], 0.5, freedom=np.inf)
    assert (vague.bands()[1] > given([1.0, 2.0], 0.5).bands()[1]).all()
    for wrong in (0.0, 1.0, 95.0, np.nan):
        with pytest.raises(SpecError, match="level"):
            alone.bands(wrong)


@pytest.mark.parametrize("tag", sorted(INDICES))
def test_the_number_of_sets_is_that_of_the_answer(tag):
    n, more = 5, {"p": 0.3, "alpha": 2.0, "beta": 1.0, "weights": (0.2,) * 5, "groups": ((0, 1), (2, 3, 4))}
    more["groups"] = more["groups"][:1] if tag in ("MVI", "BMAX", "BMIN") else more["groups"]
    for pairs in (None, ((0, 1), (2, 4))):
        if pairs and "pairs" not in INDICES[tag].takes:
            continue
        needs = {name: more[name] for name in INDICES[tag].needs}
        question = resolve(Question(tag, 2 if pairs else None, pairs=pairs, **needs), n)
        found = exact(smooth_table(n), question).coalitions
        assert count_sets(question, n) == max(1, sum(len(s) > 0 for s in found))


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        *(("std_error", x) for x in (0, -1.0, np.inf, np.nan, "0.1")),
        *(("relative_error", x) for x in (0.0, 1.0, 1.5, -0.1, np.nan)),
        *(("top", x) for x in (0, -2, 1.5, True)),
        *(("bottom", x) for x in (0, 2.5, True)),
        *(("ranking", x) for x in (0.0, 1.1, -1.0, "yes")),
        *(("seconds", x) for x in (0.0, -5.0, np.inf)),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(field, wrong):
    with pytest.raises(SpecError, match=field):
        Stop(**{field: wrong})


def test_more_sets_than_there_are_cannot_be_asked_for():
    def check(stop, question, n):
        stop.check([Ask(resolve(question, n), "exact")], n, "budget.")

    check(Stop(top=5), Question("SV"), 6)
    with pytest.raises(SpecError, match=r"budget.top = 6: SV of 6 players has 6 values; give 1 to 5"):
        check(Stop(top=6), Question("SV"), 6)
    check(Stop(top=14), Question("SII"), 6)
    with pytest.raises(SpecError, match="15 values"):
        check(Stop(top=15), Question("SII"), 6)
    for stop in (Stop(ranking=True), Stop(relative_error=0.1), Stop(top=1)):
        with pytest.raises(SpecError, match="SV of 1 player has 1 value, and it needs at least two"):
            check(stop, Question("SV"), 1)
    with pytest.raises(SpecError, match="J of 6 players has 1 value"):
        check(Stop(ranking=True), Question("J"), 6)
    check(Stop(std_error=0.1, seconds=3), Question("SV"), 1)


def test_words_and_documents():
    stop = Stop(std_error=0.1, top=3, ranking=True, seconds=60)
    assert stop.document() == {"std_error": 0.1, "top": 3, "ranking": 1.0, "seconds": 60}
    assert Stop.of({**stop.document(), "evaluations": 9}) == stop
    assert stop.words() == [
        "when every standard error is at most 0.1",
        "and the 3 largest values are told from the rest (95 % confidence)",
        "and all neighbours in the ranking are told apart (95 % confidence)",
        "or after 60 s",
    ]
    assert Stop(relative_error=0.01, ranking=0.5).words() == [
        "when the largest standard error is at most 0.01 of the spread of the values",
        "and 50% of the neighbours in the ranking are told apart (95 % confidence)",
    ]
    assert Stop(ranking=False) == Stop()


TABLE = smooth_table(10, 1, 3)
TRUTH = exact(TABLE, Question("SV")).values


def sampled(estimator, budget, seed):
    """The values of a budget."""
    planned = plan([Ask(SINGLES, estimator)], 10, budget, seed)
    rows = planned.design.draw(0, planned.draws)
    return Pool(planned.design, planned.draws, TableGame(TABLE).values(rows.coalitions, rows.context))


def looks(estimator, budget, seed):
    """(number of the look, its estimate), as a job takes them; those that cannot be answered yet are left out."""
    pool = sampled(estimator, budget, seed)
    for look, draws in enumerate(boundaries(pool.design, pool.draws), start=1):
        try:
            yield look, pool.prefix(draws).answer(SINGLES, estimator)
        except NotEnoughSamples:
            continue


def stopped(estimator, rule, budget, seed):
    """The estimate of the first look at which the rule holds, or None."""
    return next((found for look, found in looks(estimator, budget, seed) if rule.judge(found, look).met), None)


def largest(estimate, count):
    return set(np.argsort(-estimate.values[:, 0])[:count].tolist())


@pytest.mark.parametrize("rule", [StdErrorBelow(0.1), RelativeErrorBelow(0.03)], ids=["std_error", "relative_error"])
@pytest.mark.parametrize("estimator", ["leverage", "permutation"])
def test_intervals_cover_where_a_precision_stopped(estimator, rule):
    """Looking many times picks moments at which the standard error is small; nominal 95 % intervals still cover 92 % or more."""
    covered, ends = [], set()
    for seed in range(250):
        found = stopped(estimator, rule, 900, seed)
        assert found is not None
        ends.add(found.evaluations)
        low, high = found.intervals()
        covered.append((low <= TRUTH) & (high >= TRUTH))
    assert len(ends) > 1
    assert np.mean(covered) >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["leverage", "permutation"])
def test_a_settled_top_is_wrong_at_most_5_percent_of_the_time(estimator):
    """The second and third value are 0.17 apart: close enough that ranking the first estimates as they are often goes wrong."""
    truth, rule = set(np.argsort(-TRUTH[:, 0])[:2].tolist()), TopSettled(2)
    wrong = hasty = decided = 0
    for seed in range(300):
        for at, (look, found) in enumerate(looks(estimator, 700, seed)):
            hasty += at == 0 and largest(found, 2) != truth
            if rule.judge(found, look).met:
                decided += 1
                wrong += largest(found, 2) != truth
                break
    assert hasty > 0.05 * 300
    assert decided >= 15
    assert wrong <= 0.05 * 300


def test_settled_neighbours_are_in_the_right_order():
    order = np.argsort(-TRUTH[:, 0])
    wrong = 0
    for seed in range(200):
        found = stopped("leverage", RankingSettled(0.4), 900, seed)
        assert found is not None
        low, high = found.bands(level(1))
        above = low[order, 0][:, None] > high[order, 0][None, :]
        wrong += bool(np.tril(above).any())
    assert wrong <= 0.05 * 200


@pytest.mark.parametrize(("estimator", "budget"), [("leverage", 150), ("permutation", 300), ("leverage", 600)])
def test_bands_hold_all_values_at_once(estimator, budget):
    """Nominal 95 %, at least 93 % over 300 seeds (Bonferroni may be wide); single intervals all hold far less often."""
    at_once, one_by_one = 0, 0
    for seed in range(300):
        found = sampled(estimator, budget, seed).answer(SINGLES, estimator)
        at_once += holds(found.bands(), TRUTH)
        one_by_one += holds(found.intervals(), TRUTH)
    assert at_once >= 0.93 * 300
    assert one_by_one < 0.85 * 300


def test_bands_of_all_pairs_hold_at_once():
    question = resolve(Question("SII"), 10)
    truth = exact(TABLE, question).values
    at_once = 0
    for seed in range(200):
        planned = plan([Ask(question, "cells")], 10, 300, seed)
        rows = planned.design.draw(0, planned.draws)
        pool = Pool(planned.design, planned.draws, TableGame(TABLE).values(rows.coalitions, rows.context))
        at_once += holds(pool.answer(question, "cells").bands(), truth)
    assert at_once >= 0.93 * 200


def holds(ends, truth):
    return bool(((ends[0] <= truth) & (truth <= ends[1])).all())
