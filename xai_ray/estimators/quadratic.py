"""A quadratic surrogate of a game, g(S) = poly(|S|) + sum_i b_i s_i + sum_{i<j} c_ij s_i s_j with s = +-1, by ridge regression.

Its pairwise interactions have closed forms: every context sees 4 c_ij, and the polynomial adds second differences in |S|.
Primal normal equations when there are fewer features than rows, the kernel form otherwise; several outputs share one factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from xai_ray.estimators.cholesky import Factor
from xai_ray.types import Coalitions, Floats, Ints, Values

Mask: TypeAlias = npt.NDArray[np.bool_]

DEGREE = 3
LARGEST_SYSTEM = 3_000
"""With more features and rows than this at once, the fit sees this many rows, evenly spaced; the correction still sees all."""

_PAIR_SHARES = (0.03, 0.3, 3.0)
_NOISES = (1e-6, 1e-3, 1e-2, 1e-1)
_PILOT_ROWS = 1_200


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A fitted surrogate."""

    by_size: Floats
    """Shape (n+1, k): the polynomial at every size."""
    pair: Floats
    """Shape (n, n, k): c_ij, symmetric, zero diagonal."""
    predictions: Values
    """Shape (r, k): g at all rows, fitted or not."""


@dataclass(frozen=True, slots=True)
class QuadraticRidge:
    """Fits surrogates to subsets of one table of rows."""

    coalitions: Coalitions
    values: Values
    pair_share: float
    noise: float

    @classmethod
    def tuned(cls, coalitions: Coalitions, values: Values, held_out: Mask) -> QuadraticRidge:
        """Chooses the prior variance of pair terms and the noise by error on the held-out rows (at most 1,200 rows of each kind)."""
        train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        train, test = train[:: max(1, len(train) // _PILOT_ROWS)], test[:: max(1, len(test) // _PILOT_ROWS)]
        rows = np.concatenate([train, test])
        fitted = np.arange(len(rows)) < len(train)
        best: tuple[float, float, float] | None = None
        for share in _PAIR_SHARES:
            for noise in _NOISES:
                ridge = cls(coalitions[rows], values[rows], share, noise)
                error = values[test] - ridge.fit(fitted).predictions[len(train) :]
                scale: Floats = np.maximum(values.var(axis=0), 1e-300)
                loss = float(np.mean(error**2 / scale))
                if best is None or loss < best[0]:
                    best = (loss, share, noise)
        assert best is not None
        return cls(coalitions, values, best[1], best[2])

    def fit(self, train: Mask) -> Surrogate:
        """Fits to the rows where `train` is true, predicts all rows."""
        n = self.coalitions.shape[1]
        features = n + n * (n - 1) // 2
        at = np.flatnonzero(train)
        if min(features, len(at)) > LARGEST_SYSTEM:
            train = np.zeros_like(train)
            train[at[np.linspace(0, len(at) - 1, LARGEST_SYSTEM).astype(np.int64)]] = True
        signs = np.where(self.coalitions, 1.0, -1.0)
        powers = self._powers(self.coalitions.sum(axis=1).astype(np.int64))
        poly = np.asarray(np.linalg.lstsq(powers[train], self.values[train], rcond=None)[0], dtype=np.float64)
        rest = self.values - powers @ poly
        scale = np.maximum(rest[train].std(axis=0), 1e-12 * np.abs(self.values).max(axis=0) + 1e-300)
        solve = self._dual if features > int(train.sum()) else self._primal
        pair, smooth = solve(signs, rest / scale, train, self.pair_share)
        by_size = self._powers(np.arange(n + 1, dtype=np.int64)) @ poly
        return Surrogate(by_size, pair * scale, powers @ poly + smooth * scale)

    def _powers(self, sizes: Ints) -> Floats:
        at = 2.0 * sizes / self.coalitions.shape[1] - 1.0
        return at[:, None] ** np.arange(DEGREE + 1)

    def _dual(self, signs: Floats, target: Values, train: Mask, share: float) -> tuple[Floats, Values]:
        n = signs.shape[1]
        dot = signs @ signs[train].T
        pair_scale = share / (n * (n - 1))
        kernel = dot / n + pair_scale * (dot**2 - n)
        square = kernel[train]
        square[np.diag_indices_from(square)] += self.noise * square.shape[0] ** 0.5 + 1e-9
        alpha = Factor.of(square).solve(target[train])
        pair = np.einsum("ri,rk,rj->ijk", signs[train], alpha, signs[train], optimize=True) * (2 * pair_scale)
        pair[np.arange(n), np.arange(n)] = 0.0
        return pair, kernel @ alpha

    def _primal(self, signs: Floats, target: Values, train: Mask, share: float) -> tuple[Floats, Values]:
        n = signs.shape[1]
        features = signs / np.sqrt(n)
        upper = np.triu_indices(n, 1)
        pair_scale = np.sqrt(2 * share / (n * (n - 1))) if n > 1 else 0.0
        if n > 1:
            features = np.concatenate([features, signs[:, upper[0]] * signs[:, upper[1]] * pair_scale], axis=1)
        fitted = features[train]
        gram = fitted.T @ fitted
        gram[np.diag_indices_from(gram)] += self.noise * len(fitted) ** 0.5 + 1e-9
        weights = Factor.of(gram).solve(fitted.T @ target[train])
        pair = np.zeros((n, n, target.shape[1]))
        if n > 1:
            pair[upper] = weights[n:] * pair_scale
            pair += pair.transpose(1, 0, 2)
        return pair, features @ weights
