"""`xai_ray.value`: every method against the exact answer, arrays of several kinds, and what does not go together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

import xai_ray as xr
from xai_ray.errors import BudgetTooSmall, InputError, NotEnoughSamples, SpecError, UnknownName, XaiRayError
from xai_ray.valuation import Network, TrainingGame, knn_shapley
from xai_ray.valuation.methods import CLOSED_FORMS
from xai_ray.valuing import METHODS, PAIRS, QUESTIONS

R = np.random.default_rng(5)
N, M = 8, 30
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
LABELS = np.array([0, 1, 0, 1, 1, 0, 1, 0])
TEST_LABELS = (TEST[:, 0] + 0.3 * R.normal(size=M) > 0).astype(int)
DATA = (X, LABELS, TEST, TEST_LABELS)
RIDGE = RidgeClassifier(alpha=0.5)


def exactly(index: str = "SV", score: str = "accuracy", estimator: Any = RIDGE, **parameters: Any) -> np.ndarray:
    game = TrainingGame(estimator, *DATA, scores=(score,))
    return xr.explain(game, index, budget="exact", **parameters).values


METHOD_TRUTH: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"method": "shapley"}, {"index": "SV"}),
    ({"method": "beta"}, {"index": "BETA", "alpha": 4.0, "beta": 1.0}),
    ({"method": "beta", "alpha": 1.0, "beta": 8.0}, {"index": "BETA", "alpha": 1.0, "beta": 8.0}),
    ({"method": "banzhaf", "budget": 140}, {"index": "BV"}),
    ({"method": "weighted_banzhaf", "p": 0.7, "budget": 140}, {"index": "WBV", "p": 0.7}),
]


@pytest.mark.parametrize("estimator", [RIDGE, LogisticRegression()], ids=["ridge", "logistic"])
@pytest.mark.parametrize(("asked", "truth"), METHOD_TRUTH, ids=lambda a: "-".join(map(str, a.values())))
def test_sampled_methods_agree_with_enumeration(estimator: Any, asked: dict[str, Any], truth: dict[str, Any]) -> None:
    asked = {"budget": 240} | asked
    result = xr.value(estimator, *DATA, seed=4, **asked)
    assert result.evaluations <= asked["budget"]
    assert result.estimates[0].estimator != "exact"
    gap = np.abs(result.values - exactly(estimator=estimator, **truth))
    assert (gap <= 4.5 * result.std_errors + 1e-9).all()
    assert result.std_errors.max() > 0


def test_exact() -> None:
    result = xr.value(RIDGE, *DATA, method="exact")
    np.testing.assert_allclose(result.values, exactly(), atol=1e-12)
    assert (result.std_errors == 0).all()
    assert result.evaluations == 1 << N


def test_leave_one_out() -> None:
    result = xr.value(RIDGE, *DATA, method="loo")
    game = TrainingGame(RIDGE, *DATA, scores=("accuracy",))
    whole = game.values(np.ones((1, N), dtype=bool), np.zeros(1, dtype=np.int64))[0, 0]
    rest = [
        RidgeClassifier(alpha=0.5).fit(np.delete(X, i, 0), np.delete(LABELS, i)).score(TEST, TEST_LABELS)
        for i in range(N)
    ]
    np.testing.assert_allclose(result.values, whole - np.array(rest), atol=1e-12)
    np.testing.assert_allclose(result.values, exactly("SEMI", weights=(0,) * (N - 1) + (1,)), atol=1e-12)
    assert result.evaluations == N
    np.testing.assert_allclose(result.ends[1], whole, atol=1e-12)
    with pytest.raises(NotEnoughSamples, match="no scores of coalitions"):
        result.ask("SV")
    several = xr.value(
        Ridge(),
        X,
        X @ [1.0, 2.0, 3.0],
        TEST,
        TEST @ [1.0, 2.0, 3.0],
        method="loo",
        score=["r2", "neg_mean_squared_error"],
    )
    assert several.values.shape == (N, 2)


def test_nearest_neighbours() -> None:
    result = xr.value(KNeighborsClassifier(3), *DATA, method="knn")
    np.testing.assert_allclose(result.values, knn_shapley(*DATA, k=3), atol=1e-12)
    assert (result.std_errors == 0).all()
    assert result.ends[1, 0] - result.ends[0, 0] == pytest.approx(result.values.sum())
    assert result.to_pandas()["player"].tolist() == [f"point {i}" for i in range(N)]


def test_a_call_without_a_budget_pays_for_a_hundred_pairs() -> None:
    result = xr.value(RIDGE, *DATA)
    assert result.evaluations == 2 + 2 * (N - 1) * PAIRS or result.evaluations == 1 << N
    larger = np.vstack([X, X + 0.1]), np.tile(LABELS, 2), TEST, TEST_LABELS
    assert xr.value(RIDGE, *larger).evaluations == 2 + 2 * (2 * N - 1) * PAIRS


def test_one_set_of_models_answers_other_semivalues() -> None:
    result = xr.value(RIDGE, *DATA, budget=240, seed=2)
    for index, parameters in (("BETA", {"alpha": 4.0, "beta": 1.0}), ("BV", {}), ("WBV", {"p": 0.4})):
        other = result.ask(index, **parameters)
        assert (np.abs(other.values - exactly(index, **parameters)) <= 4.5 * other.std_errors + 1e-9).all()
        assert other.evaluations == result.evaluations
    beta = xr.value(RIDGE, *DATA, method="beta", budget=240, seed=2)
    np.testing.assert_array_equal(result.ask("BETA", alpha=4.0, beta=1.0).values, beta.values)


def test_groups_are_players() -> None:
    groups = pd.Series(["b", "a", "b", "c", "c", "a", "d", "d"])
    result = xr.value(RIDGE, *DATA, method="exact", groups=groups)
    assert result.players == ("a", "b", "c", "d")
    assert result.values.sum() == pytest.approx(result.ends[1, 0] - result.ends[0, 0])


def frames() -> tuple[pd.DataFrame, pd.Series, pd.DataFrame, pd.Series]:
    names = [f"row {i}" for i in range(N)]
    return (
        pd.DataFrame(X, columns=list("abc"), index=names),
        pd.Series(np.where(LABELS == 1, "one", "zero"), index=names),
        pd.DataFrame(TEST, columns=list("abc"))[["c", "a", "b"]],
        pd.Series(np.where(TEST_LABELS == 1, "one", "zero")),
    )


def test_pandas_in_and_out() -> None:
    plain = xr.value(RIDGE, *DATA, budget=240)
    result = xr.value(RIDGE, *frames(), budget=240)
    np.testing.assert_allclose(np.sort(result.values), np.sort(plain.values), atol=1e-12)
    frame = result.to_pandas()
    assert frame["player"].tolist() == [f"row {i}" for i in range(N)]
    np.testing.assert_array_equal(frame["value"], result.values)
    np.testing.assert_array_equal(frame["std_error"], result.std_errors)
    assert (frame["low"] <= frame["value"]).all()
    assert xr.value(RIDGE, pd.DataFrame(X), LABELS, pd.DataFrame(TEST), TEST_LABELS, budget=240).players[0] == "point 0"
    assert "players" in result.ask("BV").to_arrow().column_names


def test_arrow_in_and_out() -> None:
    table, test = (
        pa.table(dict(zip("abc", X.T, strict=True))),
        pa.table(dict(zip("cab", TEST.T[[2, 0, 1]], strict=True))),
    )
    result = xr.value(RIDGE, table, pa.array(LABELS), test, pa.array(TEST_LABELS), budget=240)
    plain = xr.value(RIDGE, *DATA, budget=240)
    np.testing.assert_array_equal(result.values, plain.values)
    found = result.to_arrow()
    assert found.column("value").to_pylist() == result.values.tolist()
    assert found.column("players").to_pylist() == [[f"point {i}"] for i in range(N)]


def test_a_store_keeps_the_models(tmp_path: Any) -> None:
    store = f"file://{tmp_path}"
    first = xr.value(RIDGE, *DATA, budget=150, store=store, name="mine")
    longer = xr.value(RIDGE, *DATA, budget=240, store=store, name="mine")
    assert first.job == longer.job
    straight = xr.value(RIDGE, *DATA, budget=240, name="mine")
    assert longer.values.tobytes() == straight.values.tobytes()
    assert longer.std_errors.tobytes() == straight.std_errors.tobytes()


def test_stop_rules_are_passed_on() -> None:
    result = xr.value(RIDGE, *DATA, budget=250, std_error=1.0)
    assert result.provenance["stop"]["asked"] == {"std_error": 1.0}
    assert result.evaluations < 250


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"method": "shaply"}, UnknownName, "did you mean 'shapley'"),
    ({"alpha": 2.0}, SpecError, "'shapley' does not take alpha"),
    ({"method": "weighted_banzhaf"}, SpecError, "needs p"),
    ({"method": "exact", "budget": 100}, SpecError, "leave out budget"),
    ({"method": "loo", "budget": 5}, SpecError, "leave the budget out"),
    ({"settings": {"radius": 2.0}}, SpecError, "'shapley' has no settings"),
    ({"method": "knn"}, SpecError, "KNeighborsClassifier"),
    ({"budget": 0}, BudgetTooSmall, "at least 2"),
    ({"budget": 20}, BudgetTooSmall, "needs at least"),
    ({"score": "acc"}, UnknownName, "accuracy"),
    ({"score": "r2"}, SpecError, "not a regression"),
    ({"groups": [1, 2]}, InputError, "groups has shape"),
]


@pytest.mark.parametrize(
    ("asked", "kind", "words"), WRONG, ids=lambda w: "-".join(map(str, w)) if isinstance(w, dict) else ""
)
def test_what_does_not_go_together(asked: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        xr.value(RIDGE, *DATA, **asked)


def test_wrong_data() -> None:
    with pytest.raises(SpecError, match="does not take groups"):
        xr.value(KNeighborsClassifier(3), *DATA, method="knn", groups=np.arange(N) % 2)
    with pytest.raises(InputError, match="different columns: c, d"):
        xr.value(
            RIDGE, pd.DataFrame(X, columns=list("abc")), LABELS, pd.DataFrame(TEST, columns=list("abd")), TEST_LABELS
        )
    with pytest.raises(InputError, match="encode text columns"):
        xr.value(RIDGE, pd.DataFrame({"a": list("pqrstuvw")}), LABELS, pd.DataFrame({"a": list("pqr")}), [0, 1, 0])
    with pytest.raises(InputError, match="no scikit-learn estimator"):
        xr.value(None, *DATA)
    for texts in (X.astype(str), X.astype(str).tolist(), X.astype(str).astype(object)):
        with pytest.raises(InputError, match="X must hold real numbers, and has texts"):
            xr.value(RIDGE, texts, *DATA[1:])
    with pytest.raises(InputError, match="y must hold real numbers"):
        xr.value(Ridge(), X, LABELS.astype(str), TEST, TEST_LABELS.astype(str))
    with pytest.raises(InputError, match="X holds complex numbers"):
        xr.value(RIDGE, X + 0j, *DATA[1:])


def test_every_method_says_what_it_is() -> None:
    assert len(METHODS) == len(QUESTIONS) + len(CLOSED_FORMS)
    assert all(METHODS.values())


class Forgetful(RidgeClassifier):
    """Does not keep its parameters."""

    def __init__(self, strength: float = 1.0) -> None:
        self.kept = strength


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("one class, tests of two", {"y": np.zeros(N, dtype=int)}, "all training labels are 0"),
    ("rows of different length", {"X": [[1.0, 2.0, 3.0]] * (N - 1) + [[1.0]]}, "X has rows of different length"),
    ("sparse", {"X": csr_matrix(X)}, r"X is a sparse matrix; give X.toarray\(\)"),
    ("no group", {"groups": [None] + ["a"] * (N - 1)}, "training point 0 is in no group, 1 in all; name a group"),
    ("empty group", {"groups": np.array(["a"] * (N - 1) + [""])}, f"training point {N - 1} is in no group"),
    ("missing group", {"groups": np.array([np.nan] + [1.0] * (N - 1))}, "training point 0 is in no group"),
    ("a class", {"estimator": LogisticRegression}, r"is a class; give an estimator, as LogisticRegression\(\)"),
    ("no parameters", {"estimator": Forgetful()}, "Forgetful cannot be cloned.*keep its parameters as given"),
    ("a score of NaN", {"score": lambda truth, answers: np.nan}, "of the empty coalition is nan"),
]


@pytest.mark.parametrize(("changed", "words"), [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_what_cannot_be_valued_is_said_in_a_line(changed: dict[str, Any], words: str) -> None:
    arguments = {"estimator": RIDGE, "X": X, "y": LABELS, "X_test": TEST, "y_test": TEST_LABELS} | changed
    with pytest.raises(XaiRayError, match=words) as caught:
        xr.value(**arguments)
    assert "\n" not in str(caught.value)


def test_a_score_may_be_a_function() -> None:
    def hits(truth: Any, answers: Any) -> float:
        return float((truth == answers).mean())

    mine, known = (xr.value(RIDGE, *DATA, score=score, budget=200) for score in (hits, "accuracy"))
    np.testing.assert_allclose(mine.std_errors[1:], known.std_errors[1:])
    assert mine.outputs == ("hits",)


def test_a_network_that_diverges_names_unit_coalition_and_step() -> None:
    def make() -> Any:
        return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))

    wild = Network(make, epochs=9, learning_rate=1e30)
    with pytest.raises(XaiRayError, match=r"unit \[0, \d+\): the network diverged on the coalition of .* at step 1"):
        xr.value(wild, *DATA, budget=200)


@pytest.mark.parametrize(
    "estimator", [RIDGE, LogisticRegression(), KNeighborsClassifier(3)], ids=lambda e: type(e).__name__
)
def test_points_that_are_equal_share_their_value(estimator: Any) -> None:
    twice = np.vstack([X, X[:1]]), np.append(LABELS, LABELS[0])
    values = xr.value(estimator, *twice, TEST, TEST_LABELS, method="exact").values
    assert values[0] == pytest.approx(values[-1], abs=1e-12)
