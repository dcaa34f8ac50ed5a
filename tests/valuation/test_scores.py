"""Every score against scikit-learn's on the fitted models, its conventions, and scores of the user's own."""

import warnings

import numpy as np
import pytest
from sklearn import metrics
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC

from xai_ray.errors import InputError, ModelOutputError, NonFiniteValue, SpecError, XaiRayError
from xai_ray.testing.chain_games import check_chain_game
from xai_ray.valuation import SCORES, OwnScore, TrainingGame

R = np.random.default_rng(4)
N, M = 30, 50
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
TWO, TWO_TEST = (X[:, 0] + 0.7 * R.normal(size=N) > 0).astype(int), (TEST[:, 0] > 0.3).astype(int)
THREE, THREE_TEST = np.digitize(X[:, 0], [-0.4, 0.4]), np.digitize(TEST[:, 0], [-0.4, 0.4])
TIGHT = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)
CLASSIFIES = tuple(name for name, row in SCORES.items() if row.classifies)
MANY = tuple(name for name in CLASSIFIES if name != "f1")
HARD = ("accuracy", "balanced_accuracy", "f1", "f1_macro", "roc_auc")
ESTIMATORS = [TIGHT, KNeighborsClassifier(3), RandomForestClassifier(5, random_state=0)]


def nothing(rows: int) -> np.ndarray:
    return np.zeros(rows, dtype=np.int64)


def coalitions(labels: np.ndarray, rows: int = 40) -> np.ndarray:
    """Coalitions that hold every class, whose fits need no convention."""
    found = R.random((rows, len(labels))) < R.uniform(0.3, 1.0, size=(rows, 1))
    return found[[len(set(labels[row])) == len(set(labels)) and row.sum() >= 5 for row in found]]


def by_scikit_learn(name: str, model, rows: np.ndarray, truth: np.ndarray) -> float:
    scorer = "roc_auc_ovr" if name == "roc_auc" and len(set(truth)) > 2 else name
    return metrics.get_scorer(scorer)(model, rows, truth)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_equal_those_of_scikit_learn(estimator, classes: int) -> None:
    y, truth, names = (TWO, TWO_TEST, CLASSIFIES) if classes == 2 else (THREE, THREE_TEST, MANY)
    game = TrainingGame(estimator, X, y, TEST, truth, scores=names)
    rows = coalitions(y)
    for row, found in zip(rows, game.values(rows, nothing(len(rows))), strict=True):
        model = estimator.fit(X[row], y[row])
        expected = [by_scikit_learn(name, model, TEST, truth) for name in names]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("estimator", [RidgeClassifier(), LinearSVC(random_state=0), SVC(random_state=0)], ids=repr)
def test_without_probabilities_the_decision_function_ranks(estimator) -> None:
    game = TrainingGame(estimator, X, TWO, TEST, TWO_TEST, scores=HARD)
    rows = coalitions(TWO, 12)
    for row, found in zip(rows, game.values(rows, nothing(len(rows))), strict=True):
        model = estimator.fit(X[row], TWO[row])
        expected = [by_scikit_learn(name, model, TEST, TWO_TEST) for name in HARD]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    with pytest.raises(SpecError, match="roc_auc of 3 classes needs probabilities"):
        TrainingGame(estimator, X, THREE, TEST, THREE_TEST, scores=("roc_auc",))


def test_macro_f1_counts_the_classes_that_are_seen() -> None:
    """A class that neither the test points nor the predictions have does not count; one that is only predicted does."""
    truth = np.array([0, 0, 1, 1])
    decisions = np.zeros((2, 4, 3))
    decisions[0, [0, 1, 2, 3], [0, 1, 1, 1]] = 1.0
    decisions[1, [0, 1, 2, 3], [0, 2, 1, 1]] = 1.0
    found = SCORES["f1_macro"].score(decisions, truth)
    expected = [metrics.f1_score(truth, row.argmax(axis=1), average="macro") for row in decisions]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [metrics.balanced_accuracy_score(truth, row.argmax(axis=1)) for row in decisions]
    np.testing.assert_allclose(SCORES["balanced_accuracy"].score(decisions, truth), expected, rtol=0, atol=1e-15)


def test_ties_of_the_ranking_count_half() -> None:
    truth = R.integers(0, 2, 200)
    margins = np.round(R.normal(size=(6, 200)) + truth, 0)
    found = SCORES["roc_auc"].score(np.stack([np.zeros_like(margins), margins], axis=2), truth)
    np.testing.assert_allclose(found, [metrics.roc_auc_score(truth, row) for row in margins], rtol=0, atol=1e-14)


