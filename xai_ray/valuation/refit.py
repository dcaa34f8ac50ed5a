"""Any scikit-learn estimator, trained once a coalition: the engine of estimators that no other engine knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from xai_ray.errors import ModelOutputError, SpecError, XaiRayError
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.valuation.class_weights import class_weight_of
from xai_ray.valuation.data import LabelledData, NumericData
from xai_ray.valuation.engine import prefixes_one_by_one
from xai_ray.valuation.newton import members_told


class RefitEngine:
    """Clones and fits; a coalition of one class predicts it everywhere, without a fit."""

    name = "scikit-learn, one fit a coalition"
    tile = 1
    chains = False
    itself = True

    def __init__(
        self, estimator: Any, data: LabelledData | NumericData, *, probabilities: bool, order: bool = False
    ) -> None:
        """`order`: decisions rank the test points, by probabilities where the estimator has them, else by its decision function."""
        self._estimator, self._data = numbered(estimator, data), data
        self._probabilities = probabilities or (order and hasattr(estimator, "predict_proba"))
        self._margins = order and not self._probabilities

    def decisions(self, coalitions: Coalitions) -> Floats:
        """Shape (c, m, C). Raises XaiRayError naming the coalition when a fit fails."""
        return np.stack([self._one(np.flatnonzero(row)) for row in coalitions])

    def prefixes(self, order: Ints, lengths: Ints) -> Iterator[tuple[int, Floats]]:
        """One fit a prefix."""
        return prefixes_one_by_one(self, order, lengths)

    def _one(self, members: Ints) -> Floats:
        data = self._data
        if isinstance(data, NumericData):
            return self._fit(members, data.targets)[1][:, None] if len(members) else np.zeros((len(data.test_rows), 1))
        out = np.full((len(data.test_rows), len(data.classes)), -np.inf)
        held = np.unique(data.labels[members])
        if len(held) < 2:
            out[:, held if len(held) else slice(None)] = 0.0
            return out
        model, predicted = self._fit(members, data.labels)
        if self._probabilities:
            with np.errstate(divide="ignore"):
                out[:, model.classes_] = np.log(model.predict_proba(data.test_rows))
        elif self._margins:
            # Of two classes, both held here.
            out[:, 0], out[:, 1] = 0.0, model.decision_function(data.test_rows)
        else:
            out[np.arange(len(out)), predicted.astype(np.int64)] = 0.0
        return out

    def _fit(self, members: Ints, targets: Floats | Ints) -> tuple[Any, Floats]:
        from sklearn.base import clone

        data = self._data
        try:
            model: Any = clone(self._estimator)
            model.fit(data.rows[members], targets[members])
            predicted = np.asarray(model.predict(data.test_rows))
        except Exception as error:
            raise XaiRayError(f"{type(self._estimator).__name__} failed on {members_told(members)}: {error}") from error
        if predicted.shape != (len(data.test_rows),):
            raise ModelOutputError(
                f"{type(self._estimator).__name__}.predict gave shape {predicted.shape} for {len(data.test_rows)} test points"
            )
        return model, predicted


def numbered(estimator: Any, data: LabelledData | NumericData) -> Any:
    """A clone of the estimator for labels by their numbers: weights of named classes become those of their numbers.

    Raises SpecError for an estimator that cannot be cloned.
    """
    from sklearn.base import clone

    try:
        copied: Any = clone(estimator)
    except (TypeError, RuntimeError) as error:
        raise SpecError(
            f"{type(estimator).__name__} cannot be cloned, which every fit needs ({error}); "
            "its constructor must keep its parameters as given"
        ) from error
    named: dict[str, dict[int, float]] = {}
    for key, given in copied.get_params().items():
        if isinstance(data, LabelledData) and key.split("__")[-1] == "class_weight" and isinstance(given, Mapping):
            named[key] = dict(enumerate(np.asarray(class_weight_of(given, data.classes)).tolist()))
    return copied.set_params(**named)
