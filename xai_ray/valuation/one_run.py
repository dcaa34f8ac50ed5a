"""Methods that are one computation, as jobs of one piece: the answer is kept in the store like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xai_ray.types import Floats
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.influence import logistic_influence
from xai_ray.valuation.lava import lava_values
from xai_ray.valuation.pieces import Sums
from xai_ray.valuation.result import Valuation

LONGEST = 10_000
"""Entries of the largest array of facts that is told."""


@dataclass(frozen=True)
class OneRun:
    """`compute` is a function of a module; it gets what was asked and the settings, and checked its estimator beforehand."""

    compute: Callable[[Asked, Any], Valuation]
    asked: Asked
    settings: Any

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Values and standard errors, shape (n, 2, k)."""
        found = self.compute(self.asked, self.settings)
        values, errors = (a if a.ndim == 2 else a[:, None] for a in (found.values, found.std_errors))
        return np.stack([values, errors], axis=1), {"told": {key: _json(what) for key, what in found.facts.items()}}


def logistic_influences(asked: Asked, settings: Any) -> Valuation:
    """Influence on a logistic regression."""
    p = asked.estimator.get_params()
    found = logistic_influence(
        asked.X,
        asked.y,
        asked.X_test,
        asked.y_test,
        C=float(p["C"]),
        intercept=bool(p["fit_intercept"]),
        newton=settings.newton,
    )
    return Valuation(found.values, found.std_errors, found.method)


def transported(asked: Asked, settings: Any) -> Valuation:
    """LAVA with the test rows as validation rows."""
    return lava_values(
        asked.X,
        asked.y,
        asked.X_test,
        asked.y_test,
        label_weight=settings.label_weight,
        regularisation=settings.regularisation,
    )


def _json(what: Any) -> Any:
    """A fact as JSON; entries that are not finite are null, arrays that are too long are told by their shape."""
    if isinstance(what, np.ndarray | tuple | list):
        array = np.asarray(what)
        if array.size > LONGEST:
            return f"{array.dtype} of shape {array.shape}"
        return _nulls(array) if array.dtype.kind == "f" else array.tolist()
    if isinstance(what, np.generic):
        what = what.item()
    return None if isinstance(what, float) and not np.isfinite(what) else what


def _nulls(array: Floats) -> list[Any]:
    held = array.astype(object)
    held[~np.isfinite(array)] = None
    return held.tolist()
