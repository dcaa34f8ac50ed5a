"""How far means over context sizes spread: stratified variances of `RunContexts` draws, for contrasts and for all blocks at once.

Cochran, "Sampling techniques" (1977), chapter 5: strata with finite-population factors; sizes with few draws share a variance with their
neighbours (collapsed strata, section 5A.12). Degrees of freedom: Satterthwaite (1946).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

from xai_ray.coalitions.run_contexts import RunContexts
from xai_ray.types import Floats, Ints, Mask

_BAND = 4
"""Degrees of freedom that a band of sizes has at least, where there are so many."""


@dataclass(frozen=True)
class Spread:
    """Of the draws with these strata, shape (d,)."""

    design: RunContexts
    stratum: Ints

    @cached_property
    def weights(self) -> Floats:
        """Shape (d,), summing to one: every size has its own share; sizes not seen yet leave theirs to those that go on being drawn."""
        share, drawn = self.design.weights(), self._drawn
        if drawn.any():
            share[drawn] *= (1 - share[self._exhausted].sum()) / share[drawn].sum()
        return (share / np.maximum(self._counts, 1))[self.stratum]

    def errors(self, found: Floats) -> tuple[Floats, float]:
        """Standard error of the weighted sum of `found` (d, k), shape (k,), and its degrees of freedom, the fewest over outputs."""
        variance, below = np.zeros(found.shape[1]), np.zeros(found.shape[1])
        for residuals, freedom, scale in self._bands(found):
            part = scale * (residuals**2).sum(axis=0)
            variance += part
            below += part**2 / freedom
        freedoms = np.divide(variance**2, below, out=np.full_like(below, inf), where=below > 0)
        return np.sqrt(variance), float(freedoms.min())

    def root(self, found: Floats) -> Floats:
        """A square root of the covariance of the weighted sum of `found` (d, b, k) for each output, shape (k, b, b)."""
        blocks, outputs = found.shape[1:]
        covariance = np.zeros((outputs, blocks, blocks))
        for residuals, _, scale in self._bands(found):
            one = np.moveaxis(residuals, 2, 0)
            covariance += scale * (np.swapaxes(one, 1, 2) @ one)
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]

    def _bands(self, found: Floats) -> list[tuple[Floats, int, float]]:
        """Residuals (draws of the band, ...), their degrees of freedom, and what their squares count for."""
        out: list[tuple[Floats, int, float]] = []
        for band in self._sizes():
            here = np.isin(self.stratum, band)
            values, sizes = found[here], self.stratum[here]
            centre = _means(values, sizes) if self._within else values.mean(axis=0)
            freedom = len(values) - (len(band) if self._within else 1)
            counted = float((self.weights[here] ** 2 * self._left[sizes]).sum())
            out.append((values - centre, freedom, counted / freedom))
        return out

    def _sizes(self) -> list[Ints]:
        """Neighbouring strata, together at least `_BAND` degrees of freedom; what is left at the end joins the last band."""
        bands: list[list[int]] = []
        free = _BAND
        for h in map(int, np.flatnonzero(self._drawn)):
            if free >= _BAND:
                bands.append([])
                free = 0
            free += int(self._counts[h]) - int(self._within or not bands[-1])
            bands[-1].append(h)
        if free < _BAND and len(bands) > 1:
            last = bands.pop()
            bands[-1].extend(last)
        return [np.array(band, dtype=np.int64) for band in bands]

    @cached_property
    def _within(self) -> bool:
        # Once each size was drawn twice, sizes have means of their own; before, differences between them count as noise.
        return bool((self._counts[~self._exhausted] > 1).all())

    @cached_property
    def _counts(self) -> Ints:
        return np.bincount(self.stratum, minlength=self.design.strata + 1)

    @cached_property
    def _left(self) -> Floats:
        """Share of each stratum's contexts that was not drawn; stratum 0 has a single pair."""
        if self.design.stochastic:
            return np.array([0.0] + [1.0] * self.design.strata)
        return np.array([1.0 - count / self.design.pool(h) for h, count in enumerate(map(int, self._counts))])

    @property
    def _exhausted(self) -> Mask:
        return self._left <= 0

    @property
    def _drawn(self) -> Mask:
        return (self._counts > 0) & ~self._exhausted


def _means(values: Floats, sizes: Ints) -> Floats:
    """The mean of its own size in each row."""
    _, number, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), *values.shape[1:]))
    np.add.at(sums, number, values)
    return (sums / counts.reshape(-1, *[1] * (values.ndim - 1)))[number]
