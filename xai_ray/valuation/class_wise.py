"""CS-Shapley: the value of a point to its own class, discounted by what it does to the other classes.

Schoch, Xu and Ji, "CS-Shapley: class-wise Shapley values for data valuation in classification" (NeurIPS 2022), equations 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import NonFiniteValue
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.valuation.choose import choose_engine
from xai_ray.valuation.data import LabelledData, labelled
from xai_ray.valuation.draws import Purpose, orders, positive, words
from xai_ray.valuation.engine import TrainingEngine, decisions_in_tiles
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.running_means import RunningMeans

_ROWS = 1 << 10
"""Coalitions formed at a time. Fixed, so that models are batched alike on every machine."""


def class_wise_shapley(
    estimator: Any,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    X_test: npt.ArrayLike,
    y_test: npt.ArrayLike,
    *,
    permutations: int,
    seed: int = 0,
    refit: bool = False,
) -> Valuation:
    """Values of n training points of a classifier, shape (n,), not normalised by class, and standard errors over permutations.

    The points of class c play the game v(S) = a_in exp(a_out), where a_in and a_out are the numbers of test points of class c and
    of the other classes that the model trained on S and a context predicts rightly, both divided by all m test points. Each of
    the `permutations` of a class has a context of its own: every point of the other classes with probability 1/2. Without any
    point the model guesses (accuracy 1 / classes).

    `facts["grand"]` is v of the whole class among all points, by class, shape (classes,); the paper scales the values of a
    class so that they sum to its in-class accuracy.

    Raises InputError for unusable arrays, what `choose_engine` raises for the estimator, XaiRayError when a fit fails.
    """
    positive("permutations", permutations, least=2)
    data = labelled(X, y, X_test, y_test)
    engine = choose_engine(estimator, data, probabilities=False, refit=refit)
    values, errors = np.empty(len(data.rows)), np.empty(len(data.rows))
    for own in range(len(data.classes)):
        members = np.flatnonzero(data.labels == own)
        means = RunningMeans(len(members))
        for found in class_contributions(engine, data, own, 0, permutations, seed):
            means.add(found)
        values[members], errors[members] = means.means(), means.std_errors()
    everyone = np.ones((1, len(data.rows)), dtype=np.bool_)
    grand = np.concatenate([_values(engine, data, everyone, own) for own in range(len(data.classes))])
    facts = {"permutations": permutations, "engine": engine.name, "grand": grand}
    return Valuation(values, errors, "class-wise Shapley: accuracy in class times exp(accuracy out of class)", facts)


def class_contributions(
    engine: TrainingEngine, data: LabelledData, own: int, start: int, stop: int, seed: int
) -> Iterator[Floats]:
    """Marginal contributions of the points of class `own`, in their order, in permutations [start, stop), some of these at a time,
    shape (some, points of it).
    """
    members = np.flatnonzero(data.labels == own)
    height = max(1, _ROWS // (len(members) + 1))
    for first in range(start, stop, height):
        items = np.arange(first, min(first + height, stop), dtype=np.int64)
        yield _contributions(engine, data, own, members, items, seed)


def _contributions(
    engine: TrainingEngine, data: LabelledData, own: int, members: Ints, items: Ints, seed: int
) -> Floats:
    order = orders(seed, Purpose.ORDERS, items, len(members), sub=own)
    rows = _prefixes(_contexts(seed, items, data, own), members[order])
    chains = _values(engine, data, rows.reshape(-1, rows.shape[2]), own).reshape(len(items), -1)
    contributions = np.empty(order.shape)
    np.put_along_axis(contributions, order, np.diff(chains, axis=1), axis=1)
    return contributions


def _contexts(seed: int, items: Ints, data: LabelledData, own: int) -> Coalitions:
    """Half of the points of other classes for each item, shape (items, n)."""
    coins = words(seed, Purpose.CONTEXTS, items, len(data.rows), sub=own) >> np.uint64(63)
    return (coins == 1) & (data.labels != own)


def _prefixes(contexts: Coalitions, order: Ints) -> Coalitions:
    """Each context (p, n) with the first 0, 1, ... points of its order (p, c), shape (p, c + 1, n)."""
    rows = np.repeat(contexts[:, None, :], order.shape[1] + 1, axis=1)
    for place in range(order.shape[1]):
        rows[np.arange(len(order)), place + 1 :, order[:, place]] = True
    return rows


def _values(engine: TrainingEngine, data: LabelledData, coalitions: Coalitions, own: int) -> Floats:
    """v of coalitions of points (c, n), shape (c,)."""
    right = np.empty((len(coalitions), 2))
    inside = data.test_labels == own
    share = np.array([inside.mean(), 1.0 - inside.mean()])
    for start, decisions in decisions_in_tiles(engine, coalitions):
        if np.isnan(decisions).any() or not np.isfinite(decisions.max(axis=2)).all():
            raise NonFiniteValue(
                f"class {data.classes[own]}: a model decides by numbers that are not finite; scale the features or use a stronger "
                "penalty"
            )
        hits = decisions.argmax(axis=2) == data.test_labels
        right[start : start + len(decisions), 0] = hits[:, inside].sum(axis=1)
        right[start : start + len(decisions), 1] = hits[:, ~inside].sum(axis=1)
    right /= len(data.test_labels)
    right[~coalitions.any(axis=1)] = share / len(data.classes)
    return right[:, 0] * np.exp(right[:, 1])
