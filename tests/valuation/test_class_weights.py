"""Class weights of a coalition against scikit-learn's own fits on it, on coalitions and on every prefix."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.class_weight import compute_sample_weight

from xai_ray.errors import InputError, SpecError
from xai_ray.testing.chain_games import check_chain_game
from xai_ray.valuation import OwnScore, TrainingGame
from xai_ray.valuation.class_weights import class_weight_of, member_weights

R = np.random.default_rng(21)
N, M = 24, 60
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
TWO, TWO_TEST = (X[:, 0] + 0.7 * R.normal(size=N) > -0.4).astype(int), (TEST[:, 0] > 0).astype(int)
THREE, THREE_TEST = np.digitize(X[:, 0], [-0.4, 0.4]), np.digitize(TEST[:, 0], [-0.4, 0.4])
WIDE = np.hstack([X, R.normal(size=(N, 30))]), np.hstack([TEST, R.normal(size=(M, 30))])


def tight(class_weight, C: float = 1.0) -> LogisticRegression:
    return LogisticRegression(C=C, class_weight=class_weight, solver="newton-cholesky", tol=1e-12, max_iter=1000)


def coalitions(rows: int = 50) -> np.ndarray:
    found = R.random((rows, N)) < R.random((rows, 1))
    return found[found.any(axis=1)]


def test_balanced_weights_equal_those_of_scikit_learn() -> None:
    held = (THREE[:, None] == np.arange(3)).astype(float)
    rows = coalitions()
    for row, found in zip(rows, member_weights(rows, held, "balanced"), strict=True):
        np.testing.assert_allclose(found[row], compute_sample_weight("balanced", THREE[row]), rtol=1e-14)
        assert (found[~row] == 0).all()


@pytest.mark.parametrize("weight", ["balanced", {0: 3.0, 1: 0.5, 2: 1.5}], ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_equals_refits(weight, classes: int) -> None:
    y, y_test = (TWO, TWO_TEST) if classes == 2 else (THREE, THREE_TEST)
    given = weight if isinstance(weight, str) else {c: weight[c] for c in range(classes)}
    game = TrainingGame(tight(given), X, y, TEST, y_test, scores=("neg_log_loss", "accuracy"))
    assert "Newton" in game.engine
    assert game.self_check(coalitions()).max() < 1e-7
    check_chain_game(game)
    assert game.digest != TrainingGame(tight(None), X, y, TEST, y_test, scores=("neg_log_loss", "accuracy")).digest


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weight", ["balanced", {0: 3.0, 1: 0.5, 2: 1.5}], ids=str)
@pytest.mark.parametrize("wide", [False, True])
def test_ridge_classifier_equals_refits(weight, wide: bool, intercept: bool) -> None:
    rows, tests = WIDE if wide else (X, TEST)
    estimator = RidgeClassifier(class_weight=weight, alpha=0.7, fit_intercept=intercept)
    for y, y_test in ((TWO, TWO_TEST), (THREE, THREE_TEST)):
        if isinstance(weight, dict):
            estimator = estimator.set_params(class_weight={c: weight[c] for c in range(len(set(y)))})
        game = TrainingGame(estimator, rows, y, tests, y_test, scores=("accuracy",))
        assert "Cholesky" in game.engine
        assert game.self_check(coalitions()).max() == 0
        check_chain_game(game)


def test_margins_of_weighted_ridge_equal_refits() -> None:
    """The decision function itself, which no accuracy shows."""
    game = TrainingGame(RidgeClassifier(class_weight={0: 3.0, 1: 0.5}), X, TWO, TEST, TWO_TEST, scores=("roc_auc",))
    assert game.self_check(coalitions()).max() < 1e-12
    order = R.permutation(N)
    for first, decisions in game._engine.prefixes(order, np.arange(1, N + 1)):
        for t, found in enumerate(decisions, first + 1):
            if len(set(TWO[order[:t]])) == 2:
                model = RidgeClassifier(class_weight={0: 3.0, 1: 0.5}).fit(X[order[:t]], TWO[order[:t]])
                np.testing.assert_allclose(found[:, 1], model.decision_function(TEST), rtol=0, atol=1e-9)


def test_named_labels() -> None:
    """Weights go by the labels that the user gave, in the batched engine and in refits."""
    names = np.array(["yes", "no"])
    given = {"yes": 4.0, "no": 0.25}
    numbers = TrainingGame(tight({0: 0.25, 1: 4.0}), X, 1 - TWO, TEST, 1 - TWO_TEST, scores=("neg_log_loss",))
    named = TrainingGame(tight(given), X, names[TWO], TEST, names[TWO_TEST], scores=("neg_log_loss",))
    rows, nothing = coalitions(), np.zeros(50, dtype=np.int64)
    expected = numbers.values(rows, nothing)
    np.testing.assert_allclose(named.values(rows, nothing), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(named.refit_values(rows), expected, rtol=0, atol=1e-7)
    tree = DecisionTreeClassifier(random_state=0, class_weight={1.0: 9.0, 2.0: 1.0}, max_depth=1)
    game = TrainingGame(tree, X, TWO + 1.0, TEST, TWO_TEST + 1.0, scores=(OwnScore(lambda truth, found: found.mean()),))
    alone = tree.fit(X, TWO + 1.0).predict(TEST)
    assert game.values(np.ones((1, N), dtype=bool), nothing[:1])[0, 0] == (alone == 2.0).mean()


def test_bad_weights_are_refused() -> None:
    with pytest.raises(InputError, match="names the class 'maybe', which no training point has"):
        class_weight_of({"maybe": 1.0}, ("no", "yes"))
    with pytest.raises(InputError, match=r"class_weight of yes is -1.0"):
        class_weight_of({"yes": -1}, ("no", "yes"))
    with pytest.raises(SpecError, match="no weight for the class b"):
        class_weight_of({"a": 1, "c": 2}, ("a", "b", "c"))
    with pytest.raises(InputError, match="class_weight is 'balanced'"):
        class_weight_of([1, 2], ("a", "b"))
