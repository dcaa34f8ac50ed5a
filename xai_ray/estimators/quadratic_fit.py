"""Ridge regressions of the quadratic surrogate, one a fold, from pairs of coalitions.

A coalition and its complement share every s_i s_j and have opposite s_i: the fit falls apart into one of the odd part
(v(S) - v(N - S)) / 2 by single players and one of the even part (v(S) + v(N - S)) / 2 by pairs, a row a pair each. Each half has its
own penalty, of least leave-one-out error over a few hundred pairs; the polynomial of the size is fitted before, without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.estimators.folded_ridge import LARGEST_SYSTEM, Trend, chosen_penalty, leave_out
from xai_ray.estimators.quadratic import Quadratic
from xai_ray.estimators.sized import FOLDS
from xai_ray.types import Coalitions, Floats, Ints, Values

_PILOT_PAIRS = 200
_PENALTIES = 10.0 ** np.arange(-6.0, 2.25, 0.5)
"""In units of the number of features."""


@dataclass(frozen=True, slots=True)
class Singles:
    """Features s_i."""

    signs: Floats
    """Shape (q, n)."""

    @property
    def count(self) -> int:
        """n."""
        return self.signs.shape[1]

    def kernel(self, kind: type[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
        """Shape (q, q)."""
        signs: npt.NDArray[np.floating[Any]] = self.signs.astype(kind)
        return signs @ signs.T

    def columns(self, rows: slice) -> Floats:
        """Shape (rows, n)."""
        return self.signs[rows]

    def combined(self, weights: Floats) -> Floats:
        """Shape (n, k)."""
        return self.signs.T @ weights

    def arranged(self, coefficients: Floats) -> Floats:
        """As they are."""
        return coefficients


@dataclass(frozen=True, slots=True)
class Products:
    """Features s_i s_j for i < j."""

    signs: Floats
    """Shape (q, n)."""

    @property
    def count(self) -> int:
        """n (n - 1) / 2."""
        n = self.signs.shape[1]
        return n * (n - 1) // 2

    def kernel(self, kind: type[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
        """Shape (q, q): the square of a product of rows holds each s_i s_j twice, and n squares of s_i."""
        signs: npt.NDArray[np.floating[Any]] = self.signs.astype(kind)
        dot = signs @ signs.T
        dot *= dot
        dot -= self.signs.shape[1]
        dot *= 0.5
        return dot

    def columns(self, rows: slice) -> Floats:
        """Shape (rows, f)."""
        part, upper = self.signs[rows], np.triu_indices(self.signs.shape[1], 1)
        return part[:, upper[0]] * part[:, upper[1]]

    def combined(self, weights: Floats) -> Floats:
        """Shape (n, n, k), symmetric with zero diagonal."""
        out = np.stack([(self.signs * column[:, None]).T @ self.signs for column in weights.T], axis=-1)
        out[np.arange(len(out)), np.arange(len(out))] = 0.0
        return out

    def arranged(self, coefficients: Floats) -> Floats:
        """The same from coefficients (f, k)."""
        n = self.signs.shape[1]
        out = np.zeros((n, n, coefficients.shape[1]))
        out[np.triu_indices(n, 1)] = coefficients
        return out + out.transpose(1, 0, 2)


def fit_folds(members: Coalitions, inside: Values, outside: Values, fold: Ints) -> tuple[Quadratic, ...]:
    """One surrogate a fold, fitted to the pairs of the others.

    members: (q, n), a coalition of each pair; inside, outside: (q, k), values of it and of its complement; fold: (q,) in
    0..FOLDS-1, or -1 for pairs that every fit sees. With more than 3,000 pairs and products both, 3,000 pairs, evenly spaced, are seen.
    """
    n = members.shape[1]
    order = np.argsort(fold, kind="stable")
    if min(len(order), n * (n - 1) // 2) > LARGEST_SYSTEM:
        order = order[_spaced(len(order), LARGEST_SYSTEM)]
    signs, ends = np.where(members[order], 1.0, -1.0), np.searchsorted(fold[order], np.arange(FOLDS + 1))
    folds = [slice(int(a), int(b)) for a, b in pairwise(ends)]
    power = np.stack([_centred(n)[members[order].sum(axis=1)] ** d for d in range(4)], axis=1)
    odd = _half(Singles, signs, (inside - outside)[order] / 2, power[:, 1::2], folds)
    even = _half(Products, signs, (inside + outside)[order] / 2, power[:, 0::2], folds)
    return tuple(
        Quadratic(_by_size(n, trend_odd, trend_even), linear, pair)
        for (trend_odd, linear), (trend_even, pair) in zip(odd, even, strict=True)
    )


def _half(
    kind: type[Singles] | type[Products], signs: Floats, target: Values, powers: Floats, folds: list[slice]
) -> list[tuple[Floats, Floats]]:
    whole = np.linalg.lstsq(powers, target, rcond=None)[0]
    rest = target - powers @ whole
    scale = np.maximum(rest.std(axis=0), 1e-12 * np.abs(target).max(axis=0) + 1e-300)
    rest /= scale
    features, pilot = kind(signs), _spaced(len(signs), _PILOT_PAIRS)
    penalty = chosen_penalty(kind(signs[pilot]), rest[pilot], _PENALTIES * max(features.count, 1))
    found = leave_out(features, rest, Trend(powers), folds, penalty)
    return [(whole + trend * scale, coefficients * scale) for trend, coefficients in found]


def _centred(n: int) -> Floats:
    """Sizes 0..n from -1 to 1."""
    return np.asarray(2.0 * np.arange(n + 1) / n - 1.0, dtype=np.float64)


def _by_size(n: int, odd: Floats, even: Floats) -> Floats:
    at = _centred(n)[:, None]
    return even[0] + at * odd[0] + at**2 * even[1] + at**3 * odd[1]


def _spaced(count: int, most: int) -> Ints:
    """Numbers below count, evenly spaced, at most so many."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)
