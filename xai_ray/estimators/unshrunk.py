"""What a Gaussian process adds to a mean over many games that see one design through relabellings of their own.

A posterior mean is shrunk, and that does not average out: relabelled at random, the read-out W of a fixed design has the expectation that
its totals by level give (see `level_totals`), and where these are not the index's, all games err by the same linear map of their mean
game. With totals equal to the index's, W is unbiased for every game over relabellings, and the errors of games are
independent. The nearest such read-out is that of universal kriging, its constraint averaged over the sets:

    W' = W + lambda Q,    Q = K^-1 - K^-1 1 1' K^-1 / 1' K^-1 1,    lambda a weight by level such that the totals of W' are the index's,

whose variance under the kernel is that of W plus lambda Q lambda'. One length scale for all players and games is too smooth for some and too
rough for others, which a sum over games does not forgive. So the variance is estimated: by the jackknife that leaves out a pair of
complements, whose change is W' times what the pair differs from its prediction, in each game and set; divided by its expectation
under the kernel in units of the true variance there, because leaving out overstates.

Matheron, "The theory of regionalized variables" (1971) on universal kriging; Efron and Stein, "The jackknife estimate of variance" (1981).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np

from xai_ray.estimators import level_totals
from xai_ray.estimators.gp_process import Process
from xai_ray.estimators.gp_system import Dense
from xai_ray.estimators.gp_torch import numbers
from xai_ray.estimators.readouts import asked_sets
from xai_ray.indices import Question, Readout, readouts
from xai_ray.types import Coalitions, Floats, Ints

LARGEST_READ = 1 << 25
"""Entries of a read-out, sets by columns by rows, up to which this is computed."""

_RANK, _MISSED = 1e-12, 1e-6
"""Of the gram of levels; and what may be left of the difference in totals, as a share of the index's largest."""


@dataclass(frozen=True)
class Unshrinking:
    """A process of r rows and k games, ready for read-outs."""

    process: Process
    coalitions: Coalitions
    """Shape (r, n): complements are neighbours, the empty and the grand coalition first."""
    inverse: Floats
    """Shape (r, r): K^-1."""
    projected: Floats
    """Shape (r, r): Q."""
    stochastic: bool

    @classmethod
    def of(cls, process: Process, coalitions: Coalitions, stochastic: bool) -> Unshrinking | None:
        """None where the system was not factorised."""
        if not isinstance(process.system, Dense):
            return None
        inverse = numbers(process.system.inverse())
        ones = inverse.sum(axis=1)
        return cls(process, coalitions, inverse, inverse - np.outer(ones, ones) / ones.sum(), stochastic)

    def read(self, readout: Readout, sets: Ints, parameters: int) -> tuple[Floats, Floats] | None:
        """What W' adds to the values of all sets (c, s), and the variances of its errors, each of shape (c, m, k); None where the drawn
        coalitions do not have the levels that the index reads, or there are too many sets.
        """
        if len(sets) * len(readout.weights) * len(self.coalitions) > LARGEST_READ:
            return None
        covariance, prior = self.process.covariance(readout, sets, roughness=not self.stochastic)
        own = covariance @ self.inverse
        explained = (own * covariance).sum(axis=2)
        own -= own.mean(axis=2, keepdims=True)
        level = level_totals.levels(self.coalitions, sets)
        added = self._added(readout, own, level)
        if added is None:
            return None
        weights = added.T[:, level].transpose(1, 0, 2)
        through = weights @ self.projected
        alpha = numbers(self.process.alpha)
        data_part = alpha - self.inverse.sum(axis=1)[:, None] * (alpha.sum(axis=0) / self.inverse.sum())
        shift = weights @ data_part
        posterior = np.maximum(prior - explained, 0.0) + (weights * through).sum(axis=2)
        own += through
        variance = self._jackknife(own, data_part, posterior.mean(axis=0))
        return shift, variance * (1.0 + 2.0 * parameters / len(self.coalitions))

    def _added(self, readout: Readout, own: Floats, level: Ints) -> Floats | None:
        """lambda, shape (levels, m)."""
        wanted = level_totals.wanted(readout)
        lacking = (wanted - level_totals.totals(own, level, readout)).T
        gram = level_totals.gram(self.projected, self.coalitions, readout.size)
        roots, vectors = np.linalg.eigh(gram)
        kept = roots > _RANK * roots[-1]
        found = (vectors[:, kept] / roots[kept]) @ (vectors[:, kept].T @ lacking)
        missed = np.abs(gram @ found - lacking).max()
        return found if missed <= _MISSED * np.abs(wanted).max() else None

    def _jackknife(self, weights: Floats, alpha: Floats, posterior: Floats) -> Floats:
        """Variances (c, m, k) of weights (c, m, r) over games with Q v = alpha (r, k), where those under the kernel average to
        `posterior` (m,) over the sets.
        """
        c, m, r = weights.shape
        p, k = r // 2 - 1, alpha.shape[1]
        open_share = self._open()
        at = np.arange(2, r).reshape(p, 2)
        block = self.projected[at[:, :, None], at[:, None, :]]
        spread = np.linalg.inv(block) * open_share[:, None, None]
        left_out = np.linalg.solve(block, alpha[at]) * np.sqrt(open_share)[:, None, None]
        pairs = weights[:, :, 2:].reshape(c * m, p, 2)
        first, second = pairs[:, :, 0], pairs[:, :, 1]
        products = [first**2, 2.0 * first * second, second**2]
        own = [left_out[:, 0] ** 2, left_out[:, 0] * left_out[:, 1], left_out[:, 1] ** 2]
        found = sum((a @ b for a, b in zip(products, own, strict=True)), np.zeros((c * m, k)))
        under = [spread[:, 0, 0], spread[:, 0, 1], spread[:, 1, 1]]
        expected = (
            sum((a @ b for a, b in zip(products, under, strict=True)), np.zeros(c * m)).reshape(c, m).mean(axis=0)
        )
        scale = np.divide(posterior, expected, out=np.zeros(m), where=expected > 0)
        return np.maximum(found, 0.0).reshape(c, m, k) * scale[None, :, None]

    def _open(self) -> Floats:
        """Share of the coalitions of a pair's sizes that was not drawn, shape (p,)."""
        sizes, n = self.coalitions.sum(axis=1), self.coalitions.shape[1]
        if self.stochastic:
            return np.ones(len(sizes) // 2 - 1)
        drawn = np.bincount(sizes, minlength=n + 1)
        there = np.array([float(comb(n, t)) for t in range(n + 1)])
        return np.maximum(1.0 - drawn / there, 0.0)[sizes[2::2]]


def unshrunk(
    question: Question,
    process: Process,
    coalitions: Coalitions,
    stochastic: bool,
    parameters: int,
    read: Callable[[Readout, Ints], tuple[Floats, Floats]],
) -> tuple[Floats, Floats] | None:
    """What to add to the values of all sets that a question asks for, and the variances of the errors then, each (c, m, k); None where it
    cannot be told. `read` gives values and standard errors, which the set of no players keeps.
    """
    found: list[tuple[Floats, Floats]] = []
    n, ready = coalitions.shape[1], Unshrinking.of(process, coalitions, stochastic)
    for readout in readouts(question, n):
        sets = asked_sets(question, n, readout.size)
        if readout.size:
            part = None if ready is None else ready.read(readout, sets, parameters)
        else:
            errors = read(readout, sets)[1]
            part = np.zeros_like(errors), errors**2
        if part is None:
            return None
        found.append(part)
    shifts, variances = zip(*found, strict=True)
    return np.concatenate(shifts), np.concatenate(variances)
