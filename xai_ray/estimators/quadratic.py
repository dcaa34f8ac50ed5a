"""A quadratic surrogate of a game, g(S) = poly(|S|) + sum_i b_i s_i + sum_{i<j} c_ij s_i s_j with s = +-1, by ridge regression.

Its indices have closed forms: in a random context of size m every other player is in with chance m / (n - s), the polynomial is read
by its differences, pairs see 4 c_ij besides, and larger sets the polynomial alone.
Primal normal equations when there are fewer features than rows, the kernel form otherwise; several outputs share one factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from xai_ray.estimators.cholesky import Factor
from xai_ray.indices import Readout
from xai_ray.types import Coalitions, Floats, Ints, Mask, Values

DEGREE = 3
LARGEST_SYSTEM = 3_000
"""With more features and rows than this at once, the fit sees this many rows, evenly spaced; the correction still sees all."""

_PAIR_SHARES = (0.03, 0.3, 3.0)
_NOISES = (1e-6, 1e-3, 1e-2, 1e-1)
_PILOT_ROWS = 1_200
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


@dataclass(frozen=True, slots=True)
class QuadraticRidge:
    """Fits surrogates to subsets of one table of rows."""

    coalitions: Coalitions
    """Shape (r, n)."""
    values: Values
    """Shape (r, k)."""
    pair_share: float
    """Prior variance of the pair terms together, in units of that of the linear ones."""
    noise: float
    gram: list[Floats] = field(default_factory=list[Floats], repr=False, compare=False)
    """The Gram matrix of all rows once it is known, whatever prior and noise are."""

    @classmethod
    def tuned(cls, coalitions: Coalitions, values: Values, held_out: Mask) -> QuadraticRidge:
        """Chooses the prior variance of pair terms and the noise by error on the held-out rows; up to 1,200 rows of each kind."""
        train, test = _thinned(np.flatnonzero(~held_out)), _thinned(np.flatnonzero(held_out))
        scale: Floats = np.maximum(values.var(axis=0), 1e-300)
        pilot = cls(coalitions[train], values[train], 1.0, 1.0)
        everything = np.ones(len(train), dtype=np.bool_)
        best: tuple[float, float, float] | None = None
        for share, noise in product(_PAIR_SHARES, _NOISES):
            fit = replace(pilot, pair_share=share, noise=noise).fit(everything)
            loss = float(np.mean((values[test] - fit.predict(coalitions[test])) ** 2 / scale))
            if best is None or loss < best[0]:
                best = (loss, share, noise)
        assert best is not None
        return cls(coalitions, values, best[1], best[2])

    def fit(self, train: Mask) -> Quadratic:
        """Fits to the rows where `train` is true."""
        n = self.coalitions.shape[1]
        features = n + n * (n - 1) // 2
        at = np.flatnonzero(train)
        if min(features, len(at)) > LARGEST_SYSTEM:
            at = _thinned(at, LARGEST_SYSTEM)
        powers = self._powers(self.coalitions[at].sum(axis=1).astype(np.int64))
        poly = np.asarray(np.linalg.lstsq(powers, self.values[at], rcond=None)[0], dtype=np.float64)
        rest = self.values[at] - powers @ poly
        scale = np.maximum(rest.std(axis=0), 1e-12 * np.abs(self.values).max(axis=0) + 1e-300)
        signs = np.where(self.coalitions[at], 1.0, -1.0)
        if features > len(at):
            linear, pair = self._dual(signs, rest / scale)
        else:
            linear, pair = self._primal(signs, rest / scale, train)
        by_size = self._powers(np.arange(n + 1, dtype=np.int64)) @ poly
        return Quadratic(by_size, linear * scale, pair * scale)

    def _powers(self, sizes: Ints) -> Floats:
        at = 2.0 * sizes / self.coalitions.shape[1] - 1.0
        return np.stack([at**degree for degree in range(DEGREE + 1)], axis=1)

    def _dual(self, signs: Floats, target: Values) -> tuple[Floats, Floats]:
        n, pair_scale = signs.shape[1], self._pair_variance()
        dot = signs @ signs.T
        kernel = dot / n + pair_scale / 2 * (dot**2 - n)
        kernel[np.diag_indices_from(kernel)] += self.noise * len(kernel) ** 0.5 + 1e-9
        alpha = Factor.of(kernel).solve(target)
        return signs.T @ alpha / n, _pair_moments(signs, alpha) * pair_scale

    def _primal(self, signs: Floats, target: Values, train: Mask) -> tuple[Floats, Floats]:
        n = signs.shape[1]
        upper = np.triu_indices(n, 1)
        scale = np.concatenate([np.full(n, n**-0.5), np.full(len(upper[0]), self._pair_variance() ** 0.5)])
        gram = self._gram(train) * scale[:, None] * scale
        gram[np.diag_indices_from(gram)] += self.noise * len(signs) ** 0.5 + 1e-9
        right = np.concatenate([signs.T @ target, _pair_moments(signs, target)[upper]])
        weights = scale[:, None] * Factor.of(gram).solve(scale[:, None] * right)
        pair = np.zeros((n, n, target.shape[1]))
        pair[upper] = weights[n:]
        return weights[:n], pair + pair.transpose(1, 0, 2)

    def _pair_variance(self) -> float:
        n = self.coalitions.shape[1]
        return 2 * self.pair_share / (n * (n - 1)) if n > 1 else 0.0

    def _gram(self, train: Mask) -> Floats:
        # Folds leave out a few rows each: one product of all rows serves them all, less the rows left out.
        if not self.gram:
            self.gram.append(_gram_of(self.coalitions))
        return self.gram[0] - _gram_of(self.coalitions[~train])


def _thinned(rows: Ints, most: int = _PILOT_ROWS) -> Ints:
    """At most so many of the rows, evenly spaced."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _gram_of(coalitions: Coalitions) -> Floats:
    """Products of the features s_i and s_i s_j summed over rows, shape (f, f)."""
    n = coalitions.shape[1]
    upper = np.triu_indices(n, 1)
    out = np.zeros((n + len(upper[0]), n + len(upper[0])))
    for start in range(0, len(coalitions), _CHUNK):
        signs = np.where(coalitions[start : start + _CHUNK], 1.0, -1.0)
        features = np.concatenate([signs, signs[:, upper[0]] * signs[:, upper[1]]], axis=1)
        out += features.T @ features
    return out


def _pair_moments(signs: Floats, columns: Floats) -> Floats:
    """Sums of s_i s_j times each column over rows, shape (n, n, k), with zero diagonal."""
    out = np.stack([(signs * column[:, None]).T @ signs for column in columns.T], axis=-1)
    out[np.arange(len(out)), np.arange(len(out))] = 0.0
    return out
