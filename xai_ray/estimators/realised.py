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


def kernel_weights(design: Strata, stratum: Ints) -> tuple[Floats, Floats]:
    """Weight of each pair in a Shapley regression (kernel weight over inclusion probability), and the share of its stratum not drawn.

    Both of shape (p,). The binomials of 1 / (s (n-s) C(n,s)) and of the probability cancel.
    """
    n, sizes = design.n_players, stratum.astype(np.float64)
    counts, undrawn = realised(design, stratum)
    weight = np.where(2 * stratum == n, 1.0, 2.0) / (sizes * (n - sizes) * counts[stratum])
    return weight, undrawn[stratum]


def by_strata(sizes: Floats) -> Floats:
    """Weights of sizes, shape (n+1,), as weights of the pair strata 1..n//2, shape (n//2,), summing to one."""
    n = len(sizes) - 1
    folded = sizes[1 : n // 2 + 1] + sizes[n - 1 : (n - 1) // 2 : -1]
    if n % 2 == 0:
        folded[-1] = sizes[n // 2]
    return folded / folded.sum()
