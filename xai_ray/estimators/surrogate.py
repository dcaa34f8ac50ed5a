"""What a surrogate of a game must know: its predictions, and its own indices in closed form.

A fitter holds one table of evaluated rows and fits surrogates to subsets of it, which is what cross-fitting asks for. The contract is
checked by `xai_ray.testing.surrogates.check_surrogate`.
"""

from __future__ import annotations

from typing import Protocol

from xai_ray.indices import Readout
from xai_ray.types import Coalitions, Floats, Ints, Mask, Values


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


class Fitter(Protocol):
    """Fits surrogates to subsets of one table of rows."""

    def fit(self, train: Mask) -> Surrogate:
        """The surrogate of the rows where `train`, shape (r,), is true."""
        ...
