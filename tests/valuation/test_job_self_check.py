"""Jobs check some of their models against the estimator itself: which, how it is told, and going on after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

import xai_ray as xr
from tests.cli.conftest import cli
from tests.cli.runs import Cli
from xai_ray.api import explain, open_result
from xai_ray.coalitions import Exhaustive, Permutations, Strata
from xai_ray.coalitions.rows import coalitions_of_rows
from xai_ray.coalitions.strata import uniform_law
from xai_ray.engine.self_check import checked_rows
from xai_ray.errors import SpecError
from xai_ray.reports.wording import check_words
from xai_ray.stores import ArrowFileStore, MemoryStore
from xai_ray.types import Coalitions, Values
from xai_ray.valuation import OwnScore, TrainingGame

__all__ = ["cli"]

R = np.random.default_rng(4)
N, M = 14, 60
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
Y, TRUTH = (X[:, 0] > 0).astype(int), (TEST[:, 0] > 0).astype(int)
DATA = (X, Y, TEST, TRUTH)


class Killed(Exception):
    """Raised in the middle of a check."""


class Watched(TrainingGame):
    """Counts refits; is killed after so many."""

    refits = 0
    lives = 10**9

    def refit_values(self, coalitions: Coalitions) -> Values:
        if self.refits >= self.lives:
            raise Killed
        self.refits += len(coalitions)
        return super().refit_values(coalitions)


def watched(**settings: Any) -> Watched:
    return Watched(RidgeClassifier(random_state=0), *DATA, scores=("accuracy",), **settings)


@pytest.mark.parametrize(
    "design",
    [Permutations(7, 3), Permutations(7, 3, stochastic=True), Strata(7, 1, uniform_law(7)), Exhaustive(7)],
    ids=["permutations", "stochastic", "strata", "exhaustive"],
)
def test_single_rows_are_those_of_the_draws(design: Any) -> None:
    draws = min(8, design.capacity or 8)
    whole = design.draw(0, draws).coalitions
    assert np.array_equal(coalitions_of_rows(design, np.arange(len(whole))), whole)


def test_one_in_a_hundred_and_never_few_nor_many() -> None:
    counts = [len(checked_rows(total, "ab" * 32)) for total in (5, 100, 3_000, 1_000_000)]
    assert counts == [5, 8, 30, 200]
    rows = checked_rows(3_000, "ab" * 32)
    assert len(set(rows.tolist())) == 30
    assert np.array_equal(rows, np.sort(rows))
    assert not np.array_equal(rows, checked_rows(3_000, "cd" * 32))


def test_every_job_of_an_engine_says_how_far_it_is_from_the_estimator() -> None:
    game = watched()
    found = explain(game, "SV", budget=1_100, estimator="levelled")
    check = found.provenance["self_check"]
    assert game.refits == check["refitted"] == round(0.01 * found.evaluations)
    assert (check["of"], check["beyond"], check["differ"]) == (found.evaluations, False, {"accuracy": 0})
    assert found.to_document()["self_check"] == check


@pytest.mark.parametrize("settings", [{"self_check": False}, {"refit": True}])
def test_a_game_may_have_nothing_to_check(settings: dict[str, Any]) -> None:
    game = watched(**settings)
    refits = game.refits
    assert "self_check" not in explain(game, "SV", budget=200, estimator="levelled").to_document()
    assert game.refits == refits


@pytest.mark.parametrize("lives", [0, 9, 20])
def test_a_check_that_is_killed_goes_on_where_it_was(lives: int, tmp_path: Path) -> None:
    whole = explain(watched(), "SV", budget=3_000, estimator="levelled").to_document()
    store, game = ArrowFileStore(tmp_path), watched()
    game.lives = lives
    with pytest.raises(Killed):
        explain(game, "SV", budget=3_000, estimator="levelled", store=store)
    again = watched()
    found = explain(again, "SV", budget=3_000, estimator="levelled", store=store)
    assert found.to_document() == whole
    # Rows go into the log eight at a time.
    assert again.refits == 30 - lives // 8 * 8
    assert open_result(found.job, store).to_document() == whole


def test_rows_that_an_overtaken_run_noted_too_count_once(tmp_path: Path) -> None:
    whole = explain(watched(), "SV", budget=3_000, estimator="levelled").to_document()
    store, game = ArrowFileStore(tmp_path), watched()
    game.lives = 17
    with pytest.raises(Killed):
        explain(game, "SV", budget=3_000, estimator="levelled", store=store)
    job = next(iter(store.jobs()))
    noted = [event for event in store.events(job) if event["event"] == "self-check"]
    assert [event["first"] for event in noted] == [0, 8]
    for event in noted[::-1]:
        store.append(job, event)
    again = watched()
    found = explain(again, "SV", budget=3_000, estimator="levelled", store=store)
    assert found.to_document() == whole
    assert again.refits == 30 - 16


class Off(TrainingGame):
    """Its estimator's scores are off by `gap`."""

    gap = 0.0

    def refit_values(self, coalitions: Coalitions) -> Values:
        return super().refit_values(coalitions) - self.gap


