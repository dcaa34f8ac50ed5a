"""Scores of many trained models on the same test points, by the names scikit-learn gives them.

A classifier's decisions are (c, m, C): one number a class, -inf for classes its coalition does not hold; where probabilities are
needed they are the softmax of the decisions. A regression has decisions (c, m, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

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


def _accuracy(decisions: Floats, truth: Floats | Ints) -> Floats:
    # Several times faster than argmax over two columns; ties go to the first class either way.
    two = decisions.shape[2] == 2
    chosen = decisions[..., 1] > decisions[..., 0] if two else decisions.argmax(axis=2)
    return (chosen == truth).sum(axis=1) / len(truth)


def _log_likelihood(decisions: Floats, truth: Floats | Ints) -> Floats:
    logs = decisions - logsumexp(decisions, axis=2, keepdims=True)
    picked = np.take_along_axis(logs, truth.astype(np.int64)[None, :, None], axis=2)[..., 0]
    return np.maximum(picked, _SMALLEST).sum(axis=1) / len(truth)


def _squared_error(decisions: Floats, truth: Floats | Ints) -> Floats:
    return ((decisions[..., 0] - truth) ** 2).sum(axis=1) / len(truth)


def _r2(decisions: Floats, truth: Floats | Ints) -> Floats:
    return 1.0 - _squared_error(decisions, truth) / float(np.var(truth))


SCORES: dict[str, Score] = {
    "accuracy": Score(_accuracy, lambda truth, classes: 1.0 / classes, classifies=True),
    "neg_log_loss": Score(
        _log_likelihood, lambda truth, classes: -float(np.log(classes)), classifies=True, probabilities=True
    ),
    "r2": Score(_r2, lambda truth, classes: float(_r2(np.zeros((1, len(truth), 1)), truth)[0]), classifies=False),
    "neg_mean_squared_error": Score(
        lambda decisions, truth: -_squared_error(decisions, truth),
        lambda truth, classes: -float(np.mean(np.square(truth))),
        classifies=False,
    ),
}
"""Name -> score. The empty coalition guesses: every class equally likely, or the number 0. `neg_log_loss` cuts probabilities at the
smallest step of float64 from 1, as scikit-learn does."""
