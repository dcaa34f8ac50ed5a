"""Data-OOB against a loop over bootstraps, its standard errors against repetitions, refusals."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from xai_ray.errors import InputError, NonFiniteValue, NotEnoughSamples, SpecError, XaiRayError
from xai_ray.valuation import Network
from xai_ray.valuation.data_oob import bootstrap_counts, data_oob_values

R = np.random.default_rng(3)
X = R.normal(size=(40, 3))
TWO = (X[:, 0] + 0.7 * R.normal(size=40) > 0).astype(int)
THREE = np.digitize(X[:, 0] + 0.3 * R.normal(size=40), [-0.4, 0.4])
REAL = X @ [1.0, 2.0, 0.0] + R.normal(size=40)
TIGHT = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000, random_state=0)
BALANCED = LogisticRegression(
    solver="newton-cholesky", tol=1e-10, max_iter=1000, random_state=0, class_weight="balanced"
)


def by_loop(estimator, y, bootstraps: int, draws: int, seed: int, error: bool) -> tuple[np.ndarray, np.ndarray]:
    samples: list[list[float]] = [[] for _ in X]
    for b in range(bootstraps):
        counts = bootstrap_counts(seed, np.array([b]), len(X), draws)[0]
        drawn, out = np.repeat(np.arange(len(X)), counts), np.flatnonzero(counts == 0)
        if not error and len(np.unique(y[drawn])) == 1:
            predicted = np.full(len(out), y[drawn[0]])
        else:
            predicted = estimator.fit(X[drawn], y[drawn]).predict(X[out])
        for i, p in zip(out, predicted, strict=True):
            samples[i].append(-float((p - y[i]) ** 2) if error else float(p == y[i]))
    counts = np.array([len(s) for s in samples])
    right = np.array([sum(s) for s in samples])
    if error:
        return right / counts, np.array([np.std(s, ddof=1) / np.sqrt(len(s)) for s in samples])
    return right / counts, beta(right + 0.5, counts - right + 0.5).std()


@pytest.mark.parametrize(
    ("estimator", "y", "draws", "error"),
    [
        (TIGHT, TWO, 40, False),
        (BALANCED, TWO, 40, False),
        (BALANCED, TWO, 4, False),
        (TIGHT, TWO, 3, False),
        (TIGHT, THREE, 40, False),
        (DecisionTreeClassifier(random_state=0), THREE, 25, False),
        (DecisionTreeRegressor(random_state=0), REAL, 40, True),
        (Ridge(random_state=0), REAL, 40, True),
    ],
    ids=[
        "batched",
        "balanced",
        "balanced with one class",
        "batched with one class",
        "softmax",
        "tree",
        "regression tree",
        "ridge",
    ],
)
def test_equals_a_loop(estimator, y, draws: int, error: bool) -> None:
    found = data_oob_values(estimator, X, y, bootstraps=70, draws=draws, seed=5)
    values, errors = by_loop(estimator, y, 70, draws, 5, error)
    np.testing.assert_allclose(found.values, values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.std_errors, errors, rtol=0, atol=1e-12)
    assert ("Newton" in found.facts["engine"]) == (isinstance(estimator, LogisticRegression) and y is TWO)


def test_bootstraps_are_uniform_draws_with_replacement() -> None:
    counts = bootstrap_counts(1, np.arange(4000), 40, 40)
    assert (counts.sum(axis=1) == 40).all()
    assert abs(counts.mean(axis=0) - 1).max() < 5 * np.sqrt(1 / 4000)
    assert abs((counts == 0).mean() - (39 / 40) ** 40) < 0.005
    assert np.array_equal(counts[7:9], bootstrap_counts(1, np.array([7, 8]), 40, 40))
    assert not np.array_equal(counts, bootstrap_counts(2, np.arange(4000), 40, 40))


def test_intervals_cover_points_that_models_agree_on_too() -> None:
    truth = data_oob_values(TIGHT, X, TWO, bootstraps=12_000, seed=10_000).values
    runs = [data_oob_values(TIGHT, X, TWO, bootstraps=200, seed=s) for s in range(40)]
    assert (truth > 0.98).sum() >= 10
    inside = np.mean([np.abs(r.values - truth) <= 1.96 * r.std_errors for r in runs], axis=0)
    assert 0.92 <= inside.mean() <= 0.98
    assert inside.min() >= 0.8


def test_flipped_labels_are_found() -> None:
    rows = R.normal(size=(300, 4))
    y = (rows[:, 0] > 0).astype(int)
    flipped = R.permutation(300)[:45]
    y[flipped] ^= 1
    values = data_oob_values(TIGHT, rows, y, bootstraps=200).values
    is_flipped = np.isin(np.arange(300), flipped)
    below = (values[is_flipped][:, None] < values[~is_flipped][None]).mean()
    assert below > 0.9


def test_the_same_seed_gives_the_same_bits_and_more_bootstraps_append() -> None:
    one, two = (data_oob_values(TIGHT, X, TWO, bootstraps=100, seed=3) for _ in range(2))
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.std_errors, two.std_errors)
    more = data_oob_values(TIGHT, X, TWO, bootstraps=128, seed=3)
    assert (more.facts["out_of_bag"] >= one.facts["out_of_bag"]).all()


@pytest.mark.parametrize("exact", [Ridge(), LogisticRegression(), SVC()], ids=repr)
def test_what_never_draws_needs_no_seed(exact: Any) -> None:
    y = REAL if isinstance(exact, Ridge) else TWO
    one, two = (data_oob_values(exact, X, y, bootstraps=30, refit=True) for _ in range(2))
    assert np.array_equal(one.values, two.values)


class Broken(DecisionTreeRegressor):
    def predict(self, X, check_input=True):
        return np.full(len(X), np.nan)


def test_bad_input_is_refused() -> None:
    with pytest.raises(NotEnoughSamples, match=r"training point \d+ was left out of . of 3 bootstraps"):
        data_oob_values(TIGHT, X, TWO, bootstraps=3)
    with pytest.raises(SpecError, match="refit=True"):
        data_oob_values(LogisticRegression(solver="liblinear"), X, TWO)
    with pytest.raises(SpecError, match="got a Network"):
        data_oob_values(Network(lambda: None), X, TWO)
    data_oob_values(LogisticRegression(solver="liblinear", random_state=0), X, TWO, bootstraps=30, refit=True)
    for loose in (DecisionTreeClassifier(), LogisticRegression(solver="saga"), SVC(probability=True)):
        with pytest.raises(SpecError, match="set random_state"):
            data_oob_values(loose, X, TWO, refit=True)
    with pytest.raises(SpecError, match="bootstraps is a whole number, at least 2"):
        data_oob_values(TIGHT, X, TWO, bootstraps=1)
    with pytest.raises(InputError, match="two classes"):
        data_oob_values(TIGHT, X, np.ones(40))
    with pytest.raises(XaiRayError, match=r"KNeighborsClassifier failed on bootstrap \d of 4 draws"):
        data_oob_values(KNeighborsClassifier(9), X, TWO, draws=4)
    with pytest.raises(NonFiniteValue, match="trained on bootstrap 0"):
        data_oob_values(Broken(random_state=0), X, REAL)
