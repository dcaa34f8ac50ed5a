"""A quadratic surrogate of a game, g(S) = poly(|S|) + sum_i b_i s_i + sum_{i<j} c_ij s_i s_j with s = +-1.

Its indices have closed forms: in a random context of size m every other player is in with chance m / (n - s), the polynomial is read
by its differences, pairs see 4 c_ij besides, and larger sets the polynomial alone. `quadratic_fit` fits it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.indices import Readout
from xai_ray.types import Coalitions, Floats, Ints, Values

_CHUNK = 4_096


@dataclass(frozen=True, slots=True)
class Quadratic:
    """A fitted surrogate; n players, k outputs."""

    by_size: Floats
    """Shape (n+1, k): the polynomial at every size."""
    linear: Floats
    """Shape (n, k): b_i."""
    pair: Floats
    """Shape (n, n, k): c_ij, symmetric, zero diagonal."""

    def predict(self, coalitions: Coalitions) -> Values:
        """g at coalitions (r, n), shape (r, k)."""
        out = self.by_size[coalitions.sum(axis=1)]
        for start in range(0, len(coalitions), _CHUNK):
            signs = np.where(coalitions[start : start + _CHUNK], 1.0, -1.0)
            part = out[start : start + _CHUNK]
            part += signs @ self.linear
            for k in range(part.shape[1]):
                part[:, k] += 0.5 * ((signs @ self.pair[:, :, k]) * signs).sum(axis=1)
        return out

    def read(self, readout: Readout, sets: Ints) -> Floats:
        """The index of g for sets of shape (c, s), shape (c, R, k)."""
        n, s, weights = len(self.by_size) - 1, readout.size, readout.weights
        blocks = self.by_size[s:] - self.by_size[: n - s + 1]
        poly: Floats = blocks if readout.block else np.diff(self.by_size, s, axis=0)
        out = np.tile(weights @ poly, (len(sets), 1, 1))
        total, first = weights.sum(axis=1)[:, None], (weights @ self._sign(n - s))[:, None]
        if s == 0:
            both = (n * self._sign(n) ** 2 - 1) / (n - 1) if n > 1 else np.zeros(n + 1)
            out += first * self.linear.sum(axis=0) + (weights @ both)[:, None] * self.pair.sum(axis=(0, 1)) / 2
        elif s == 1 or readout.block:
            within = self.pair[sets[:, :, None], sets[:, None]].sum(axis=(1, 2))
            across = self.pair.sum(axis=1)[sets].sum(axis=1) - within
            out += 2 * total * self.linear[sets].sum(axis=1)[:, None] + 2 * first * across[:, None]
        elif s == 2:
            out += 4 * total * self.pair[sets[:, 0], sets[:, 1]][:, None]
        return out

    @staticmethod
    def _sign(others: int) -> Floats:
        """Mean of s_l over contexts of each size 0..others, shape (others + 1,)."""
        return np.asarray(2.0 * np.arange(others + 1) / max(others, 1) - 1.0, dtype=np.float64)
