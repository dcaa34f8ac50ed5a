"""Ratio means of cells: the mean of the values drawn in each cell (which players of a set a coalition holds, its size), read out.

Unbiased wherever every cell was seen, and blind to a shift of v. A coalition and its complement are one draw, so a cell and its mirror
image share one variance. Kolpaczki, Muschalik, Fumagalli, Hammer, Huellermeier, "SVARM-IQ" (AISTATS 2024); for single players
stratified SVARM (Kolpaczki et al., AAAI 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from xai_ray.estimators.cell_sums import cell_sums
from xai_ray.estimators.sized import SizedRows
from xai_ray.indices import Readout
from xai_ray.types import Floats, Ints, Values

_PRIOR_DRAWS = 4.0
"""A cell's variance is averaged with this many pseudo-draws of its stratum's, where the cell has more than one coalition."""


def read_means(rows: SizedRows, readout: Readout, sets: Ints, stochastic: bool) -> tuple[Floats, Floats]:
    """Values and standard errors for sets (c, s) of s = 0..3 ascending players, each of shape (c, R, k), in units of v.

    NaN where a cell that the set needs was never seen; a standard error is NaN too where a single coalition of a stochastic game was
    seen once only. Cells that were seen completely carry no variance in a deterministic game.
    """
    n, cells = rows.n_players, readout.cells
    values = np.zeros((len(sets), cells.shape[0], rows.values.shape[1]))
    variance = np.zeros_like(values)
    if readout.size == 0:
        values += readout.weights.sum(axis=1)[:, None] * rows.empty
    for h in range(n // 2 + 1):
        weights = _both_sides(cells, h)
        if not weights.any():
            continue
        stratum = _Stratum.of(rows, h, sets, stochastic)
        for pattern in range(1 << readout.size):
            w = pattern.bit_count()
            for r in np.flatnonzero(weights[:, w].any(axis=1)):
                mean, noise = stratum.read(pattern, *weights[r, w])
                values[:, r] += mean
                variance[:, r] += noise
    return values, np.sqrt(np.where(np.isnan(values), np.nan, variance))


def _both_sides(cells: Floats, h: int) -> Floats:
    """Weights (R, s + 1, 2) of a pair with w players of the set in its first member: of that member, and of the complement."""
    n = cells.shape[2] - 1
    both = np.stack([cells[:, :, h], cells[:, ::-1, n - h]], axis=-1)
    # In the middle stratum both members have one size, so every cell is met twice: as first member and as complement.
    return both / 2 if 2 * h == n else both


@dataclass(frozen=True, slots=True)
class _Stratum:
    """The draws of one stratum cell by cell: y is the value of a pair's first member, z that of its complement."""

    counts: Floats
    """Shape (2^s, c)."""
    sums: Floats
    """Shape (2^s, c, 5, k): sums of y, z, y y, y z, z z about `centre`."""
    spread: Floats
    """Shape (5, k): their means over the whole stratum."""
    centre: Values
    """Shape (2, k): means of y and z in the stratum; squares are taken about them, so that a large offset costs no digits."""
    coalitions: tuple[int, ...]
    """Coalitions in each of the 2^s cells."""
    stochastic: bool
    middle: bool

    @classmethod
    def of(cls, rows: SizedRows, h: int, sets: Ints, stochastic: bool) -> _Stratum:
        n, count = rows.n_players, len(rows.pairs.stratum)
        first = np.array([0]) if h == 0 else 2 + np.flatnonzero(rows.pairs.stratum == h)
        second = np.array([1]) if h == 0 else first + count
        middle = 2 * h == n and h > 0
        if middle:
            # Each pair from either side.
            first, second = np.concatenate([first, second]), np.concatenate([second, first])
        y, z = rows.values[first], rows.values[second]
        centre = np.stack([y.sum(axis=0), z.sum(axis=0)]) / max(len(first), 1)
        y, z = y - centre[0], z - centre[1]
        products = np.stack([y, z, y * y, y * z, z * z], axis=1)
        columns = np.concatenate([np.ones((len(first), 1)), products.reshape(len(first), 5 * y.shape[1])], axis=1)
        found = cell_sums(rows.coalitions[first], columns, sets)
        size = sets.shape[1]
        return cls(
            counts=np.rint(found[..., 0]),
            sums=found[..., 1:].reshape(*found.shape[:2], 5, y.shape[1]),
            spread=products.sum(axis=0) / max(len(first), 1),
            centre=centre,
            coalitions=tuple(_choose(n - size, h - pattern.bit_count()) for pattern in range(1 << size)),
            stochastic=stochastic and h > 0,
            middle=middle,
        )

    def read(self, pattern: int, a: float, b: float) -> tuple[Floats, Floats]:
        """Mean of a y + b z in a cell and its variance, each of shape (c, k); NaN where the cell was not seen."""
        count, inside = self.counts[pattern][:, None], self.coalitions[pattern]
        y, z, yy, yz, zz = np.moveaxis(self.sums[pattern], 1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (a * y + b * z) / count
            squares = a * a * yy + 2 * a * b * yz + b * b * zz - count * mean**2
            prior = _PRIOR_DRAWS if inside > 1 else 0.0
            spread = a * a * self.spread[2] + 2 * a * b * self.spread[3] + b * b * self.spread[4]
            variance = (np.maximum(squares, 0.0) + prior * spread) / (count - 1 + prior) / count
            if not self.stochastic:
                variance = np.where(count >= inside, 0.0, variance * (1.0 - count / inside))
        # Sums of cells are differences of sums, so an empty cell may hold last bits of others: no number, and no infinity.
        mean = np.where(count > 0, a * self.centre[0] + b * self.centre[1] + mean, np.nan)
        # Both sides of a pair in the middle stratum are one draw, read in halves.
        return mean, variance * (2.0 if self.middle else 1.0)


def _choose(n: int, k: int) -> int:
    return comb(n, k) if 0 <= k <= n else 0
