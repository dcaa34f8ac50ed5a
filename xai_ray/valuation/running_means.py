"""Means and standard errors of samples that arrive in blocks, some of them absent."""

from __future__ import annotations

import numpy as np

from xai_ray.errors import NotEnoughSamples
from xai_ray.types import Floats, Ints, Mask


class RunningMeans:
    """Samples of n quantities; blocks merge by Chan, Golub and LeVeque (1983), so that large means lose no digits of the spread."""

    def __init__(self, n: int) -> None:
        self.counts: Ints = np.zeros(n, dtype=np.int64)
        self._means, self._spread = np.zeros(n), np.zeros(n)

    def add(self, samples: Floats, present: Mask | None = None) -> None:
        """A block of b samples a quantity, shape (b, n); entries that are not `present` (b, n) do not count."""
        held = np.ones(samples.shape, dtype=np.bool_) if present is None else present
        count = held.sum(axis=0)
        mean = np.where(held, samples, 0.0).sum(axis=0) / np.maximum(count, 1)
        spread = np.where(held, samples - mean, 0.0)
        total = self.counts + count
        gap = np.where(count > 0, mean - self._means, 0.0)
        share = count / np.maximum(total, 1)
        self._spread += np.einsum("bn,bn->n", spread, spread) + gap * gap * self.counts * share
        self._means += gap * share
        self.counts = total

    def means(self) -> Floats:
        """Shape (n,). Raises NotEnoughSamples naming a quantity without a sample."""
        self._check(1)
        return self._means.copy()

    def std_errors(self) -> Floats:
        """Standard errors of the means, shape (n,). Raises NotEnoughSamples for fewer than two samples."""
        self._check(2)
        return np.sqrt(self._spread / (self.counts - 1) / self.counts)

    def sums(self) -> Floats:
        """Means, sums of squared deviations and counts, shape (n, 3)."""
        return np.stack([self._means, self._spread, self.counts.astype(np.float64)], axis=1)

    def _check(self, least: int) -> None:
        few = np.flatnonzero(self.counts < least)
        if len(few):
            raise NotEnoughSamples(
                f"training point {int(few[0])} has {int(self.counts[few[0]])} samples ({len(few)} points have fewer than "
                f"{least}); draw more"
            )
