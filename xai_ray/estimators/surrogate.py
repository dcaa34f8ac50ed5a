"""What a surrogate of a game must know: its predictions, and its own indices in closed form.

A fitter gives one surrogate for each fold, fitted to the rows of the others, which is what cross-fitting asks for. The contract of a
surrogate is checked by `xai_ray.testing.surrogates.check_surrogate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from xai_ray.estimators.sized import SizedRows
from xai_ray.indices import Readout
from xai_ray.types import Coalitions, Floats, Ints, Values


class Surrogate(Protocol):
    """A fitted model of a game whose indices have closed forms."""

    def predict(self, coalitions: Coalitions) -> Values:
        """Values of coalitions of shape (r, n), shape (r, k), in units of v."""
        ...

    def read(self, readout: Readout, sets: Ints) -> Floats:
        """The index of the surrogate itself, exactly: shape (c, R, k), R = readout.weights.shape[0].

        sets: shape (c, s) with s = readout.size; each row names different players. A read-out of size 0 takes shape (c, 0).
        """
        ...


Fitter = Callable[[SizedRows], Sequence[Surrogate]]
"""Surrogate f is fitted to the rows with `fold != f`, for f = 0..FOLDS-1."""
