"""An estimator turns draws and their values into partials that merge, and a partial into an estimate."""

from __future__ import annotations

from typing import Protocol, TypeVar

from xai_ray.coalitions import Draw
from xai_ray.estimators.estimate import Estimate
from xai_ray.types import Values

P = TypeVar("P")


class Estimator(Protocol[P]):
    """Laws: `merge` is associative and commutative and `empty()` is neutral; `finish` of the merged partials of any cut of the
    draws equals `finish` of one `observe` of all of them. The engine folds in canonical order, so the bits are equal too.
    """

    @property
    def name(self) -> str:
        """Name in the table of estimators."""
        ...

    def empty(self) -> P:
        """The partial of no draws."""
        ...

    def observe(self, draw: Draw, values: Values) -> P:
        """The partial of some draws. `values` has shape (r, k), one row for each row of `draw.coalitions`."""
        ...

    def merge(self, a: P, b: P) -> P:
        """The partial of the draws of both; neither argument changes."""
        ...

    def finish(self, partial: P) -> Estimate:
        """The estimate. Raises NotEnoughSamples when the draws do not answer the question, and says what would."""
        ...