@pytest.mark.parametrize("classes", [2, 3])
def test_empty_and_one_class_coalitions(classes: int) -> None:
    y, truth, names = (TWO, TWO_TEST, CLASSIFIES) if classes == 2 else (THREE, THREE_TEST, MANY)
    game = TrainingGame(TIGHT, X, y, TEST, truth, scores=names)
    lone = np.stack([np.zeros(N, dtype=bool), y == 1])
    found = dict(zip(names, game.values(lone, nothing(2)).T, strict=True))
    assert found["balanced_accuracy"] == pytest.approx([1 / classes, 1 / classes])
    assert found["roc_auc"] == pytest.approx([0.5, 0.5])
    ones = np.ones(M, dtype=int)
    assert found["f1_macro"][1] == pytest.approx(metrics.f1_score(truth, ones, average="macro"))
    guesses = R.integers(0, classes, (4000, M))
    own, said = truth[None] == np.arange(classes)[:, None], guesses[..., None] == np.arange(classes)
    right = np.array([(said[..., c] & own[c]).sum(axis=1).mean() for c in range(classes)])
    expected = (2 * right / (said.sum(axis=1).mean(axis=0) + own.sum(axis=1))).mean()
    assert found["f1_macro"][0] == pytest.approx(expected, abs=5e-3)
    if classes == 2:
        assert found["f1"][1] == pytest.approx(metrics.f1_score(truth, ones))


def test_what_a_score_cannot_judge_is_refused() -> None:
    with pytest.raises(InputError, match="use f1_macro"):
        TrainingGame(TIGHT, X, THREE, TEST, THREE_TEST, scores=("f1",))
    with pytest.raises(InputError, match="roc_auc needs test points of every class"):
        TrainingGame(TIGHT, X, TWO, TEST, np.ones(M, dtype=int), scores=("roc_auc",))


def worst_class(truth: np.ndarray, predicted: np.ndarray) -> float:
    return min((predicted == truth)[truth == c].mean() for c in set(truth.tolist()))


def brier(truth: np.ndarray, chances: np.ndarray) -> float:
    return -float(((chances - (truth[:, None] == np.arange(chances.shape[1]))) ** 2).sum(axis=1).mean())


def test_scores_of_ones_own() -> None:
    game = TrainingGame(
        TIGHT, X, THREE, TEST, THREE_TEST, scores=("accuracy", worst_class, OwnScore(brier, "probabilities"))
    )
    assert game.output_names == ("accuracy", "worst_class", "brier")
    check_chain_game(game)
    rows = coalitions(THREE, 10)
    for row, found in zip(rows, game.values(rows, nothing(len(rows))), strict=True):
        model = TIGHT.fit(X[row], THREE[row])
        expected = [worst_class(THREE_TEST, model.predict(TEST)), brier(THREE_TEST, model.predict_proba(TEST))]
        np.testing.assert_allclose(found[1:], expected, rtol=0, atol=1e-7)
    empty = game.values(np.zeros((1, N), dtype=bool), nothing(1))[0]
    np.testing.assert_allclose(empty, [1 / 3, 0.0, brier(THREE_TEST, np.full((M, 3), 1 / 3))])


def test_own_score_of_a_regression() -> None:
    real, real_test = X @ [1.0, 2.0, 0.0], TEST @ [1.0, 2.0, 0.0]
    worst = OwnScore(lambda truth, found: -np.abs(truth - found).max(), name="worst")
    game = TrainingGame(Ridge(), X, real, TEST, real_test, scores=worst)
    rows = np.stack([np.zeros(N, dtype=bool), np.ones(N, dtype=bool)])
    expected = [-np.abs(real_test).max(), -np.abs(real_test - Ridge().fit(X, real).predict(TEST)).max()]
    np.testing.assert_allclose(game.values(rows, nothing(2))[:, 0], expected, atol=1e-12)


def test_own_scores_have_digests_of_their_code() -> None:
    made = [OwnScore(f, name="own") for f in (lambda t, a: 1.0, lambda t, a: 2.0, lambda t, a: float(t[0]))]
    made += [OwnScore(made[0].function, "probabilities", "own"), OwnScore(worst_class, name="own")]
    games = [TrainingGame(TIGHT, X, TWO, TEST, TWO_TEST, scores=(one,)) for one in made]
    assert len({game.digest for game in games}) == len(games)
    assert games[0].digest == TrainingGame(TIGHT, X, TWO, TEST, TWO_TEST, scores=(made[0],)).digest


def failing(truth: np.ndarray, predicted: np.ndarray) -> float:
    raise ZeroDivisionError("no points")


def test_broken_scores_are_errors() -> None:
    def game(score: object) -> TrainingGame:
        return TrainingGame(TIGHT, X, TWO, TEST, TWO_TEST, scores=(OwnScore(score, name="mine"),))  # type: ignore[arg-type]

    with pytest.raises(ModelOutputError, match=r"the score mine returned float64 of shape \(50,\)"):
        game(lambda truth, predicted: (truth == predicted) * 1.0)
    with pytest.raises(ModelOutputError, match="it must return one real number"):
        game(lambda truth, predicted: "good")
    with pytest.raises(XaiRayError, match="the score mine failed: ZeroDivisionError: no points"):
        game(failing)
    with pytest.raises(NonFiniteValue, match=r"mine of the empty coalition is nan"):
        game(lambda truth, predicted: np.nan)
    broken = game(lambda truth, predicted: np.inf if 0 < predicted.mean() < 1 else 0.0)
    with pytest.raises(NonFiniteValue, match=r"mine of the model trained on players \[0, 1, 2.*is inf"):
        broken.values(np.ones((1, N), dtype=bool), nothing(1))
    with pytest.raises(SpecError, match="repeat a name"):
        TrainingGame(TIGHT, X, TWO, TEST, TWO_TEST, scores=(worst_class, worst_class))
