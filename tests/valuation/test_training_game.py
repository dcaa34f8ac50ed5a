"""The contract of training games for every engine, refits with the estimator itself, conventions and refusals."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from xai_ray.api import explain
from xai_ray.errors import InputError, NonFiniteValue, SpecError, UnknownName, XaiRayError
from xai_ray.testing.chain_games import check_chain_game
from xai_ray.testing.games import check_game
from xai_ray.valuation import TrainingGame

R = np.random.default_rng(11)
N, M = 26, 40
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
TWO, TWO_TEST = (X[:, 0] + 0.5 * R.normal(size=N) > 0).astype(int), (TEST[:, 0] > 0).astype(int)
THREE, THREE_TEST = np.digitize(X[:, 0], [-0.4, 0.4]), np.digitize(TEST[:, 0], [-0.4, 0.4])
REAL, REAL_TEST = X @ [1.0, 2.0, 0.0] + 4.0, TEST @ [1.0, 2.0, 0.0] + 4.0
TIGHT = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000)
PAIR, TRIPLE, NUMBER = (X, TWO, TEST, TWO_TEST), (X, THREE, TEST, THREE_TEST), (X, REAL, TEST, REAL_TEST)
ERRORS = ("r2", "neg_mean_squared_error")
GAMES = {
    "logistic": lambda: TrainingGame(TIGHT, *PAIR, scores=("accuracy", "neg_log_loss")),
    "logistic without intercept": lambda: TrainingGame(
        LogisticRegression(C=0.3, fit_intercept=False, tol=1e-10, max_iter=1000), *PAIR, scores=("neg_log_loss",)
    ),
    "softmax": lambda: TrainingGame(TIGHT, *TRIPLE, scores=("accuracy", "neg_log_loss")),
    "ridge classifier": lambda: TrainingGame(RidgeClassifier(), *TRIPLE, scores=("accuracy",)),
    "ridge classifier of two": lambda: TrainingGame(RidgeClassifier(fit_intercept=False), *PAIR, scores=("accuracy",)),
    "ridge": lambda: TrainingGame(Ridge(0.3), *NUMBER, scores=ERRORS),
    "ridge of groups": lambda: TrainingGame(Ridge(), *NUMBER, scores=ERRORS, groups=np.arange(N) * 5 % 7),
    "logistic of groups": lambda: TrainingGame(TIGHT, *PAIR, scores=("neg_log_loss",), groups=np.arange(N) * 5 % 7),
    "ridge of few points": lambda: TrainingGame(
        Ridge(), np.tile(X, 10), REAL, np.tile(TEST, 10), REAL_TEST, scores=("r2",)
    ),
    "kernel ridge": lambda: TrainingGame(KernelRidge(kernel="rbf", alpha=0.2), *NUMBER, scores=ERRORS),
    "tree": lambda: TrainingGame(DecisionTreeClassifier(random_state=0), *TRIPLE, scores=("accuracy", "neg_log_loss")),
    "regression tree": lambda: TrainingGame(DecisionTreeRegressor(random_state=0), *NUMBER, scores=ERRORS),
    "neighbours": lambda: TrainingGame(KNeighborsClassifier(3), *TRIPLE, scores=("accuracy", "neg_log_loss")),
}


def coalitions_of(n: int, rows: int = 60, smallest: int = 0) -> np.ndarray:
    coalitions = R.random((rows, n)) < R.random((rows, 1))
    return coalitions[coalitions.sum(axis=1) >= smallest]


def nothing(rows: int) -> np.ndarray:
    return np.zeros(rows, dtype=np.int64)


@pytest.mark.parametrize("name", GAMES)
def test_contract(name: str) -> None:
    check_chain_game(GAMES[name]())


@pytest.mark.parametrize("name", GAMES)
def test_values_equal_refits(name: str) -> None:
    game = GAMES[name]()
    smallest = 3 if name == "neighbours" else 0
    assert game.self_check(coalitions_of(game.n_players, smallest=smallest)).max() < 1e-7


def test_empty_and_one_class_coalitions() -> None:
    game = TrainingGame(TIGHT, *PAIR, scores=("accuracy", "neg_log_loss"))
    coalitions = np.stack([np.zeros(N, dtype=bool), TWO == 1])
    found = game.values(coalitions, nothing(2))
    np.testing.assert_allclose(found[0], [0.5, -np.log(2)])
    assert found[1, 0] == TWO_TEST.mean()
    given = TrainingGame(TIGHT, *PAIR, scores=("accuracy",), empty=[0.25])
    assert given.values(coalitions[:1], nothing(1))[0, 0] == 0.25
    regression = TrainingGame(Ridge(), *NUMBER, scores=("neg_mean_squared_error",))
    assert regression.values(coalitions[:1], nothing(1))[0, 0] == pytest.approx(-np.mean(REAL_TEST**2))


def test_digests_differ() -> None:
    digests = [make().digest for make in GAMES.values()]
    assert len(set(digests)) == len(GAMES)
    assert digests == [make().digest for make in GAMES.values()]
    assert TrainingGame(Ridge(0.4), *NUMBER, scores=ERRORS).digest not in digests


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(solver="liblinear"),
        LogisticRegression(l1_ratio=0.5, solver="saga"),
        RidgeClassifier(positive=True, solver="lbfgs"),
        KNeighborsClassifier(weights="distance"),
        KNeighborsClassifier(metric="manhattan"),
    ],
    ids=repr,
)
def test_what_no_engine_reproduces_is_refused(estimator) -> None:
    with pytest.raises(SpecError, match="refit=True"):
        TrainingGame(estimator, *PAIR, scores=("accuracy",))


def test_refit_on_request() -> None:
    game = TrainingGame(
        LogisticRegression(class_weight="balanced", random_state=0), *PAIR, scores=("accuracy",), refit=True
    )
    assert "one fit a coalition" in game.engine
    check_game(game, rows=8)


def test_a_failed_fit_names_its_coalition() -> None:
    game = TrainingGame(KNeighborsClassifier(9), *PAIR, scores=("accuracy",), refit=True)
    few = np.zeros((1, N), dtype=bool)
    few[0, [np.argmin(TWO), np.argmax(TWO)]] = True
    with pytest.raises(XaiRayError, match=r"KNeighborsClassifier failed on the coalition of 2 points \[\d+, \d+\]"):
        game.values(few, nothing(1))


def test_bad_input_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'accuracy'"):
        TrainingGame(TIGHT, *PAIR, scores=("acuracy",))
    with pytest.raises(SpecError, match="mix classification and regression"):
        TrainingGame(TIGHT, *PAIR, scores=("accuracy", "r2"))
    with pytest.raises(SpecError, match="is not a classifier"):
        TrainingGame(Ridge(), *PAIR, scores=("accuracy",))
    with pytest.raises(SpecError, match="is not a classifier"):
        TrainingGame(KMeans(), *PAIR, scores=("accuracy",))
    with pytest.raises(SpecError, match="no predict_proba"):
        TrainingGame(RidgeClassifier(), *PAIR, scores=("neg_log_loss",))
    with pytest.raises(SpecError, match="set random_state"):
        TrainingGame(DecisionTreeClassifier(), *PAIR, scores=("accuracy",))
    with pytest.raises(InputError, match="no scikit-learn estimator"):
        TrainingGame(np.mean, *PAIR, scores=("accuracy",))
    with pytest.raises(InputError, match="groups has shape"):
        TrainingGame(TIGHT, *PAIR, scores=("accuracy",), groups=[1, 2])
    with pytest.raises(InputError, match="one a score"):
        TrainingGame(TIGHT, *PAIR, scores=("accuracy",), empty=[0.1, 0.2])
    with pytest.raises(InputError, match="targets that differ"):
        TrainingGame(Ridge(), X, REAL, TEST, np.ones(M), scores=("r2",))


@pytest.mark.parametrize(
    ("labels", "tests", "words"),
    [
        (np.where(np.arange(N) == 2, None, np.where(TWO > 0, "yes", "no")), None, r"y has no label at row 2, 1 in all"),
        (np.where(np.arange(N) > 4, np.nan, TWO).astype(object), None, r"y has no label at row 5"),
        (np.full(N, "yes"), np.full(M, "yes"), r"all training labels are 'yes'; .* two classes"),
        (TWO + 0, TWO_TEST + 5, r"y_test has the label [56] \(test row 0\)"),
    ],
)
def test_labels_that_cannot_be_used(labels, tests, words: str) -> None:
    known = np.where(TWO_TEST > 0, "yes", "no") if tests is None else tests
    with pytest.raises(InputError, match=words):
        TrainingGame(TIGHT, X, labels, TEST, known, scores=("accuracy",))


class Broken(DecisionTreeClassifier):
    def predict_proba(self, X, check_input=True):
        return np.full((len(X), len(self.classes_)), np.nan)


def test_a_model_that_breaks_down_is_no_score() -> None:
    game = TrainingGame(Broken(random_state=0), *PAIR, scores=("accuracy", "neg_log_loss"))
    with pytest.raises(NonFiniteValue, match="accuracy of the model trained on players"):
        game.values(np.ones((1, N), dtype=bool), nothing(1))


def test_features_whose_products_overflow_are_refused() -> None:
    huge = np.where(np.arange(N)[:, None] == 3, 1e200, X)
    with pytest.raises(InputError, match="scale the features"):
        TrainingGame(RidgeClassifier(), huge, TWO, TEST, TWO_TEST, scores=("accuracy",))


class Doubling(DecisionTreeClassifier):
    def __init__(self, depth=2, random_state=0):
        super().__init__(random_state=random_state)
        self.depth = 2 * depth


def test_an_estimator_that_cannot_be_cloned_is_refused() -> None:
    with pytest.raises(SpecError, match=r"Doubling cannot be cloned.*keep its parameters as given"):
        TrainingGame(Doubling(), *PAIR, scores=("accuracy",))


def test_which_engines_have_cheaper_chains() -> None:
    cheaper = {name for name, make in GAMES.items() if make()._engine.chains}
    assert cheaper == {name for name in GAMES if "ridge" in name or "logistic" in name}
    balanced = TrainingGame(RidgeClassifier(class_weight="balanced"), *PAIR, scores=("accuracy",))
    assert not balanced._engine.chains


PIPELINE = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", random_state=0))


def test_pipelines_are_refused_unless_refit() -> None:
    told = "Pipeline fits StandardScaler anew on every coalition.*give LogisticRegression alone, or ask for refit=True"
    with pytest.raises(SpecError, match=told):
        TrainingGame(PIPELINE, *PAIR, scores=("accuracy",))
    game = TrainingGame(PIPELINE, *PAIR, scores=("neg_log_loss",), refit=True)
    row = np.ones((1, N), dtype=bool)
    row[0, :5] = False
    expected = -log_loss(TWO_TEST, PIPELINE.fit(X[5:], TWO[5:]).predict_proba(TEST))
    assert game.values(row, nothing(1))[0, 0] == pytest.approx(expected, abs=1e-12)


def test_a_fit_that_does_not_converge_names_its_coalition(monkeypatch) -> None:
    game = TrainingGame(TIGHT, *PAIR, scores=("accuracy",))
    monkeypatch.setattr("xai_ray.valuation.newton._STEPS", 1)
    row = np.zeros((2, N), dtype=bool)
    row[1, [4, int(np.argmin(TWO)), int(np.argmax(TWO)), 9]] = True
    told = ", ".join(map(str, np.flatnonzero(row[1])))
    with pytest.raises(
        XaiRayError, match=rf"the fit of the coalition of {row[1].sum()} points \[{told}\] did not converge"
    ):
        game.values(row, nothing(2))
    order = np.concatenate([np.flatnonzero(row[1]), np.flatnonzero(~row[1])])
    with pytest.raises(XaiRayError, match=r"the fit of the coalition of \d+ points \["):
        game.chain_values(order[None], nothing(1))


class Careless(TrainingGame):
    def chain_values(self, permutations, context):
        return super().chain_values(permutations, context)[:, ::-1]


def test_the_contract_notices_wrong_chains() -> None:
    with pytest.raises(AssertionError, match="another value as a coalition"):
        check_chain_game(Careless(Ridge(), *NUMBER, scores=ERRORS))


@pytest.mark.parametrize("estimator", [TIGHT, RidgeClassifier(), KNeighborsClassifier(3, metric="euclidean")], ids=repr)
def test_exact_values_are_efficient_and_permutations_agree(estimator) -> None:
    """Players that own equal points have equal values; the values sum to v(all) - v(none); sampling meets them."""
    rows, labels = np.vstack([X[:7], X[:1]]), np.append([0, 1, 0, 1, 0, 1, 1], 0)
    game = TrainingGame(estimator, rows, labels, TEST, TWO_TEST, scores=("accuracy",))
    result = explain(game, index="SV", budget="exact", seed=0, engine="inline")
    ends = game.values(np.array([[False] * 8, [True] * 8]), nothing(2))[:, 0]
    assert result.values.sum() == pytest.approx(ends[1] - ends[0], abs=1e-12)
    if not isinstance(estimator, KNeighborsClassifier):
        assert result.values.ravel()[0] == pytest.approx(result.values.ravel()[7], abs=1e-12)
    sampled = explain(game, index="SV", estimator="permutation", budget=150, seed=0, engine="inline")
    assert (np.abs(sampled.values - result.values) <= 5 * sampled.std_errors + 1e-9).all()


def test_left_out_the_score_is_that_of_the_estimator() -> None:
    assert TrainingGame(RidgeClassifier(), *PAIR).output_names == ("accuracy",)
    assert TrainingGame(Ridge(), *NUMBER).output_names == ("r2",)
