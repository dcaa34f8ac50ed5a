import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from xai_ray.errors import SpecError
from xai_ray.games.behaviours import (
    BEHAVIOURS,
    Logit,
    LogOdds,
    LogProbability,
    Loss,
    Margin,
    Probability,
    Raw,
    check_convention,
    classes,
)
from xai_ray.games.passes.averaging import Averaging

G = np.random.default_rng(0).normal(size=(6, 12)) * 3
P = softmax(G, axis=1)
ALL = np.arange(12)


def test_behaviours_of_logits_against_the_definitions() -> None:
    two = np.array([3, 0])
    np.testing.assert_allclose(Raw().score(G, "logits", two), G[:, two])
    np.testing.assert_allclose(Logit().score(G, "logits", two), G[:, two])
    np.testing.assert_allclose(Probability().score(G, "logits", two), P[:, two])
    np.testing.assert_allclose(LogProbability().score(G, "logits", two), np.log(P[:, two]))
    np.testing.assert_allclose(Loss(3).score(G, "logits", two[:1]), np.log(P[:, two[:1]]))
    # One target goes one by one, many through running sums.
    for targets in (two, ALL):
        want = np.log(P[:, targets] / (1 - P[:, targets]))
        np.testing.assert_allclose(LogOdds().score(G, "logits", targets), want, rtol=1e-9)
    want = np.stack([G[:, t] - np.delete(G, t, axis=1).max(axis=1) for t in ALL], axis=1)
    np.testing.assert_allclose(Margin().score(G, "logits", ALL), want)


def test_behaviours_of_probabilities() -> None:
    np.testing.assert_allclose(Probability().score(P, "probabilities", ALL), P)
    np.testing.assert_allclose(LogOdds().score(P, "probabilities", ALL), LogOdds().score(G, "logits", ALL), rtol=1e-6)
    np.testing.assert_allclose(LogProbability().score(P, "probabilities", ALL), log_softmax(G, axis=1))


@pytest.mark.parametrize("targets", [np.array([0]), ALL[:3], ALL])
def test_log_odds_of_huge_logits_do_not_overflow(targets) -> None:
    g = np.zeros((2, 12))
    g[0, 0], g[1, 0] = 1e4, -1e4
    odds = LogOdds().score(g, "logits", targets)
    np.testing.assert_allclose(odds[:, 0], [1e4 - np.log(11), -1e4 - np.log(11)])
    assert np.isfinite(odds).all()


def test_certain_probabilities_have_no_finite_log_odds() -> None:
    certain = np.array([[1.0, 0.0]])
    assert np.isinf(LogOdds().score(certain, "probabilities", np.array([0, 1]))).all()


def test_ties_in_the_margin() -> None:
    assert Margin().score(np.array([[2.0, 2.0, 1.0]]), "logits", np.arange(3)).tolist() == [[0.0, 0.0, -1.0]]


def test_one_column_is_two_classes() -> None:
    g = np.array([[2.0], [-1.0]])
    np.testing.assert_allclose(LogOdds().score(classes(g, "logits"), "logits", np.array([1])), g)
    p = np.array([[0.2]])
    np.testing.assert_allclose(classes(p, "probabilities"), [[0.8, 0.2]])
    assert classes(g, "raw").shape == (2, 1)


def test_conventions() -> None:
    with pytest.raises(SpecError, match="use LogOdds"):
        check_convention(Logit(), "probabilities")
    with pytest.raises(SpecError, match="'logits', 'probabilities' or 'raw'"):
        check_convention(Raw(), "scores")  # type: ignore[arg-type]
    for name, make in BEHAVIOURS.items():
        behaviour = make(1) if name == "loss" else make()
        check_convention(behaviour, "raw" if name == "raw" else "logits")


def test_both_orders_of_averaging() -> None:
    outputs = G.reshape(2, 3, 12)
    for targets in (np.array([4]), ALL):
        first = Averaging(LogOdds(), "logits", "mean_then_behaviour").values(outputs, targets)
        mean = P.reshape(2, 3, 12).mean(axis=1)[:, targets]
        np.testing.assert_allclose(first, np.log(mean / (1 - mean)), rtol=1e-9)
        last = Averaging(LogOdds(), "logits", "behaviour_then_mean").values(outputs, targets)
        odds = np.log(P[:, targets] / (1 - P[:, targets])).reshape(2, 3, -1).mean(axis=1)
        np.testing.assert_allclose(last, odds, rtol=1e-9)
        assert np.abs(first - last).max() > 1e-3


def test_mean_of_huge_logits_stays_finite() -> None:
    outputs = np.array([[[1e4, 0.0], [1e4, 0.0]]])
    value = Averaging(LogOdds(), "logits", "mean_then_behaviour").values(outputs, np.array([0]))
    np.testing.assert_allclose(value, [[1e4]])


def test_linear_behaviours_average_alike() -> None:
    outputs = G.reshape(2, 3, 12)
    for behaviour in (Raw(), Logit(), Probability()):
        assert behaviour.linear("logits")
        a = Averaging(behaviour, "logits", "mean_then_behaviour").values(outputs, ALL)
        b = Averaging(behaviour, "logits", "behaviour_then_mean").values(outputs, ALL)
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_mean_of_a_sample_before_a_non_linear_behaviour_is_refused() -> None:
    with pytest.raises(SpecError, match="every background row"):
        Averaging(LogOdds(), "logits", "mean_then_behaviour").check(sampled=True)
    Averaging(LogOdds(), "logits", "behaviour_then_mean").check(sampled=True)
    Averaging(Probability(), "logits", "mean_then_behaviour").check(sampled=True)
    with pytest.raises(SpecError, match="order is"):
        Averaging(Raw(), "logits", "mean").check(sampled=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("order", ["mean_then_behaviour", "behaviour_then_mean"])
def test_an_own_behaviour_of_probabilities_sees_their_logarithms(size, order) -> None:
    class Own:
        target, averaged = "all", "probabilities"

        def score(self, outputs, convention, targets):
            assert convention == "logits"
            return outputs[:, targets] ** 2

        def linear(self, convention):
            return False

    logits = G.reshape(-1, size, 12)
    p = P.reshape(-1, size, 12)
    found = Averaging(Own(), "logits", order).values(logits, ALL)
    mean = np.log(p.mean(axis=1)) ** 2 if order == "mean_then_behaviour" else (np.log(p) ** 2).mean(axis=1)
    np.testing.assert_allclose(found, mean, rtol=1e-9)


def test_a_behaviour_derived_from_one_here_is_an_own_one() -> None:
    class Squared(Probability):
        def score(self, outputs, convention, targets):
            return outputs[:, targets] ** 2

    p = P.reshape(-1, 1, 12)
    found = Averaging(Squared("all"), "logits", "mean_then_behaviour").values(G.reshape(-1, 1, 12), ALL)
    np.testing.assert_allclose(found, np.log(p[:, 0]) ** 2, rtol=1e-9)
