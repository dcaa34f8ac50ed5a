"""TRAK, distributional Shapley, one-pass Banzhaf and leave-one-out as jobs: their functions' numbers, enumeration, and the same bytes
however units were shared, killed and extended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier

import xai_ray as xr
from tests.valuation.closed_data import (
    DATA,
    LABELS,
    NETWORK,
    RIDGE,
    TORCH,
    N,
    X,
    each_loss,
    initial,
    valued,
)
from xai_ray.api import run_planned
from xai_ray.build import closed_form_plan
from xai_ray.coalitions import Pieces, Unit
from xai_ray.engine import evaluate
from xai_ray.engine.job import manifest_of
from xai_ray.errors import BudgetTooSmall, NotEnoughSamples, SpecError, UnknownName, XaiRayError
from xai_ray.estimators import Stop
from xai_ray.stores import MemoryStore, Record
from xai_ray.valuation import (
    Lissa,
    Network,
    TrainingGame,
    arnoldi_influence,
    banzhaf_values,
    distributional_shapley,
    in_run_shapley,
    leave_one_out_values,
    torch_influence,
    trak_values,
)
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.draws import Purpose, orders
from xai_ray.valuation.methods import valuation_game
from xai_ray.valuation.network_runs import model_parts

FEW = (X[:9], LABELS[:9], *DATA[2:])


def trained(members: Any = slice(None), steps: int = 20, seed: int = 0) -> torch.nn.Module:
    """The network of `NETWORK` after as many steps of another method on the same points."""
    model = initial()
    own = (X[members], LABELS[members])
    in_run_shapley(model, each_loss, own, TORCH[1], steps=steps, batch=8, learning_rate=0.3, seed=seed)
    return model


def game(**more: Any) -> TrainingGame:
    return TrainingGame(RIDGE, *DATA, scores=("accuracy", "balanced_accuracy"), **more)


def traked() -> Any:
    halves = [np.sort(orders(3, Purpose.HALVES, np.array([j]), N)[0][:20]) for j in range(5)]
    states = [trained(half, steps=4 * 3, seed=3).state_dict() for half in halves]
    return trak_values(trained(), *TORCH, checkpoints=states, dimensions=16, ridge=0.01, seed=3)


SCORES = {"estimator": RIDGE, "score": ["accuracy", "balanced_accuracy"]}
SAME: list[tuple[str, dict[str, Any], Callable[[], Any]]] = [
    ("loo", SCORES, lambda: leave_one_out_values(game())),
    ("loo", SCORES | {"groups": np.arange(N) % 6}, lambda: leave_one_out_values(game(groups=np.arange(N) % 6))),
    (
        "distributional",
        SCORES | {"budget": 48, "settings": {"cardinality": 12}, "seed": 2},
        lambda: distributional_shapley(game(), cardinality=12, draws=48, seed=2),
    ),
    (
        "distributional",
        SCORES | {"budget": 32, "groups": np.arange(N) % 7},
        lambda: distributional_shapley(game(groups=np.arange(N) % 7), cardinality=4, draws=32),
    ),
    (
        "one_pass_banzhaf",
        SCORES | {"budget": 192, "seed": 4},
        lambda: banzhaf_values(game(), evaluations=192, seed=4),
    ),
    (
        "one_pass_banzhaf",
        SCORES | {"budget": 128, "settings": {"p": 0.3}, "groups": np.arange(N) % 7},
        lambda: banzhaf_values(game(groups=np.arange(N) % 7), evaluations=128, p=0.3),
    ),
    (
        "trak",
        {"estimator": NETWORK, "budget": 5, "seed": 3, "settings": {"dimensions": 16, "ridge": 0.01}},
        traked,
    ),
    (
        "influence",
        {"estimator": NETWORK, "settings": {"inverse": "lissa", "scale": 9.0, "depth": 30, "repeats": 3}},
        lambda: torch_influence(trained(), each_loss, *TORCH, damping=0.01, solver=Lissa(9.0, depth=30, repeats=3)),
    ),
    (
        "influence",
        {"estimator": NETWORK, "settings": {"inverse": "arnoldi", "rank": 6, "damping": 0.1}, "seed": 0},
        lambda: arnoldi_influence(trained(), each_loss, *TORCH, damping=0.1, rank=6),
    ),
    (
        "influence",
        {"estimator": NETWORK, "settings": {"inverse": "arnoldi", "damping": 0.1}},
        lambda: arnoldi_influence(trained(), each_loss, *TORCH, damping=0.1, rank=25),
    ),
]


@pytest.mark.parametrize(("method", "asked", "plain"), SAME, ids=[f"{m}-{i}" for i, (m, _, _) in enumerate(SAME)])
def test_the_numbers_are_those_of_the_function(method: str, asked: dict[str, Any], plain: Callable[[], Any]) -> None:
    result, wanted = valued(method, **asked), plain()
    np.testing.assert_allclose(result.values, wanted.values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.std_errors, wanted.std_errors, rtol=1e-9, atol=1e-12)
    assert result.evaluations == asked.get("budget", 1 if method == "influence" else len(result.values))


def test_influence_without_an_inverse_keeps_its_job() -> None:
    made = [valuation_game(Asked("influence", NETWORK, *DATA), given).digest for given in ({}, {"inverse": "cg"})]
    other = valuation_game(Asked("influence", NETWORK, *DATA), {"inverse": "arnoldi"}).digest
    assert made[0] == made[1] != other
    asked = Asked("influence", NETWORK, *DATA)
    before = Before("(InfluenceSettings(newton=True, damping=0.01),)")
    assert made[0] == asked.digest(asked.data(), before, model_parts(asked, asked.data()))


@dataclass(frozen=True)
class Before:
    """Settings as they were printed before there were others."""

    told: str

    def __repr__(self) -> str:
        return self.told


@pytest.mark.parametrize("method", ["distributional", "one_pass_banzhaf"])
@pytest.mark.parametrize("groups", [None, np.arange(9) // 2], ids=["points", "groups"])
def test_all_data_sets_of_nine_points(method: str, groups: Any) -> None:
    """Against the exact index from all coalitions: with all points the distributional value is the Shapley value."""
    whole = TrainingGame(LogisticRegression(), *FEW, scores=("accuracy",), groups=groups)
    budget = 1024
    index, asked = ("BV", {}) if method == "one_pass_banzhaf" else ("SV", {"cardinality": whole.n_players})
    truth = xr.explain(whole, index, budget="exact").values
    found = valued(
        method, FEW, estimator=LogisticRegression(), score="accuracy", groups=groups, budget=budget, settings=asked
    )
    assert (np.abs(found.values - truth) <= 4.5 * found.std_errors).all()
    assert 0 < found.std_errors.max() < 0.05
    assert found.ends[0, 0] == pytest.approx(whole.empty_scores[0])


JOBS: dict[str, tuple[dict[str, Any], int | None, int | None]] = {
    "loo": ({"estimator": RidgeClassifier(random_state=0), "refit": True}, None, None),
    "distributional": ({"estimator": RIDGE, "settings": {"cardinality": 9}}, 64, 112),
    "one_pass_banzhaf": ({"estimator": RIDGE, "settings": {"p": 0.4}}, 256, 448),
    "trak": ({"estimator": NETWORK, "settings": {"dimensions": 8}}, 4, 7),
}
"""Method -> what is asked, a budget, and one to extend it to."""


class Killed(Exception):
    """Stands for a process that is gone."""


@dataclass
class TwoWorkers:
    """Each with a game of its own as it came over the wire; units are dealt in turns and committed last first, some of them twice."""

    die_after: int | None = None

    def run(
        self, game: Any, design: Any, units: Sequence[Unit], commit: Callable[[Record], None], stopped: Any, ties: Any
    ) -> None:
        workers = [cloudpickle.loads(cloudpickle.dumps(game)) for _ in range(2)]
        records = [evaluate(unit, workers[i % 2], design) for i, unit in enumerate(units)][::-1]
        for i, record in enumerate([*records, *records[::2]]):
            if i == self.die_after:
                raise Killed
            commit(record)


def run(method: str, asked: dict[str, Any], budget: int | None, store: Any = None, engine: Any = "inline") -> str:
    given = dict(asked)
    settings, estimator = given.pop("settings", {}), given.pop("estimator")
    made = valuation_game(Asked(method, estimator, *DATA, **given), settings)
    planned = closed_form_plan(made, budget, Stop())
    manifest = manifest_of("cut", made, planned, {"budget": {"evaluations": budget}, "seed": 0})
    return json.dumps(run_planned(manifest, made, planned, Stop(), engine, store, False, None).to_document())


@pytest.mark.parametrize("method", JOBS)
def test_two_workers_a_kill_and_an_extension_end_with_the_same_bytes(method: str) -> None:
    asked, budget, more = JOBS[method]
    whole = run(method, asked, budget)
    assert run(method, asked, budget, engine=TwoWorkers()) == whole
    store = MemoryStore()
    with pytest.raises(Killed):
        run(method, asked, budget, store, TwoWorkers(die_after=2))
    (job,) = store.jobs()
    assert len(store.committed(job)) == 2
    assert run(method, asked, budget, store, TwoWorkers()) == whole
    if more is not None:
        assert run(method, asked, more, store, TwoWorkers()) == run(method, asked, more)


def test_rules_stop_the_new_pieces() -> None:
    found = valued("one_pass_banzhaf", estimator=RIDGE, budget=6400, std_error=0.004)
    assert found.evaluations < 6400
    assert found.std_errors.max() <= 0.004


def test_another_chance_to_join_is_another_job() -> None:
    found = valued("one_pass_banzhaf", estimator=RIDGE, budget=128, settings={"p": 0.3})
    np.testing.assert_array_equal(found.ask("WBV", p=0.3).values, found.values)
    with pytest.raises(NotEnoughSamples, match=r"holds WBV of p = 0\.3 .* so WBV of p = 0\.7 cannot"):
        found.ask("WBV", p=0.7)
    with pytest.raises(NotEnoughSamples, match="no scores of coalitions, so SV cannot"):
        found.ask("SV")


WRONG: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("trak", {"estimator": RIDGE}, SpecError, "torch network, got RidgeClassifier"),
    ("trak", {"estimator": replace(NETWORK, kind="regression")}, SpecError, "margins of classes"),
    ("trak", {"estimator": replace(NETWORK, batch=21)}, SpecError, r"larger than the 20 points of a checkpoint"),
    ("trak", {"estimator": NETWORK, "budget": 1}, BudgetTooSmall, "checkpoints: 'trak' needs at least 2"),
    ("trak", {"estimator": NETWORK, "settings": {"fraction": 0.0}}, SpecError, "fraction = 0.0: .*greater than 0"),
    ("trak", {"estimator": NETWORK, "settings": {"dimensions": 0}}, SpecError, "dimensions = 0: .*equal to 1"),
    ("trak", {"estimator": NETWORK, "settings": {"dimension": 9}}, UnknownName, "did you mean 'dimensions'"),
    ("distributional", {"estimator": RIDGE, "settings": {"cardinality": 41}}, SpecError, "above the 40 players"),
    ("distributional", {"estimator": RIDGE, "settings": {"cardinality": 0}}, SpecError, "cardinality = 0"),
    ("distributional", {"estimator": RIDGE, "budget": 9}, BudgetTooSmall, "at least 16"),
    (
        "distributional",
        {"estimator": RIDGE, "budget": 16, "settings": {"cardinality": 1}},
        NotEnoughSamples,
        "two for a standard error; extend",
    ),
    ("one_pass_banzhaf", {"estimator": RIDGE, "settings": {"p": 1.0}}, SpecError, "p = 1.0: .*less than 1"),
    ("one_pass_banzhaf", {"estimator": RIDGE, "p": 0.3}, SpecError, "does not take p"),
    ("one_pass_banzhaf", {"estimator": RIDGE, "budget": 40}, BudgetTooSmall, "at least 64"),
    ("loo", {"estimator": RIDGE, "budget": 20}, SpecError, "computed as a whole.*leave the budget out"),
    ("loo", {"estimator": RIDGE, "std_error": 0.1}, SpecError, "nothing stops it earlier"),
    ("influence", {"estimator": NETWORK, "settings": {"inverse": "lisa"}}, SpecError, "inverse = 'lisa'"),
    ("influence", {"estimator": NETWORK, "settings": {"inverse": "lissa"}}, SpecError, "'lissa' needs scale"),
    ("influence", {"estimator": NETWORK, "settings": {"rank": 3}}, SpecError, "rank is of inverse = 'arnoldi'"),
    (
        "influence",
        {"estimator": NETWORK, "settings": {"inverse": "arnoldi", "rank": 26}},
        SpecError,
        "not below the 26 parameters",
    ),
    (
        "influence",
        {"estimator": LogisticRegression(), "settings": {"inverse": "arnoldi"}},
        SpecError,
        "closed form: leave inverse out",
    ),
]


@pytest.mark.parametrize(("method", "asked", "kind", "words"), WRONG, ids=[f"{w[0]}-{i}" for i, w in enumerate(WRONG)])
def test_refusals(method: str, asked: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        valued(method, **asked)


def test_a_scale_that_is_too_small_diverges_in_words() -> None:
    with pytest.raises(XaiRayError, match=r"LiSSA diverged .* larger scale"):
        valued("influence", estimator=NETWORK, settings={"inverse": "lissa", "scale": 0.01})


def test_a_checkpoint_that_diverges_is_named() -> None:
    network = Network(lambda: torch.nn.Linear(3, 2), epochs=400, learning_rate=1e39)
    with pytest.raises(XaiRayError, match="diverged on the 20 points of checkpoint 0"):
        valued("trak", estimator=network, budget=2)


def test_units_of_own_players_are_checked_by_their_names() -> None:
    class Broken:
        def sums(self, start: int, stop: int, between: Callable[[], None]) -> Any:
            return np.where(np.arange(start, stop) == 17, np.nan, 0.0)[:, None, None], {}

    made = valuation_game(Asked("loo", RIDGE, *DATA, refit=True), {})
    assert made.design == Pieces(N, 1, "own", 16, N)
    with pytest.raises(XaiRayError, match=r"pieces \[16, 32\): the value of point 17 is nan"):
        evaluate(Unit(16, 32), replace(made, source=Broken()), made.design)
