"""The rows of a paired design by size, with their folds: what cells and the surrogate correction work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.estimators.groups import rotate
from xai_ray.estimators.observed import Pairs, Rows, paired
from xai_ray.types import Coalitions, Floats, Ints, Values

FOLDS = 5


@dataclass(frozen=True, slots=True)
class SizedRows:
    """r rows: the empty and the grand coalition, then p coalitions, then their p complements; k outputs."""

    coalitions: Coalitions
    """Shape (r, n)."""
    values: Values
    """Shape (r, k), without v(empty): a large offset then costs no digits."""
    empty: Values
    """Shape (k,): v(empty), which only sets of no players see."""
    sizes: Ints
    """Shape (r,)."""
    fold: Ints
    """Shape (r,): the pair's fold; -1 for the empty and the grand coalition, which every fold trains on."""
    drawn: Ints
    """Shape (n+1,): rows of each size."""
    share: Floats
    """Shape (n+1,): drawn share of the coalitions of each size; 0 for a stochastic game except at the ends."""
    population: Floats
    """Shape (n+1,): 1 / C(n, s), as a float that underflows to zero for sizes that are never exhausted."""
    pairs: Pairs

    @classmethod
    def of(cls, rows: Rows, design: Strata) -> SizedRows:
        """From the rows of a `Strata` design, draw 0 among them."""
        n, pairs = design.n_players, paired(rows)
        ends = np.stack([np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)])
        members = np.concatenate([ends, pairs.members, ~pairs.members])
        values = np.concatenate([pairs.empty[None], pairs.grand[None], pairs.inside, pairs.outside]) - pairs.empty
        sizes = members.sum(axis=1).astype(np.int64)
        fold = rotate(pairs.stratum, pairs.index, FOLDS)
        counts = np.bincount(pairs.stratum, minlength=n // 2 + 1)
        share, population = np.ones(n + 1), np.ones(n + 1)
        for s in range(1, n):
            h = min(s, n - s)
            population[s] = 1 / (design.pool(h) * (2 if 2 * h == n else 1))
            share[s] = 0.0 if design.stochastic else min(1.0, int(counts[h]) / design.pool(h))
        drawn = np.bincount(sizes, minlength=n + 1)
        return cls(members, values, pairs.empty, sizes, np.r_[-1, -1, fold, fold], drawn, share, population, pairs)

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.coalitions.shape[1]

    @property
    def exhausted(self) -> bool:
        """Whether every coalition is there."""
        return bool((self.share >= 1.0).all())
