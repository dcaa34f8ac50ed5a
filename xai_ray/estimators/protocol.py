"""An estimator turns draws and their values into partials that merge, and a partial into an estimate."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

from xai_ray.coalitions import Draw
from xai_ray.estimators.estimate import Estimate
from xai_ray.types import Floats, Values

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


@runtime_checkable
class RowEstimator(Protocol):
    """An estimator whose errors in games that see one design through relabellings of their own are not independent by themselves."""

    def over_rows(self, partial: Any) -> tuple[Floats, Floats] | None:
        """What to add to the values of all sets for a mean over such games, and the variances of the errors then, which are independent;
        each of shape (c, m, k), m contexts (1 without). None where it cannot be told.
        """
        ...
