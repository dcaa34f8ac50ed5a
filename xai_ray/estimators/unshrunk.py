"""How to make linear read-outs unbiased for a mean over many games that see one design through relabellings of their own.

Relabelled at random, a read-out W of fixed coalitions has the expectation that its totals by level give (see `level_totals`). Where
these are not the index's, all games err by the same linear map of their mean game, and that does not average out: a posterior mean is
shrunk in all games alike, and a regression on few coalitions leans the same way. With totals equal to the index's, W is unbiased over
relabellings for every game, and the errors of games are independent. The nearest such read-out is that of universal kriging, its
constraint averaged over the sets:

    W' = W + lambda Q,    lambda a weight by level such that the totals of W' are the index's,

Q the precision of the values with what W leaves free projected out. Under the kernel its variance is that of W plus lambda Q lambda'.

One kernel for all players and games is too smooth for some and too rough for others, which a sum over games does not forgive. So the
variance is estimated: by the jackknife that leaves out a pair of complements, whose change is W' times what the pair differs from its
prediction, in each game and set; divided by its expectation under the kernel in units of the true variance there, because leaving
out overstates.

Matheron, "The theory of regionalized variables" (1971) on universal kriging; Efron and Stein, "The jackknife estimate of variance" (1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.estimators import level_totals
from xai_ray.indices import Readout
from xai_ray.indices.weights import log_binomial
from xai_ray.types import Coalitions, Floats, Ints

LARGEST_LEVELS = 2_048
"""Levels, sizes of coalitions times one more than players of a set, whose gram is taken apart."""
_RANK, _MISSED = 1e-12, 1e-6
"""Of the gram of levels; and what may be left of the difference in totals, as a share of the index's largest."""


@dataclass(frozen=True)
class Unshrinking:
    """r coalitions, complements as neighbours, the empty and the grand one first."""

    coalitions: Coalitions
    """Shape (r, n)."""
    precision: Floats
    """Shape (r, r): Q."""
    data: Floats
    """Shape (r, k): Q times the values of k games."""
    stochastic: bool
    taken_back: float = 1.0
    """Exponent of what the jackknife overstates under the kernel: 1 takes all of it back, 0 nothing."""

    def read(self, readout: Readout, sets: Ints, own: Floats, posterior: Floats) -> tuple[Floats, Floats] | None:
        """What W' adds to the values of all sets (c, s), and the variances of its errors, each of shape (c, m, k); None where the drawn
        coalitions do not have the levels that the index reads, or there are too many. `own` is W (c, m, r), `posterior` (c, m) its variance
        under the kernel.
        """
        if level_totals.count(readout) > LARGEST_LEVELS:
            return None
        level = level_totals.levels(self.coalitions, sets)
        added = self._added(readout, own, level)
        if added is None:
            return None
        weights = added.T[:, level].transpose(1, 0, 2)
        through = weights @ self.precision
        expected = posterior + (weights * through).sum(axis=2)
        return weights @ self.data, self._jackknife(own + through, expected.mean(axis=0))

    def _added(self, readout: Readout, own: Floats, level: Ints) -> Floats | None:
        """lambda, shape (levels, m)."""
        wanted = level_totals.wanted(readout)
        lacking = (wanted - level_totals.totals(own, level, readout)).T
        gram = level_totals.gram(self.precision, self.coalitions, readout.size)
        roots, vectors = np.linalg.eigh((gram + gram.T) / 2)
        kept = roots > _RANK * roots[-1]
        found = (vectors[:, kept] / roots[kept]) @ (vectors[:, kept].T @ lacking)
        missed = np.abs(gram @ found - lacking).max()
        return found if missed <= _MISSED * np.abs(wanted).max() else None

    def _jackknife(self, weights: Floats, posterior: Floats) -> Floats:
        """Variances (c, m, k) of weights (c, m, r), where those under the kernel average to `posterior` (m,) over the sets."""
        (c, m, r), k = weights.shape, self.data.shape[1]
        open_share = self._open()
        at: Ints = np.arange(2, r, dtype=np.int64).reshape(-1, 2)
        block = self.precision[at[:, :, None], at[:, None, :]]
        # A pair of sizes that are exhausted has no variance, and may have no precision left either.
        block = np.where(open_share[:, None, None] > 0, block, np.eye(2))
        spread = np.linalg.inv(block) * open_share[:, None, None]
        left_out = np.linalg.solve(block, self.data[at]) * np.sqrt(open_share)[:, None, None]
        pairs = weights[:, :, 2:].reshape(c * m, -1, 2)
        first, second = pairs[:, :, 0], pairs[:, :, 1]
        products = np.concatenate([first**2, 2.0 * first * second, second**2], axis=1)
        squares = np.concatenate([left_out[:, 0] ** 2, left_out[:, 0] * left_out[:, 1], left_out[:, 1] ** 2])
        under = np.concatenate([spread[:, 0, 0], spread[:, 0, 1], spread[:, 1, 1]])
        expected = np.asarray(products @ under).reshape(c, m).mean(axis=0)
        scale = posterior / np.where(expected > 0, expected, np.inf)
        return np.maximum(products @ squares, 0.0).reshape(c, m, k) * scale[None, :, None] ** self.taken_back

    def _open(self) -> Floats:
        """Share of the coalitions of a pair's sizes that was not drawn, shape (p,)."""
        sizes, n = self.coalitions.sum(axis=1), self.coalitions.shape[1]
        if self.stochastic:
            return np.ones(len(sizes) // 2 - 1)
        drawn = np.bincount(sizes, minlength=n + 1)
        share = drawn * np.exp(-log_binomial(n, np.arange(n + 1, dtype=np.float64)))
        # A size that is exhausted is so to rounding.
        return np.where(share < 1.0 - 1e-9, 1.0 - share, 0.0)[sizes[2::2]]
