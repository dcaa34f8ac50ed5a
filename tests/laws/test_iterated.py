"""`iterated`: contexts of one player at a time, the answers from them, and questions about chosen players."""

import numpy as np
import pytest

import xai_ray as xr
from tests.games import smooth_table
from tests.laws.sampled import check_affordable, check_cuts, coverage, drawn
from xai_ray.coalitions import PlayerContexts
from xai_ray.coalitions.exhaustive import pack, unpack
from xai_ray.coalitions.player_contexts import STRATA
from xai_ray.errors import BudgetTooSmall, NotEnoughSamples, SpecError
from xai_ray.estimators import ESTIMATORS, Ask, Pool, plan
from xai_ray.estimators.iterated import INFO, shares
from xai_ray.indices import Question, exact, resolve
from xai_ray.reports.html import render_report
from xai_ray.reports.plots import bar, heatmap
from xai_ray.reports.tables import total_line

ASKED = [
    Question("SV"),
    Question("BV"),
    Question("WBV", p=0.3),
    Question("BETA", alpha=4.0, beta=1.0),
    Question("BETA", alpha=1.0, beta=16.0),
]
DESIGNS = [
    PlayerContexts(1, 0, (1.0,)),
    PlayerContexts(1, 0, (1.0,), stochastic=True),
    PlayerContexts(2, 3, (1.0,), stochastic=True),
    PlayerContexts(7, 3, (0.3, 0.3, 0.3, 0.1)),
    PlayerContexts(8, 2**62, (0.0, 0.5, 0.0, 0.5), (1, 6)),
    PlayerContexts(8, 5, (0.25,) * 4, (7,), stochastic=True),
    PlayerContexts(300, 5, (1 / 150,) * 150, (3, 299)),
]
IDS = [f"{d.n_players}-{'stochastic' if d.stochastic else 'fixed'}-{at}" for at, d in enumerate(DESIGNS)]


def title(question):
    return f"{question.index} {question.p or question.alpha or ''}"


