"""What a paired design has drawn of each stratum."""

from __future__ import annotations

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.types import Floats, Ints


def realised(design: Strata, stratum: Ints) -> tuple[Ints, Floats]:
    """Pairs drawn of each stratum 0..n//2, and the share of the stratum that was not drawn (one for a stochastic game).

    Both of shape (n//2 + 1,); the share is the finite-population correction of a variance.
    """
    counts = np.bincount(stratum, minlength=design.n_players // 2 + 1).astype(np.int64)
    undrawn = np.ones(len(counts))
    if not design.stochastic:
        for h in np.flatnonzero(counts):
            undrawn[h] = 1.0 - min(1.0, int(counts[h]) / design.pool(int(h)))
    return counts, undrawn


def by_strata(sizes: Floats) -> Floats:
    """Weights of sizes, shape (n+1,), as weights of the pair strata 1..n//2, shape (n//2,), summing to one."""
    n = len(sizes) - 1
    folded = sizes[1 : n // 2 + 1] + sizes[n - 1 : (n - 1) // 2 : -1]
    if n % 2 == 0:
        folded[-1] = sizes[n // 2]
    return folded / folded.sum()
