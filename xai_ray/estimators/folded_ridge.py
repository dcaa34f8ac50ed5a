"""Ridge regressions that each leave out one fold of the rows, all from one factorisation.

With more features than half the rows the kernel form is the cheaper one. There A = K + penalty I of all rows is inverted once, in
triangles, and what fold F adds is taken back out by blocks: the weights that solve A without F are
Z - (A^-1)_{:F} ((A^-1)_{FF})^-1 Z_F, with Z = A^-1 y (Rasmussen, Williams 2006, section 5.4.2, for folds). Otherwise the Gram matrices
of the folds are subtracted from that of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xai_ray.estimators.cholesky import Factor, inverse_triangle
from xai_ray.types import Floats

LARGEST_SYSTEM = 3_000
"""Features, or rows, of a system that is factorised (72 MB); rows above it are thinned when both are more."""
_SINGLE = 1e-3
"""Penalties from this share of the features on leave systems of a condition that single precision solves to four digits or better: as
good a surrogate in half the time."""
_ALIKE = 0.01
"""Losses that differ by less than this share say nothing: the largest such penalty is taken."""
_CHUNK = 4_096


class Features(Protocol):
    """Columns of a regression, each with prior variance 1, for q rows."""

    @property
    def count(self) -> int:
        """Number f of features."""
        ...

    def kernel(self, kind: type[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
        """Products of rows, shape (q, q), a new array of that kind of float."""
        ...

    def columns(self, rows: slice) -> Floats:
        """Some rows of the features, shape (rows, f)."""
        ...

    def combined(self, weights: Floats) -> Floats:
        """Coefficients sum over rows of weight times features, for weights (q, k)."""
        ...

    def arranged(self, coefficients: Floats) -> Floats:
        """Coefficients (f, k) in the shape that `combined` gives."""
        ...


@dataclass(frozen=True, slots=True)
class Trend:
    """A few columns without a penalty that are fitted first, by themselves."""

    columns: Floats
    """Shape (q, d)."""

    def without(self, target: Floats, left_out: slice) -> Floats:
        """Coefficients (d, k) of a target (q, k) without the rows left out."""
        P, mine = self.columns, self.columns[left_out]
        # Two columns of about unit size: their normal equations lose no digits that matter.
        return np.linalg.pinv(P.T @ P - mine.T @ mine) @ (P.T @ target - mine.T @ target[left_out])


def leave_out(
    features: Features, target: Floats, trend: Trend, folds: list[slice], penalty: float
) -> Iterator[tuple[Floats, Floats]]:
    """For each fold, coefficients of the trend (d, k) and of the features without it, for a target (q, k) of about unit size.

    `folds` are runs of rows; rows in none of them are in every fit. Raises numpy.linalg.LinAlgError when the penalty is too small.
    """
    rows = len(target)
    if features.count == 0:
        trends = [trend.without(target, fold) for fold in folds]
        return ((t, features.arranged(np.zeros((0, target.shape[1])))) for t in trends)
    if rows <= min(2 * features.count, LARGEST_SYSTEM):
        return _dual(features, target, trend, folds, penalty)
    return _primal(features, target, trend, folds, penalty)


def _dual(
    features: Features, target: Floats, trend: Trend, folds: list[slice], penalty: float
) -> Iterator[tuple[Floats, Floats]]:
    k = target.shape[1]
    kind = np.float32 if penalty >= _SINGLE * features.count else np.float64
    system = features.kernel(kind)
    system[np.diag_indices_from(system)] += penalty
    inverse = inverse_triangle(system)
    both = inverse.T @ (inverse @ np.concatenate([target, trend.columns], axis=1).astype(kind))
    for fold in folds:
        below = inverse[fold.start :]
        mine = below[:, fold]
        undone = np.linalg.solve(mine.T @ mine, both[fold])
        left = (both - below.T @ (mine @ undone)).astype(np.float64)
        left[fold] = 0.0
        trended = trend.without(target, fold)
        yield trended, features.combined(left[:, :k] - left[:, k:] @ trended)


def _primal(
    features: Features, target: Floats, trend: Trend, folds: list[slice], penalty: float
) -> Iterator[tuple[Floats, Floats]]:
    both = np.concatenate([target, trend.columns], axis=1)
    grams = [_moments(features, both, fold) for fold in folds]
    outside = _moments(features, both, slice(0, folds[0].start))
    whole = [sum((gram[part] for gram in grams), start=outside[part]) for part in (0, 1)]
    k = target.shape[1]
    for fold, (gram, right) in zip(folds, grams, strict=True):
        system = whole[0] - gram
        system[np.diag_indices_from(system)] += penalty
        trended = trend.without(target, fold)
        free = whole[1] - right
        found = Factor.of(system).solve(free[:, :k] - free[:, k:] @ trended)
        yield trended, features.arranged(found)


def _moments(features: Features, both: Floats, rows: slice) -> tuple[Floats, Floats]:
    """Gram matrix of a run of rows, and products of its features with `both`."""
    gram, right = np.zeros((features.count, features.count)), np.zeros((features.count, both.shape[1]))
    for start in range(rows.start, rows.stop, _CHUNK):
        part = slice(start, min(start + _CHUNK, rows.stop))
        columns = features.columns(part)
        gram += columns.T @ columns
        right += columns.T @ both[part]
    return gram, right


def chosen_penalty(features: Features, target: Floats, penalties: Floats) -> float:
    """The penalty of least leave-one-out error over the rows, summed over the outputs in units of their variance.

    features: of q rows, few enough for an eigendecomposition; target: (q, k).
    """
    rows = len(target)
    if features.count == 0:
        return float(penalties[-1])
    if features.count < rows:
        columns = features.columns(slice(0, rows))
        values, vectors = np.linalg.eigh(columns.T @ columns)
        seen = values > 1e-10 * values[-1]
        values, vectors = values[seen], columns @ vectors[:, seen] / np.sqrt(values[seen])
    else:
        values, vectors = np.linalg.eigh(features.kernel(np.float64))
    values = np.maximum(values, 0.0)
    along, squares = vectors.T @ target, vectors**2
    outside, open_share = target - vectors @ along, 1.0 - squares.sum(axis=1)
    shrink = penalties[:, None] / (values + penalties[:, None])
    scale = np.maximum(target.var(axis=0), 1e-300)
    losses = np.zeros(len(penalties))
    for at, kept in enumerate(shrink):
        left = outside + vectors @ (kept[:, None] * along)
        spare = np.maximum(open_share + squares @ kept, 1e-12)
        losses[at] = float((((left / spare[:, None]) ** 2).mean(axis=0) / scale).sum())
    return float(penalties[np.flatnonzero(losses <= (1 + _ALIKE) * losses.min())[-1]])