def mean_gap(truth: Any, answers: Any) -> float:
    return -float(np.abs(truth - answers).mean())


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1e7, 0.0), (0.01, 0.0), (1.0, 1e7)])
@pytest.mark.parametrize("score", ["r2", "neg_mean_squared_error", OwnScore(mean_gap)])
def test_the_tolerance_goes_with_the_units_of_the_targets(score: Any, scale: float, offset: float) -> None:
    y, truth = X[:, 0] * scale + offset, TEST[:, 0] * scale + offset
    spread = {"r2": 1.0, "neg_mean_squared_error": float(np.var(truth))}
    unit = spread[score] if isinstance(score, str) else float(np.abs(truth - truth.mean()).mean())
    for share, beyond in ((0.0, False), (0.02, False), (0.2, True)):
        game = Off(Ridge(alpha=1e-3), X, y, TEST, truth, scores=(score,))
        game.gap = share * unit
        check = explain(game, "SV", budget=300, estimator="levelled").provenance["self_check"]
        assert check["beyond"] is beyond
        if share or not offset:
            assert check["differ"][game.output_names[0]] == (check["refitted"] if share else 0)


def test_a_longer_job_is_checked_anew() -> None:
    store = MemoryStore()
    for budget in (3_000, 6_000):
        found = explain(watched(), "SV", budget=budget, estimator="levelled", store=store)
        assert found.provenance["self_check"]["of"] == found.evaluations
    assert found.to_document() == explain(watched(), "SV", budget=6_000, estimator="levelled").to_document()


def test_coalitions_that_the_estimator_cannot_fit_are_told() -> None:
    found = xr.value(KNeighborsClassifier(5), *DATA, budget=1_000)
    check = found.provenance["self_check"]
    assert check["unfitted"] > 0
    assert check["refitted"] + check["unfitted"] == round(0.01 * found.evaluations)
    assert "KNeighborsClassifier failed on the coalition of" in check["why"]
    assert not check["beyond"]


@pytest.mark.parametrize("wrong", [-0.1, float("nan")])
def test_a_tolerance_is_a_number(wrong: float) -> None:
    with pytest.raises(SpecError, match="self_check is true, false, or the difference"):
        watched(self_check=wrong)


def spec(**game: Any) -> dict[str, Any]:
    return {
        "game": {
            "kind": "training",
            "estimator": "sklearn.linear_model:LogisticRegression",
            "parameters": {"max_iter": 1},
            "data": {"arrays": "d.npz"},
            "scores": ["accuracy"],
            **game,
        },
        "ask": [{"index": "SV", "estimator": "levelled"}],
        "budget": {"evaluations": 600},
    }


@pytest.mark.filterwarnings("ignore:lbfgs failed")
def test_a_run_warns_aloud(cli: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", X=X, y=Y, X_test=TEST, y_test=TRUTH)
    (tmp_path / "s.json").write_text(json.dumps(spec()))
    done = cli("run", "s.json", "--engine", "inline", "--out", "out")
    assert done.code == 0, done.err
    assert "WARNING: the self-check differs by more than 0.0417" in done.err
    assert "self-check: 8 of" in done.text
    assert json.loads((tmp_path / "out" / "result.json").read_text())["self_check"]["beyond"] is True
    assert "the self-check differs by more than" in (tmp_path / "out" / "report.html").read_text()
    for loose in (False, 0.9):
        (tmp_path / "s.json").write_text(json.dumps(spec(self_check=loose)))
        done = cli("run", "s.json", "--engine", "inline", "--store", f"again-{loose}")
        assert "WARNING" not in done.err + done.text
        assert ("self-check: 8 of" in done.text) == (loose == 0.9)


def test_jobs_of_one_tolerance_for_all_scores_are_told() -> None:
    check = {"refitted": 8, "of": 90, "largest": {"a": 0.1, "b": 0.0}, "differ": {"a": 1, "b": 0}, "beyond": True}
    for tolerance in (0.02, {"a": 0.02, "b": 0.5}):
        assert "differs by more than 0.02 (a):" in check_words(check | {"tolerance": tolerance})[1]


def test_logistic_regression_converged_is_within_the_tolerance() -> None:
    found = xr.value(LogisticRegression(tol=1e-10, max_iter=10_000), *DATA, budget=1_000, self_check=0.0)
    assert found.provenance["self_check"]["largest"] == {"accuracy": 0.0}
