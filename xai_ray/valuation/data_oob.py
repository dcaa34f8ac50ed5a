"""Data-OOB: how well a point is predicted by the models of a bagging ensemble that did not see it.

Kwon and Zou, "Data-OOB: out-of-bag estimate as a simple and efficient data value" (ICML 2023), equation 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from xai_ray.coalitions.pieces import share_errors
from xai_ray.errors import ModelOutputError, NonFiniteValue, NotEnoughSamples, SpecError, XaiRayError
from xai_ray.types import Floats, Ints, Mask
from xai_ray.valuation.choose import choose_engine, classifies
from xai_ray.valuation.class_weights import class_weight_of
from xai_ray.valuation.data import LabelledData, NumericData, labelled, numeric, one_of_each
from xai_ray.valuation.draws import Purpose, positive, uniforms
from xai_ray.valuation.engine import LogisticEngine
from xai_ray.valuation.logistic import TILE, LogisticFits
from xai_ray.valuation.network import Network
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.running_means import RunningMeans

_CELLS = 1 << 21
"""Weights of models and points held at a time."""


def data_oob_values(
    estimator: Any,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    bootstraps: int = 1000,
    draws: int | None = None,
    seed: int = 0,
    refit: bool = False,
) -> Valuation:
    """Values of n training points, shape (n,), from `bootstraps` models, each trained on `draws` points drawn with replacement.

    For a classifier the value is the share of models right about the point among those that did not draw it; for a regression
    minus their mean squared error there. `draws` is n unless given; few draws make cheap models. Bootstraps are independent;
    the standard error of a share is that of its Jeffreys posterior, which is not 0 where all models agree (Brown, Cai and
    DasGupta, Statistical Science 2001), the one of a mean squared error is the usual one of a mean.

    Two-class LogisticRegression is fitted up to 64 models at a time with counts as weights, others, and all if `refit`, one by one. A
    bootstrap of one class predicts it everywhere. Memory: about 25 arrays of 64 x n, or from 32,768 points on of 2 million,
    numbers, and of n d^2 / 2 for d features. `facts["out_of_bag"]` counts the
    models that did not draw a point, shape (n,).

    Raises InputError for unusable arrays, SpecError for a Network or an estimator that is not reproducible, NotEnoughSamples when a
    point is out of bag fewer than twice, XaiRayError naming the bootstrap when a fit fails.
    """
    data = labelled(X, y, X, y) if classifies(estimator) else numeric(X, y, X, y)
    positive("bootstraps", bootstraps, least=2)
    bags = OutOfBag(estimator, data, draws=draws, seed=seed, refit=refit)
    means = RunningMeans(len(data.rows))
    for points, present in bags.samples(0, bootstraps):
        means.add(points, present)
    few = np.flatnonzero(means.counts < 2)
    if len(few):
        raise NotEnoughSamples(
            f"training point {int(few[0])} was left out of {int(means.counts[few[0]])} of {bootstraps} bootstraps ({len(few)} "
            "points of fewer than two); ask for more bootstraps or fewer draws"
        )
    errors = _errors(means) if isinstance(data, LabelledData) else means.std_errors()
    unit = "accuracy" if isinstance(data, LabelledData) else "minus squared error"
    facts = {"bootstraps": bootstraps, "draws": bags.draws, "engine": bags.engine, "out_of_bag": means.counts}
    return Valuation(means.means(), errors, f"Data-OOB: {unit} out of bag", facts)


class OutOfBag:
    """What models say of the points that they did not draw. What travels to a worker is estimator and data; the rest is made there.

    Raises as `data_oob_values`.
    """

    def __init__(
        self, estimator: Any, data: LabelledData | NumericData, *, draws: int | None, seed: int, refit: bool
    ) -> None:
        if isinstance(estimator, Network):
            raise SpecError(
                "data_oob fits a scikit-learn estimator once a bootstrap, got a Network; give an estimator, or take a method that trains "
                'networks, as "shapley"'
            )
        self.draws = positive("draws", len(data.rows) if draws is None else draws)
        self._estimator, self.data, self._seed = estimator, data, seed
        self.engine, self._batched = _engine(estimator, data, refit)
        self._fits: LogisticFits | None = None

    @property
    def tile(self) -> int:
        """Models that are trained together, at multiples of this number."""
        if not self._batched:
            return 1
        # A power of two, so that where a tile begins does not depend on anything else.
        return max(4, min(TILE, 1 << (max(1, _CELLS // len(self.data.rows)).bit_length() - 1)))

    def samples(self, start: int, stop: int) -> Iterator[tuple[Floats, Mask]]:
        """Of bootstraps [start, stop), a tile or 64 fits at a time: 1 where a model is right, or minus its squared error, and which
        points it did not draw, each (b, n).
        """
        n, tile = len(self.data.rows), self.tile if self._batched else TILE
        for first in range(start - start % tile, stop, tile):
            begin, end = max(first, start), min(first + tile, stop)
            counts = bootstrap_counts(self._seed, np.arange(begin, end, dtype=np.int64), n, self.draws)
            predicted = self._predictions(counts, begin - first) if self._batched else self._refitted(counts, begin)
            yield _points(self.data, predicted), counts == 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_fits": None}

    def _predictions(self, counts: Ints, slot: int) -> Floats:
        """A model's last bits depend on its place in its tile: those that are not asked for are stood in for by the fit of all points."""
        tile = np.ones((self.tile, counts.shape[1]), dtype=np.int64)
        tile[slot : slot + len(counts)] = counts
        if self._fits is None:
            p, classes = self._estimator.get_params(), cast(LabelledData, self.data).classes
            weight, intercept = class_weight_of(p["class_weight"], classes), bool(p["fit_intercept"])
            labels = cast(LabelledData, self.data).labels
            self._fits = LogisticFits(
                self.data.rows, labels, C=float(p["C"]), intercept=intercept, class_weight=weight, tile=self.tile
            )
        return _logistic_predictions(self._fits, tile)[slot : slot + len(counts)]

    def _refitted(self, counts: Ints, first: int) -> Floats:
        return _refit_predictions(self._estimator, self.data, counts, first)


