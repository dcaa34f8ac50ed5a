"""Replicate groups and folds: which draws are left out together. A pure function of (stratum, index), so it never moves."""

from __future__ import annotations

import numpy as np

from xai_ray.types import Floats, Ints

GROUPS = 20
"""Replicate groups of the delete-a-group jackknife (Kott 2001)."""

_GOLDEN = 0.6180339887498949


def rotate(stratum: Ints, index: Ints, count: int) -> Ints:
    """Group of each draw, 0..count-1: draws of a stratum take turns, each stratum from its own starting point.

    Draws within a stratum are in random order, so turns are as good as lots, and balanced; golden-ratio starting points keep
    groups balanced when strata hold only a few draws each.
    """
    start = np.floor(count * np.mod(stratum * _GOLDEN, 1.0)).astype(np.int64)
    return (index + start) % count


def jackknife(sums: Floats, counts: Ints) -> tuple[Floats, Floats, int]:
    """Mean, delete-a-group standard error and degrees of freedom.

    sums: shape (G, ...), sums over the draws of each group; counts: shape (G,). Empty groups are left out; with fewer than two
    groups the standard error is NaN. Mean and error have shape (...).
    """
    filled = counts > 0
    sums, counts = sums[filled], counts[filled]
    mean = sums.sum(axis=0) / counts.sum()
    groups = len(counts)
    if groups < 2:
        return mean, np.full_like(mean, np.nan), 0
    rest = (counts.sum() - counts).reshape(-1, *[1] * (sums.ndim - 1))
    without = (sums.sum(axis=0) - sums) / rest
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return mean, np.sqrt((groups - 1) / groups * spread), groups - 1


def pooled(errors: Floats, freedom: int) -> Floats:
    """Standard errors of players (n, k) by a jackknife, with one degree of freedom more from the mean over players: with few draws a
    variance of its own is too uncertain.
    """
    return np.sqrt((freedom * errors**2 + (errors**2).mean(axis=0)) / (freedom + 1))
