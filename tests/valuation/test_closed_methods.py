"""Closed forms and one-run methods by `xai_ray.value`: the numbers of their functions, standard errors, stores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

import xai_ray as xr
from tests.valuation.closed_data import (
    DATA,
    LABELS,
    NETWORK,
    NUMBERS,
    RIDGE,
    TORCH,
    N,
    X,
    each_loss,
    initial,
    perceptron,
    valued,
)
from xai_ray.stores import MemoryStore
from xai_ray.valuation import (
    Network,
    TrainingGame,
    class_wise_shapley,
    data_oob_values,
    in_run_shapley,
    knn_shapley,
    lava_values,
    logistic_influence,
    threshold_knn_shapley,
    torch_influence,
    tracin_values,
    truncated_shapley,
)
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.engine import RidgeEngine
from xai_ray.valuation.g_shapley import gradient_shapley
from xai_ray.valuation.logistic import LogisticFits
from xai_ray.valuation.methods import CLOSED_FORMS, described_methods, valuation_game
from xai_ray.valuation.whole_blocks import values_in_blocks


def accuracy(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return (found.argmax(dim=1) == truth).to(found.dtype).mean()


def game() -> TrainingGame:
    return TrainingGame(RIDGE, *DATA, scores=("accuracy",))


def trained(steps: int = 20) -> torch.nn.Module:
    model = initial()
    in_run_shapley(model, each_loss, *TORCH, steps=steps, batch=8, learning_rate=0.3)
    return model


SAME: list[tuple[str, dict[str, Any], Callable[[], Any]]] = [
    ("knn", {"estimator": KNeighborsClassifier(3)}, lambda: knn_shapley(*DATA, k=3)),
    (
        "knn",
        {"estimator": KNeighborsClassifier(4), "settings": {"utility": "soft"}},
        lambda: knn_shapley(*DATA, k=4, utility="soft"),
    ),
    (
        "threshold_knn",
        {"estimator": RadiusNeighborsClassifier(1.1)},
        lambda: threshold_knn_shapley(*DATA, radius=1.1),
    ),
    (
        "data_oob",
        {"estimator": LogisticRegression(), "budget": 150, "settings": {"draws": 25}, "seed": 3},
        lambda: data_oob_values(LogisticRegression(), X, LABELS, bootstraps=150, draws=25, seed=3),
    ),
    (
        "data_oob",
        {"estimator": DecisionTreeClassifier(random_state=0, max_depth=3), "budget": 30},
        lambda: data_oob_values(DecisionTreeClassifier(random_state=0, max_depth=3), X, LABELS, bootstraps=30),
    ),
    (
        "truncated",
        {"estimator": RIDGE, "budget": 128, "settings": {"tolerance": 0.05, "patience": 2}},
        lambda: truncated_shapley(game(), permutations=128, tolerance=0.05, patience=2),
    ),
    (
        "truncated",
        {"estimator": RIDGE, "budget": 64, "settings": {"tolerance": 0.1, "go_on": 0.5}},
        lambda: truncated_shapley(game(), permutations=64, tolerance=0.1, go_on=0.5),
    ),
    (
        "class_wise",
        {"estimator": RIDGE, "budget": 12, "seed": 2},
        lambda: class_wise_shapley(RIDGE, *DATA, permutations=12, seed=2),
    ),
    (
        "gradient_shapley",
        {"estimator": NETWORK, "budget": 32},
        lambda: gradient_shapley(initial(), each_loss, accuracy, *TORCH, permutations=32, learning_rate=0.3, lanes=16),
    ),
    (
        "in_run",
        {"estimator": NETWORK, "settings": {"order": 2}},
        lambda: in_run_shapley(initial(), each_loss, *TORCH, steps=20, batch=8, learning_rate=0.3, order=2),
    ),
    (
        "tracin",
        {"estimator": NETWORK, "settings": {"checkpoints": 1}},
        lambda: tracin_values(
            trained(), each_loss, *TORCH, checkpoints=[trained().state_dict()], learning_rates=[0.3 * 4 / 8]
        ),
    ),
    (
        "influence",
        {"estimator": NETWORK, "settings": {"damping": 0.2}},
        lambda: torch_influence(trained(), each_loss, *TORCH, damping=0.2),
    ),
    (
        "influence",
        {"estimator": LogisticRegression(C=0.5), "settings": {"newton": False}},
        lambda: logistic_influence(*DATA, C=0.5, newton=False),
    ),
    ("lava", {"estimator": None, "settings": {"label_weight": 2.0}}, lambda: lava_values(*DATA, label_weight=2.0)),
]


@pytest.mark.parametrize(("method", "asked", "plain"), SAME, ids=[f"{m}-{i}" for i, (m, _, _) in enumerate(SAME)])
def test_the_numbers_are_those_of_the_function(method: str, asked: dict[str, Any], plain: Callable[[], Any]) -> None:
    result, wanted = valued(method, **asked), plain()
    values = getattr(wanted, "values", wanted)
    errors = getattr(wanted, "std_errors", np.zeros_like(wanted) if values is wanted else None)
    np.testing.assert_allclose(result.values, values.reshape(N), rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.std_errors, errors.reshape(N), rtol=1e-9, atol=1e-12)
    assert result.estimates[0].estimator == method
    assert result.players[7] == "point 7"
    if "budget" in asked:
        assert result.evaluations == asked["budget"]


@pytest.mark.parametrize(("epochs", "settings"), [(2, {}), (1, {}), (4, {"checkpoints": 4})])
def test_tracin_takes_the_end_of_every_epoch_where_there_are_no_more(epochs: int, settings: dict[str, Any]) -> None:
    result = valued("tracin", estimator=replace(NETWORK, epochs=epochs), settings=settings)
    ends = [trained(5 * epoch) for epoch in range(1, epochs + 1)]
    wanted = tracin_values(
        ends[0],
        each_loss,
        *TORCH,
        checkpoints=[model.state_dict() for model in ends],
        learning_rates=[0.3 / 8] * epochs,
    )
    np.testing.assert_allclose(result.values, wanted.values, rtol=0, atol=1e-12)
    assert result.provenance["told"]["epochs"] == list(range(1, epochs + 1))


def test_truncated_tells_the_score_of_all_and_what_it_skipped() -> None:
    asked = {"estimator": RIDGE, "budget": 128, "settings": {"tolerance": 0.05, "patience": 2}}
    result, rows = valued("truncated", **asked), np.array([[False] * N, [True] * N])
    ends = values_in_blocks(game(), rows)[:, 0]
    np.testing.assert_array_equal(result.ends[:, 0], ends)
    skipped = np.sum(result.provenance["told"]["skipped"]) / 128
    assert abs(skipped) > 1e-4
    assert result.values.sum() + skipped == pytest.approx(ends[1] - ends[0], abs=1e-12)


def test_regressions() -> None:
    result = valued("data_oob", NUMBERS, estimator=Ridge(random_state=0), budget=60)
    wanted = data_oob_values(Ridge(random_state=0), *NUMBERS[:2], bootstraps=60)
    np.testing.assert_allclose(result.values, wanted.values, atol=1e-12)
    np.testing.assert_allclose(result.std_errors, wanted.std_errors, rtol=1e-9)
    network = Network(lambda: torch.nn.Linear(3, 1), epochs=3, learning_rate=0.05, batch=10, kind="regression")
    found = valued("in_run", NUMBERS, estimator=network, settings={"order": 2})
    losses = found.provenance["told"]["losses"]
    assert found.values.sum() == pytest.approx(losses[0] - losses[-1], rel=0.02)
    assert len(valued("gradient_shapley", NUMBERS, estimator=network, budget=16).values) == N


def test_bootstraps_need_no_test_rows() -> None:
    alone = xr.value(LogisticRegression(), X, LABELS, method="data_oob", budget=64)
    np.testing.assert_array_equal(alone.values, valued("data_oob", estimator=LogisticRegression(), budget=64).values)


def test_several_scores_and_groups() -> None:
    both = valued("truncated", estimator=RIDGE, score=["accuracy", "balanced_accuracy"], budget=64)
    assert both.values.shape == (N, 2)
    groups = valued("loo", estimator=RIDGE, groups=np.arange(N) % 4)
    assert groups.players == ("0", "1", "2", "3")
    where = both.provenance["told"]["truncated_at"]
    assert len(where) == 64
    assert max(where) <= N


def test_some_test_points_are_a_sample_of_all() -> None:
    """The first of a random order: unbiased, errors that cover and end at 0 with all of them."""
    wide = np.random.default_rng(3).normal(size=(400, 3))
    data = (X, LABELS, wide, (wide[:, 0] > 0).astype(int))
    exact = knn_shapley(*data, k=3)
    block = xr.value(KNeighborsClassifier(3), *data, method="knn").evaluations
    assert block == 400
    from xai_ray.coalitions import Pieces
    from xai_ray.estimators import PieceSums
    from xai_ray.valuation.data import labelled
    from xai_ray.valuation.knn import NeighbourValues
    from xai_ray.valuation.neighbour_pieces import NeighbourPieces

    covered, design = [], Pieces(N, 1, "mean", 100, 400)
    values = NeighbourValues(labelled(*data), 3, "hard")
    for seed in range(60):
        sums = PieceSums(design)
        sums.add(0, 100, NeighbourPieces(values, seed, 0.0).sums(0, 100, lambda: None)[0].reshape(N, 2), {})
        found, errors, _ = sums.answer()
        covered.append((np.abs(found[:, 0] - exact) <= 1.984 * errors[:, 0]).mean())
    assert 0.92 <= np.mean(covered) <= 0.98


def test_a_store_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    first = valued("lava", estimator=None, store=store)
    monkeypatch.setattr("xai_ray.valuation.one_run.OneRun.sums", None)
    again = valued("lava", estimator=None, store=store)
    assert again.job == first.job
    np.testing.assert_array_equal(again.values, first.values)
    assert again.provenance["told"] == first.provenance["told"]
    assert [job.split("-")[0] for job in store.jobs()] == ["value"]


def test_jobs_differ_by_what_decides_their_numbers() -> None:
    store = MemoryStore()
    for seed in (0, 1):
        for draws in (20, 40):
            valued("data_oob", estimator=RIDGE, budget=40, seed=seed, settings={"draws": draws}, store=store)
    for estimator in (NETWORK, Network(perceptron, epochs=4, learning_rate=0.2, batch=8)):
        for order in (1, 2):
            valued("in_run", estimator=estimator, settings={"order": order}, store=store)
    changed = (X + 0.1, *DATA[1:])
    valued("in_run", changed, estimator=NETWORK, store=store)
    assert len(store.jobs()) == 9


def test_rules_stop_pieces() -> None:
    result = valued("data_oob", estimator=LogisticRegression(), budget=5000, std_error=0.05)
    assert result.std_errors.max() <= 0.05
    assert result.evaluations < 5000
    assert result.provenance["stop"]["by"] == "rules"


def test_influence_is_checked_without_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solving for all points is the work of the job."""
    heights, plain = [], LogisticFits.__init__

    def watched(self: LogisticFits, rows: np.ndarray, *rest: Any, **settings: Any) -> None:
        heights.append(len(rows))
        plain(self, rows, *rest, **settings)

    monkeypatch.setattr(LogisticFits, "__init__", watched)
    valuation_game(Asked("influence", LogisticRegression(), *DATA), {})
    assert heights == [2]


