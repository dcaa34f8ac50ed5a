"""`stacked` and `auto`: who answers, and what joining trees is worth."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.games import smooth_table
from tests.laws.sampled import drawn
from xai_ray import explain
from xai_ray.estimators import Ask, adjusted, plan, stacked
from xai_ray.estimators.correction import cross_fit
from xai_ray.estimators.fold_fits import FoldFits, outdone
from xai_ray.estimators.observed import Observed
from xai_ray.estimators.remembered import LastFit
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.table import choose
from xai_ray.games import TableGame
from xai_ray.indices import Question, exact, resolve

N = 10


TABLES = Path(__file__).parents[1] / "assets" / "tables"


def accuracies():
    """Accuracies of retrained models: they move in steps, which no length scale a player fits all of. Shape (2^14, 1)."""
    with np.load(TABLES / "data_points.npz") as stored:
        return stored["values"][:, None]


def error(values, truth):
    return float(((values - truth) ** 2).sum() / (truth**2).sum())


def test_a_smooth_game_is_left_to_the_process_to_the_bit():
    pool = drawn(smooth_table(N, outputs=2, seed=1), Question("SII"), "stacked", 300, 0)
    for tag in ("SV", "SII"):
        np.testing.assert_array_equal(
            pool.answer(Question(tag), "stacked").values, pool.answer(Question(tag), "gp").values
        )


def test_trees_join_where_they_predict_left_out_values_better():
    table, question = accuracies(), Question("SV")
    truth = exact(table, question).values
    pool = drawn(table, question, "stacked", 560, 0)
    joined, process, trees = (pool.answer(question, name).values for name in ("stacked", "gp", "proxy"))
    share = (joined - trees) / (process - trees)
    np.testing.assert_allclose(share, share[0, 0], atol=1e-9)  # one weight for all players
    assert 0.0 < share[0, 0] < 1.0
    assert error(joined, truth) < error(process, truth)


def sized_rows(values, budget):
    pool = drawn(values, Question("SV"), "stacked", budget, 0)
    return SizedRows.of(Observed({0: (pool.design.draw(0, pool.draws), pool.values)}).rows(), pool.design)


class Off:
    """A surrogate that is wrong by as much everywhere."""

    def __init__(self, rows, by):
        self.values, self.by = {row.tobytes(): v for row, v in zip(rows.coalitions, rows.values, strict=True)}, by

    def predict(self, coalitions):
        return np.array([self.values[row.tobytes()] for row in coalitions]) + self.by

    def read(self, readout, sets):
        raise AssertionError("only predictions are asked for")


def test_folds_are_fitted_until_it_is_settled_that_another_predicts_better():
    rows, asked = sized_rows(smooth_table(N, outputs=2, seed=1), 202), []
    inner = int((rows.fold >= 0).sum())

    def fits():
        asked.clear()
        return FoldFits(lambda f: asked.append(f) or Off(rows, np.array([1.0, 0.5])))

    assert inner == 200  # of which a fold holds a fifth
    assert outdone(fits(), rows, np.array([100.0, 25.0]))
    assert asked == [0, 1, 2]  # 1.0 and 0.25 a row
    assert outdone(fits(), rows, np.zeros(2))
    assert asked == [0]
    assert not outdone(fits(), rows, np.array([201.0, 1.0]))  # one output is enough
    assert asked == list(range(FOLDS))
    both = fits()
    outdone(both, rows, np.zeros(2))
    assert len(both[:]) == FOLDS
    assert asked == list(range(FOLDS))


@pytest.mark.parametrize("budget", [70, 560])
@pytest.mark.parametrize("game", ["smooth", "accuracies"])
def test_what_is_settled_early_is_what_all_folds_say(game, budget, monkeypatch):
    table = smooth_table(N, outputs=2, seed=1) if game == "smooth" else accuracies()
    pool = drawn(table, Question("SII"), "stacked", budget, 0)
    early = pool.answer(Question("SII"), "stacked")
    monkeypatch.setattr(stacked, "outdone", lambda *_: False)
    late = pool.answer(Question("SII"), "stacked")
    assert early.values.tobytes() == late.values.tobytes()
    assert early.std_errors.tobytes() == late.std_errors.tobytes()


def test_every_output_has_its_own_weight(monkeypatch):
    monkeypatch.setattr(stacked, "outdone", lambda *_: False)
    monkeypatch.setattr(stacked, "weights", lambda process, trees: np.array([1.0, 0.25]))
    table, question = smooth_table(N, outputs=2, seed=1), Question("SII")
    pool = drawn(table, question, "stacked", 300, 0)
    joined, process, trees = (pool.answer(question, name).values for name in ("stacked", "gp", "proxy"))
    np.testing.assert_array_equal(joined[:, 0], process[:, 0])
    np.testing.assert_allclose(joined[:, 1], 0.25 * process[:, 1] + 0.75 * trees[:, 1], atol=1e-12)


def test_weights_minimise_the_left_out_error_of_the_average():
    rng = np.random.default_rng(0)
    process, trees = rng.normal(size=(200, 3)) * [2.0, 1.0, 1.0], rng.normal(size=(200, 3)) * [1.0, 2.0, 1.0]
    trees[:, 2] = process[:, 2] / 2  # the same errors, half as large: trees alone
    found = stacked.weights(process, trees)
    grid = np.linspace(0.0, 1.0, 2001)
    best = grid[np.argmin([((w * process[:, 0] + (1 - w) * trees[:, 0]) ** 2).sum() for w in grid])]
    assert found[0] == pytest.approx(best, abs=1e-3)
    assert 0.0 < found[0] < 0.5
    assert found[1] == 1.0
    assert found[2] == 0.0


def test_residuals_are_matched_row_by_row():
    pool = drawn(smooth_table(N), Question("SV"), "stacked", 120, 0)
    rows = Observed({0: (pool.design.draw(0, pool.draws), pool.values)}).rows()
    sized = SizedRows.of(rows, pool.design)
    np.testing.assert_array_equal(stacked._as_drawn(sized.values + sized.empty), rows.values)


def test_the_last_fit_is_kept_and_no_other():
    made = []

    def fit():
        made.append(len(made))
        return made[-1]

    last, rows, other = LastFit(), np.eye(3, dtype=bool), np.ones((3, 1))
    assert [last.of(rows, other, False, fit) for _ in range(2)] == [0, 0]
    assert last.of(rows, other + 1.0, False, fit) == 1
    assert last.of(rows, other + 1.0, True, fit) == 2
    assert last.of(~rows, other + 1.0, True, fit) == 3
    assert last.of(rows, other, False, fit) == 4


def test_a_fit_that_another_thread_puts_in_meanwhile_is_not_taken_for_ones_own():
    last, rows = LastFit(), np.eye(3, dtype=bool)

    def while_another_fits():
        assert last.of(rows, np.ones((3, 1)), False, lambda: "theirs") == "theirs"
        return "mine"

    assert last.of(rows, np.zeros((3, 1)), False, while_another_fits) == "mine"
    assert last.of(rows, np.zeros((3, 1)), False, lambda: "again") == "mine"


def test_threads_of_one_process_get_their_own_answers():
    rng = np.random.default_rng(3)
    games = [TableGame(smooth_table(8, seed=int(seed))) for seed in rng.integers(0, 1000, 4)]

    def explained(game):
        return [
            explain(game, budget=80, estimator=name, seed=turn).values for turn in range(3) for name in ("gp", "proxy")
        ]

    serial = [explained(game) for game in games]
    with ThreadPoolExecutor(4) as threads:
        for found, want in zip(threads.map(explained, games), serial, strict=True):
            np.testing.assert_array_equal(found, want)


AUTO = [
    ({"index": "SV"}, 30, 1_000, "stacked"),
    ({"index": "SII", "order": 3}, 20, 2_000, "stacked"),
    ({"index": "SV"}, 100, 12_000, "odd"),
    ({"index": "SV"}, 100, 60_000, "leverage"),
    ({"index": "SV"}, 14, 16_000, "leverage"),
    ({"index": "SV"}, 2_000, 12_000, "leverage"),
    ({"index": "SV"}, 30_000, 90_000, "levelled"),
    ({"index": "BV"}, 2_000, 12_000, "msr"),
    ({"index": "SII"}, 200, 12_000, "proxy"),
    ({"index": "SII"}, 1_000, 12_000, "cells"),
    ({"index": "SII", "pairs": ((0, 1), (2, 3))}, 1_000, 12_000, "proxy"),
    ({"index": "J2"}, 16, 1_000, "strength"),
]


@pytest.mark.parametrize(("question", "n", "evaluations", "name"), AUTO)
def test_auto_takes_the_first_line_that_fits(question, n, evaluations, name):
    assert choose(resolve(Question(**question), n), n, complete=False, evaluations=evaluations) == name
    assert choose(resolve(Question(**question), n), n, complete=True, evaluations=evaluations) == "exact"


def test_the_plan_names_what_auto_took():
    assert [a.estimator for a in plan([Ask(Question("SV")), Ask(Question("STII"))], 12, 500, 0).asks] == ["stacked"] * 2


@pytest.mark.parametrize("name", ["cells", "proxy"])
def test_the_questions_of_a_job_share_the_fit_of_a_surrogate(name, monkeypatch):
    fits = []
    monkeypatch.setattr(adjusted, "cross_fit", lambda rows, fitter: fits.append(name) or cross_fit(rows, fitter))
    table = smooth_table(N, seed=5)
    pool = drawn(table, Question("SII"), name, 200, 0)
    found = [pool.answer(Question(tag), name).values for tag in ("SV", "SII", "SV")]
    assert fits == [name]
    np.testing.assert_array_equal(found[0], found[2])
    drawn(table + 1e-3 * np.arange(len(table))[:, None], Question("SII"), name, 200, 0).answer(Question("SV"), name)
    assert fits == [name, name]