def _points(data: LabelledData | NumericData, predicted: Floats) -> Floats:
    if isinstance(data, NumericData):
        return -np.square(predicted - data.targets)
    return (predicted == data.labels).astype(np.float64)


def _errors(means: RunningMeans) -> Floats:
    count = means.counts.astype(np.float64)
    return share_errors(means.means() * count, count)


def bootstrap_counts(seed: int, numbers: Ints, n: int, draws: int) -> Ints:
    """How often each bootstrap of `numbers` (b,) draws each of n points, shape (b, n)."""
    counts = np.empty((len(numbers), n), dtype=np.int64)
    for row in range(len(numbers)):
        # One at a time: the words of a bootstrap take several times the memory of its counts.
        drawn = (uniforms(seed, Purpose.BOOTSTRAPS, numbers[row : row + 1], draws)[0] * n).astype(np.int64)
        counts[row] = np.bincount(drawn, minlength=n)
    return counts


def _engine(estimator: Any, data: LabelledData | NumericData, refit: bool) -> tuple[str, bool]:
    """What trains the models, and whether it trains 64 of them at once."""
    from sklearn.linear_model import LogisticRegression

    batched = type(estimator) is LogisticRegression and isinstance(data, LabelledData) and len(data.classes) == 2
    engine = choose_engine(estimator, one_of_each(data), probabilities=False, refit=refit or not batched)
    if isinstance(engine, LogisticEngine):
        return engine.name, True
    return "one fit a bootstrap", False


def _logistic_predictions(fits: LogisticFits, counts: Ints) -> Floats:
    weights = fits.weights(counts)
    lone = ~fits.two_classes(weights)
    weights[lone] = 1.0
    predicted = (fits.parameters(weights) @ fits.rows.T > 0).astype(np.float64)
    predicted[lone] = fits.labels[counts[lone].argmax(axis=1), None]
    return predicted


def _refit_predictions(estimator: Any, data: LabelledData | NumericData, counts: Ints, first: int) -> Floats:
    targets = data.labels if isinstance(data, LabelledData) else data.targets
    predicted = np.zeros(counts.shape)
    for row, times in enumerate(counts):
        drawn, out = np.repeat(np.arange(len(times)), times), np.flatnonzero(times == 0)
        if not len(out):
            continue
        if isinstance(data, LabelledData) and np.ptp(targets[drawn]) == 0:
            predicted[row, out] = targets[drawn[0]]
            continue
        predicted[row, out] = _fitted(estimator, data.rows, targets, drawn, out, first + row)
    return predicted


def _fitted(estimator: Any, rows: Floats, targets: Floats | Ints, drawn: Ints, out: Ints, number: int) -> Floats:
    from sklearn.base import clone

    name = type(estimator).__name__
    try:
        model: Any = clone(estimator)
        predicted = np.asarray(model.fit(rows[drawn], targets[drawn]).predict(rows[out]), dtype=np.float64)
    except Exception as error:
        raise XaiRayError(f"{name} failed on bootstrap {number} of {len(drawn)} draws: {error}") from error
    if predicted.shape != (len(out),):
        raise ModelOutputError(f"{name}.predict gave shape {predicted.shape} for {len(out)} points")
    if not np.isfinite(predicted).all():
        raise NonFiniteValue(
            f"{name} trained on bootstrap {number} predicts a number that is not finite; scale the features"
        )
    return predicted