@pytest.mark.parametrize("question", [*ASKED, Question("SEMI", weights=(0.5, 0.0, 0.25, 0.0, 0.25))], ids=title)
def test_weighted_contributions_of_all_contexts_are_the_index(question):
    """The mean over the contexts of each level, by enumeration, for every player."""
    n, table = 5, smooth_table(5, outputs=2, seed=7)
    low, high = shares(question, n)
    subsets = unpack(np.arange(1 << n, dtype=np.int64), n)
    expected = exact(table, resolve(question, n)).values
    for i in range(n):
        total = np.zeros(2)
        for h in range((n + 1) // 2):
            S = np.flatnonzero(~subsets[:, i] & (subsets.sum(axis=1) == h))
            rest = ((1 << n) - 1) ^ S ^ (1 << i)
            lower, upper = table[S | (1 << i)] - table[S], table[rest | (1 << i)] - table[rest]
            total += (low[h] * lower + high[h] * upper).mean(axis=0)
        np.testing.assert_allclose(total, expected[i], atol=1e-12)


@pytest.mark.parametrize("design", DESIGNS, ids=IDS)
def test_any_cut_of_the_sequence_gives_the_same_draws(design):
    check_cuts(design, design.capacity or 40)


@pytest.mark.parametrize("design", DESIGNS, ids=IDS)
def test_what_is_affordable_never_exceeds_the_budget_and_wastes_less_than_a_draw(design):
    check_affordable(design)


@pytest.mark.parametrize("design", [d for d in DESIGNS if d.capacity is None])
def test_contributions_point_at_both_contexts_of_their_player(design):
    draw, found = design.draw(5, 70), design.contributions(5, 70)
    four = draw.coalitions[found.rows]
    player, at, n = design.player_list[found.player], np.arange(65), design.n_players
    assert (four[at, :, player] == [False, True, False, True]).all()
    others = np.arange(n) != player[:, None]
    assert ((four[:, 0] == four[:, 1]) | ~others).all()
    assert ((four[:, 2] == four[:, 3]) | ~others).all()
    assert ((four[:, 0] != four[:, 2]) | ~others).all()
    assert (four[:, 0].sum(axis=1) == found.level).all()
    assert (design.chances()[found.level] > 0).all()
    # One exogenous draw for all four, another for every draw.
    context = draw.context[found.rows]
    assert (context == context[:, :1]).all()
    assert len(np.unique(context[:, 0])) == 65


def test_levels_follow_their_law_and_contexts_are_uniform():
    design = PlayerContexts(7, 11, (0.2, 0.1, 0.4, 0.3), (2,), stochastic=True)
    draws = 40_000
    found, rows = design.contributions(1, 1 + draws), design.draw(1, 1 + draws).coalitions
    np.testing.assert_allclose(np.bincount(found.level) / draws, design.law, atol=0.005)
    assert (np.bincount(found.stratum) == draws // STRATA).all()
    codes = pack(rows[found.rows[:, 0]][found.level == 2])
    counts = np.unique(codes, return_counts=True)[1]
    expected = len(codes) / 15
    assert len(counts) == 15
    assert ((counts - expected) ** 2 / expected).sum() < 36  # 0.999 of chi-squared with 14 degrees of freedom


@pytest.mark.parametrize("question", ASKED, ids=title)
def test_answers_are_unbiased_and_intervals_cover(question):
    n, table = 8, smooth_table(8, outputs=2, seed=3)
    need = INFO.minimum(resolve(Question(question.index, p=question.p, alpha=question.alpha, beta=question.beta), n), n)
    alone = Question(question.index, p=question.p, alpha=question.alpha, beta=question.beta, players=(1, 6))
    covered, deviation = coverage(table, alone, "iterated", min(need, 160), 300)
    assert 0.92 <= covered <= 0.98
    assert deviation.max() < 4


def test_a_few_of_many_players_cost_what_they_cost_among_few():
    assert [INFO.minimum(resolve(Question("SV", players=(0,)), n), n) for n in (9, 100, 10_000)] == [68, 68, 68]
    n = 1_000
    weights = np.random.default_rng(0).normal(size=n)
    design = plan([Ask(Question("SV", players=(4, 999)), "iterated")], n, 400, 0).design
    draws = design.affordable(400)
    rows = design.draw(0, draws).coalitions
    pool = Pool(design, draws, (rows @ weights + (rows[:, 4] & rows[:, 5]))[:, None])
    found = pool.answer(Question("SV", players=(999, 4)))
    assert found.estimator == "iterated"
    assert found.coalitions == ((4,), (999,))
    expected = [weights[4] + 0.5, weights[999]]
    assert np.abs(found.values[:, 0] - expected)[1] < 1e-9
    assert np.abs(found.values[0, 0] - expected[0]) < 4 * found.std_errors[0, 0] + 1e-9


def test_both_ends_of_a_contribution_share_rows_and_fillings():
    """A column that the model does not read: any difference in rows or fillings would leave noise."""
    rng = np.random.default_rng(2)
    rows, background = rng.normal(size=(40, 6)), rng.normal(size=(30, 6))

    def model(x):
        return x[:, [0]] + np.sin(x[:, [1]]) * x[:, [2]]

    game = xr.LossGame(
        model,
        rows,
        model(rows)[:, 0],
        removal=xr.Marginal(background, samples=3),
        loss="squared_error",
        rows=2,
        outputs="raw",
    )
    found = xr.explain(game, budget=800, estimator="iterated", players=[5, 0])
    assert found.estimates[0].coalitions == ((0,), (5,))
    assert abs(found.values[1]) < 1e-12
    assert found.std_errors[1] < 1e-12
    assert found.std_errors[0] > 0
    whole = xr.LossGame(
        model, rows, model(rows)[:, 0], removal=xr.Marginal(background), loss="squared_error", outputs="raw"
    )
    truth = xr.explain(whole, budget="exact").values
    many = xr.explain(game, budget=40_000, estimator="iterated", players=[0], seed=1)
    assert abs(many.values[0] - truth[0]) < 4 * many.std_errors[0]


@pytest.mark.parametrize("name", ["exact", "leverage", "permutation", "stacked", "msr", "cells"])
def test_other_estimators_pick_the_asked_players(name):
    table, n = smooth_table(8, outputs=2, seed=5), 8
    budget = 256 if name == "exact" else 200
    pool = drawn(table, Question("SV"), name, budget if name != "exact" else None, 0)
    all_, few = pool.answer(Question("SV"), name), pool.answer(Question("SV", players=(6, 2)), name)
    assert few.coalitions == ((2,), (6,))
    assert (few.values == all_.values[[2, 6]]).all()
    assert (few.std_errors == all_.std_errors[[2, 6]]).all()
    assert few.question == resolve(Question("SV", players=(2, 6)), n)
    assert ESTIMATORS[name].names_players == (name == "exact")


def test_stop_rules_look_at_the_asked_players_alone():
    # Player 3 adds what it adds anywhere; the others are noisy.
    rng = np.random.default_rng(1)
    table = rng.normal(size=(1 << 13, 1))
    has = (np.arange(1 << 13) >> 3) & 1 == 1
    table[has, 0] = table[np.flatnonzero(has) ^ 8, 0] + 1
    game = xr.TableGame(table)
    alone = xr.explain(game, budget=4_000, estimator="iterated", players=[3], std_error=1e-6)
    assert alone.evaluations <= 68
    assert alone.values == pytest.approx([1.0], abs=1e-12)
    whole = xr.explain(game, budget=4_000, estimator="iterated", std_error=1e-6)
    assert whole.evaluations > 3_900
    signed = xr.explain(game, budget=4_000, players=[game.player_names[3]], signs=True)
    assert signed.evaluations < 4_000


def test_a_job_answers_what_it_drew_and_says_what_it_did_not():
    table, n = smooth_table(9, seed=5), 9
    pool = drawn(table, Question("SV", players=(1, 4)), "iterated", 200, 0)
    assert pool.answer(Question("BETA", alpha=2.0, beta=1.0, players=(4,))).coalitions == ((4,),)
    with pytest.raises(NotEnoughSamples, match="this job drew 2 players of 9"):
        pool.answer(Question("SV"))
    with pytest.raises(NotEnoughSamples, match="player 7 was not drawn"):
        pool.answer(Question("SV", players=(1, 7)))
    only_small = Question("SEMI", weights=(0.5, 0.5, 0, 0, 0, 0, 0, 0, 0), players=(1,))
    with pytest.raises(NotEnoughSamples, match="reads contexts of 2 players, which this job did not draw"):
        drawn(table, only_small, "iterated", 200, 0).answer(Question("SV", players=(1,)))
    with pytest.raises(BudgetTooSmall, match="'iterated' needs at least 134"):
        plan([Ask(Question("SV", players=(1, 4)), "iterated")], n, 133, 0)
    several = [Ask(Question("SV", players=(1, 4)), "iterated"), Ask(Question("BV", players=(7,)), "iterated")]
    with pytest.raises(BudgetTooSmall, match="needs at least 200 for the 3 players of all questions together"):
        plan(several, n, 199, 0)
    assert plan(several, n, 200, 0).draws == 49


@pytest.mark.parametrize(
    ("players", "message"),
    [
        ([True], "by number or by name, got True"),
        ([9], "player 9 is out of range; players are 0..3"),
        ([1, 1], "player 1 is given twice"),
        ([], "players is empty"),
        (["agee"], "unknown player 'agee'; did you mean 'age'"),
        ("age", "players is a list of players"),
        ([1.5], "by number or by name, got 1.5"),
        (["twin"], "2 players are called 'twin'; give their numbers"),
    ],
)
def test_mistaken_players_are_told_in_one_line(players, message):
    game = xr.TableGame(smooth_table(4), ("age", "twin", "twin", "height"))
    with pytest.raises(SpecError, match=message) as caught:
        xr.explain(game, budget="exact", players=players)
    assert "\n" not in str(caught.value)


def test_players_are_refused_where_there_is_nothing_to_choose():
    game = xr.TableGame(smooth_table(4))
    with pytest.raises(SpecError, match=r"SII .* does not take 'players'; it takes pairs"):
        xr.explain(game, "SII", budget="exact", players=[1])
    rows = xr.RowsGame(
        lambda x: x.sum(axis=1, keepdims=True),
        np.ones((3, 4)),
        players=xr.Columns("abcd"),
        removal=xr.Constant(0.0),
        behaviour=xr.Raw(0),
    )
    with pytest.raises(SpecError, match="SV with players: a dataset job answers all sets"):
        xr.explain_rows(rows, budget="exact", asks=[Ask(Question("SV", players=(1,)))])


def test_a_report_of_asked_players_draws_and_names_them():
    game = xr.TableGame(smooth_table(9), [f"column {i}" for i in range(9)])
    result = xr.explain(game, budget=300, estimator="iterated", players=["column 7", 2])
    page = render_report(result)
    assert "Largest values" in page
    assert "of the 2 asked players is that of column" in page
    assert [t.get_text() for t in bar(result).get_yticklabels()] in (["column 2", "column 7"], ["column 7", "column 2"])
    assert result.to_document()["estimates"][0]["coalitions"] == [[2], [7]]
    assert total_line(result, result.estimates[0], 0) is None
    assert [t.get_text() for t in heatmap(result).get_yticklabels()] == [
        t.get_text() for t in bar(result).get_yticklabels()
    ]
    both = xr.explain(game, budget="exact", asks=[Ask(Question("SV", players=(1,))), Ask(Question("BV"))])
    assert len(bar(both).get_yticklabels()) == 9
    for convert in (result.to_shap, result.to_shapiq):
        with pytest.raises(NotEnoughSamples, match="SV was asked of 2 of 9 players, and these objects hold them all"):
            convert()