def test_class_wise_pieces_fill_the_tiles_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, plain = [], RidgeEngine.decisions

    def counted(self: RidgeEngine, coalitions: np.ndarray) -> np.ndarray:
        calls.append(len(coalitions))
        return plain(self, coalitions)

    monkeypatch.setattr(RidgeEngine, "decisions", counted)
    made = valuation_game(Asked("class_wise", RIDGE, *DATA), {})
    made.piece_sums(0, made.block, lambda: None)
    tile = calls[0]
    assert len(calls) == sum(-(-made.block * (int(count) + 1) // tile) for count in np.bincount(LABELS))


def test_leave_one_out_trains_nothing_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, plain = [], TrainingGame.values

    def counted(self: TrainingGame, coalitions: np.ndarray, context: np.ndarray) -> np.ndarray:
        calls.append(len(coalitions))
        return plain(self, coalitions, context)

    made = valuation_game(Asked("loo", RIDGE, *DATA), {})
    monkeypatch.setattr(TrainingGame, "values", counted)
    ends = made.piece_sums(0, N, lambda: None)[1]["ends"]
    assert calls == [-(-(N + 1) // game().block) * game().block]
    nobody = values_in_blocks(game(), np.array([[False] * N, [True] * N]))
    np.testing.assert_array_equal(ends, nobody)
    np.testing.assert_array_equal(game().empty_scores, nobody[0])


@pytest.mark.parametrize("method", ["loo", "truncated"])
def test_data_of_a_game_are_hashed_once(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("xai_ray.valuation.asked.described", None)
        first = valuation_game(Asked(method, RIDGE, *DATA), {})
    other = valuation_game(Asked(method, RIDGE, X + 0.1, *DATA[1:]), {})
    assert first.digest != other.digest


def test_the_catalogue_names_every_method_and_its_settings() -> None:
    rows = {row["method"]: row for row in described_methods()}
    assert set(rows) == set(CLOSED_FORMS)
    assert "utility = 'hard'" in rows["knn"]["settings"]
    assert rows["data_oob"]["budget counts"] == "bootstraps"
