"""Scores of many trained models on the same test points, by the names scikit-learn gives them.

A classifier's decisions are (c, m, C): one number a class, -inf for classes its coalition does not hold; where probabilities are
needed they are the softmax of the decisions. A regression has decisions (c, m, 1).

The empty coalition guesses: every class equally likely, or the number 0. Its score is the expectation: accuracy and balanced accuracy
1 / C, log-loss of the uniform distribution, ROC AUC 1/2, F1 of the expected counts. A coalition of one class predicts that class
everywhere, with probability 1: AUC 1/2, since every test point ties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import rankdata

from xai_ray.errors import InputError
from xai_ray.types import Floats, Ints

_SMALLEST = float(np.log(np.finfo(np.float64).eps))


@dataclass(frozen=True, slots=True)
class Score:
    """A row of the table of scores; larger is better."""

    score: Callable[[Floats, Floats | Ints], Floats]
    """(decisions (c, m, C), truth (m,)) -> (c,)."""
    empty: Callable[[Floats | Ints, int], float]
    """(truth, C) -> score of the empty coalition."""
    classifies: bool
    probabilities: bool = False
    """Whether it needs probabilities, not only the classes predicted."""
    order: bool = False
    """Whether it needs how a classifier ranks the test points: by probabilities, or by its decision function."""
    unit: Callable[[Floats | Ints, float, float], float] | None = None
    """(truth, v(N), v(nobody)) -> a large difference of two scores, for one with units of its own; None: 1 is one."""
    check: Callable[[Floats | Ints, int], None] | None = None
    """(truth, C): raises InputError for test points that this score cannot judge by."""


def predictions(decisions: Floats) -> Ints:
    """Class numbers (c, m); ties go to the first class."""
    if decisions.shape[2] == 2:
        # Several times faster than argmax over two columns.
        return (decisions[..., 1] > decisions[..., 0]).astype(np.int64)
    return decisions.argmax(axis=2).astype(np.int64)


def probabilities(decisions: Floats) -> Floats:
    """Shape (c, m, C); a class that is not held has 0."""
    return np.asarray(softmax(decisions, axis=2))


def _accuracy(decisions: Floats, truth: Floats | Ints) -> Floats:
    two = decisions.shape[2] == 2
    chosen = decisions[..., 1] > decisions[..., 0] if two else decisions.argmax(axis=2)
    return np.count_nonzero(chosen == truth, axis=1) / len(truth)


def _log_likelihood(decisions: Floats, truth: Floats | Ints) -> Floats:
    logs = decisions - logsumexp(decisions, axis=2, keepdims=True)
    picked = np.take_along_axis(logs, truth.astype(np.int64)[None, :, None], axis=2)[..., 0]
    return np.maximum(picked, _SMALLEST).sum(axis=1) / len(truth)


def _balanced_accuracy(decisions: Floats, truth: Floats | Ints) -> Floats:
    hits, _, true = _counts(decisions, truth)
    return (hits[:, true > 0] / true[true > 0]).mean(axis=1)


def _f1(decisions: Floats, truth: Floats | Ints) -> Floats:
    return _f1_of(*_counts(decisions, truth))[:, 1]


def _f1_macro(decisions: Floats, truth: Floats | Ints) -> Floats:
    hits, predicted, true = _counts(decisions, truth)
    seen = predicted + true > 0
    return _f1_of(hits, predicted, true).sum(axis=1) / seen.sum(axis=1)


def _roc_auc(decisions: Floats, truth: Floats | Ints) -> Floats:
    if decisions.shape[2] == 2:
        return _auc(decisions[..., 1] - decisions[..., 0], truth == 1)
    # Equal probabilities must tie: normalising moves their last digits.
    logs = np.round(decisions - logsumexp(decisions, axis=2, keepdims=True), 10)
    return np.mean([_auc(logs[..., c], truth == c) for c in range(decisions.shape[2])], axis=0)


def _auc(order: Floats, positive: np.ndarray) -> Floats:
    """Share of (positive, negative) pairs in the right order, ties half (Mann and Whitney 1947), for (c, m) -> (c,)."""
    ranks = rankdata(order, axis=1)[:, positive].sum(axis=1)
    hits = int(positive.sum())
    return (ranks - hits * (hits + 1) / 2) / (hits * (len(positive) - hits))


def _counts(decisions: Floats, truth: Floats | Ints) -> tuple[Floats, Floats, Floats]:
    """Right answers (c, C) and all answers (c, C) of each class, and test points of each class (C,)."""
    chosen = predictions(decisions)[..., None] == np.arange(decisions.shape[2])
    own = truth[:, None] == np.arange(decisions.shape[2])
    return (chosen & own).sum(axis=1).astype(np.float64), chosen.sum(axis=1).astype(np.float64), own.sum(axis=0)


def _f1_of(hits: Floats, predicted: Floats, true: Floats) -> Floats:
    """2 hits / (predicted + true), 0 for a class that neither has."""
    return 2.0 * hits / np.maximum(predicted + true, 1.0)


def _guessed_f1(truth: Floats | Ints, classes: int) -> Floats:
    """F1 of each class at the expected counts of guesses, shape (C,): m / C answers of a class, of which its share is right."""
    share = np.bincount(truth.astype(np.int64), minlength=classes) / len(truth)
    return 2.0 * share / (1.0 + classes * share)


def _all_classes(truth: Floats | Ints, classes: int) -> None:
    missing = np.flatnonzero(np.bincount(truth.astype(np.int64), minlength=classes) == 0)
    if len(missing):
        raise InputError(
            f"roc_auc needs test points of every class, and class number {int(missing[0])} of the sorted labels has none; add some, "
            "or drop that class from the training points"
        )


def _two_classes(truth: Floats | Ints, classes: int) -> None:
    if classes != 2:
        raise InputError(f"f1 is for two classes and the training points have {classes}; use f1_macro")


def _squared_error(decisions: Floats, truth: Floats | Ints) -> Floats:
    return ((decisions[..., 0] - truth) ** 2).sum(axis=1) / len(truth)


def _r2(decisions: Floats, truth: Floats | Ints) -> Floats:
    return 1.0 - _squared_error(decisions, truth) / float(np.var(truth))


def _differing(truth: Floats | Ints, classes: int) -> None:
    if np.ptp(truth) == 0:
        raise InputError("r2 needs test targets that differ; use neg_mean_squared_error")


SCORES: dict[str, Score] = {
    "accuracy": Score(_accuracy, lambda truth, classes: 1.0 / classes, classifies=True),
    "balanced_accuracy": Score(_balanced_accuracy, lambda truth, classes: 1.0 / classes, classifies=True),
    "f1": Score(_f1, lambda truth, classes: float(_guessed_f1(truth, classes)[1]), classifies=True, check=_two_classes),
    "f1_macro": Score(_f1_macro, lambda truth, classes: float(_guessed_f1(truth, classes).mean()), classifies=True),
    "roc_auc": Score(_roc_auc, lambda truth, classes: 0.5, classifies=True, order=True, check=_all_classes),
    "neg_log_loss": Score(
        _log_likelihood, lambda truth, classes: -float(np.log(classes)), classifies=True, probabilities=True
    ),
    "r2": Score(
        _r2,
        lambda truth, classes: float(_r2(np.zeros((1, len(truth), 1)), truth)[0]),
        classifies=False,
        check=_differing,
    ),
    "neg_mean_squared_error": Score(
        lambda decisions, truth: -_squared_error(decisions, truth),
        lambda truth, classes: -float(np.mean(np.square(truth))),
        classifies=False,
        unit=lambda truth, reached, nobody: float(np.var(truth)) or float(np.mean(np.square(truth))) or 1.0,
    ),
}
"""Name -> score. `f1` is that of the second of two sorted labels, `f1_macro` the mean over the classes that the test points or the
predictions have, `roc_auc` of three classes or more the mean of one class against the rest; all as scikit-learn computes them.
`neg_log_loss` cuts probabilities at the smallest step of float64 from 1, as scikit-learn does."""
