"""A correction drawn towards zero where it is mostly noise.

The surrogate errs by b + e, b what its form cannot carry and e what its rows left open; the corrected surrogate errs by u. Surrogate plus
k times correction errs by (1 - k)(b + e) + k u, and its mean square is least at k = B / (B + U - E), with B, U the mean squares of b and
u and E the mean of e u. Two estimates of one thing from the same rows: while the surrogate is nearly efficient, E is the mean square of e
itself, which the folds' surrogates tell (jackknife: Efron, Stein 1981), U is the squared standard error, and the mean squared correction
is B + U - E. Empirical Bayes after Efron and Morris (1973), over sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from xai_ray.coalitions.subsets import draw_subsets
from xai_ray.types import Floats, Ints

LEAST_BIAS = 0.5
"""B is never taken below this share of U, so that at least a third of the correction is kept."""
EFFICIENT = 0.5
"""What counts of the jackknife variance of five folds, which overstates E, since folds share most of their rows."""
_REFERENCE_SETS = 2_000


@dataclass(frozen=True, slots=True)
class Shrinking:
    """What is kept of all corrections of one context and output; R contexts, k outputs."""

    kept: Floats
    """Shape (R, k): from 1/3 to 1; 1 where corrections have no error."""
    left: Floats
    """Shape (R, k): mean square of what the shrinking leaves besides the noise of what is kept."""

    @classmethod
    def of(cls, correction: Floats, error: Floats, spread: Floats) -> Shrinking:
        """From corrections, their standard errors and the jackknife variances of the surrogate, each of shape (c, R, k)."""
        noise = (error**2).mean(axis=0)
        shared = np.minimum(EFFICIENT * spread.mean(axis=0), noise)
        bias = np.maximum((correction**2).mean(axis=0) - noise + shared, LEAST_BIAS * noise)
        kept = np.divide(bias, bias + noise - shared, out=np.ones_like(bias), where=noise != 0)
        return cls(kept, 2 * kept * (1 - kept) * shared + (1 - kept) ** 2 * (bias + shared))

    def apply(self, correction: Floats, error: Floats) -> tuple[Floats, Floats]:
        """What is kept of corrections (c, R, k), and standard errors."""
        return self.kept * correction, np.sqrt((self.kept * error) ** 2 + self.left)


def reference_sets(n: int, size: int) -> Ints:
    """Sets (c, size) that decide what is kept, ascending: all of them, or 2,000 of many. The answer for a set is then the same
    whatever else is asked.
    """
    if comb(n, size) <= _REFERENCE_SETS:
        return np.array(list(combinations(range(n), size)), dtype=np.int64)
    members = draw_subsets(0, size, n, size, np.arange(_REFERENCE_SETS))
    return np.nonzero(members)[1].astype(np.int64).reshape(-1, size)
