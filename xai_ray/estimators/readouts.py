"""Pairwise questions as read-outs of cell means: index(i,j) = sum_s [w11(s) A_11(s) + w10(s) (A_10(s) + A_01(s)) + w00(s) A_00(s)],

where A_ab(s) is the mean of v over coalitions of size s with i in (a = 1) or out, j in (b = 1) or out (`methods` of the SVARM-IQ
family: Kolpaczki et al., AISTATS 2024). An order-m interaction reads sizes m, m+1, m+2; every pairwise cardinal index is a
weighted sum of those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xai_ray.indices import Question, pair_profile_weights
from xai_ray.types import Floats

PAIR_INDICES = ("SII", "STII", "BII", "CHII", "MOI")
"""Pairwise indices whose order-2 sets are answered by cells."""


@dataclass(frozen=True, slots=True)
class Readout:
    """Weights on cell means, each of shape (n+1,), by size."""

    both: Floats
    one: Floats
    none: Floats

    @property
    def sizes(self) -> npt.NDArray[np.bool_]:
        """Whether a size is read at all, shape (n+1,)."""
        return (self.both != 0) | (self.one != 0) | (self.none != 0)


def readouts(question: Question, n: int) -> list[Readout]:
    """One read-out for a cardinal index, one a context for multi-order interactions."""
    if question.index == "MOI":
        assert question.contexts is not None
        profiles = np.zeros((len(question.contexts), n - 1))
        profiles[np.arange(len(question.contexts)), list(question.contexts)] = 1.0
    else:
        profiles = pair_profile_weights(question.index, n)[None]
    return [_from_profile(u, n) for u in profiles]


def _from_profile(u: Floats, n: int) -> Readout:
    both, one, none = (np.zeros(n + 1) for _ in range(3))
    both[2:] = u
    one[1:n] = -u
    none[: n - 1] = u
    return Readout(both, one, none)


def cell_shares(n: int) -> tuple[Floats, Floats, Floats]:
    """Share of the coalitions of each size that hold both, a given one only, or none of two players; each of shape (n+1,)."""
    s = np.arange(n + 1, dtype=np.float64)
    total = n * (n - 1.0)
    return s * (s - 1) / total, s * (n - s) / total, (n - s) * (n - s - 1) / total


def size_law(question: Question, n: int) -> Floats:
    """Neyman's allocation over sizes for values of equal variance, shape (n+1,): sqrt(sum over cells of w^2 / share), sum one."""
    shares = cell_shares(n)
    law = np.zeros(n + 1)
    for readout in readouts(question, n):
        terms = [
            np.divide(w**2 * times, share, out=np.zeros(n + 1), where=w != 0)
            for w, share, times in zip((readout.both, readout.one, readout.none), shares, (1, 2, 1), strict=True)
        ]
        size = np.sqrt(np.sum(terms, axis=0))
        law += size / size.sum()
    return law / law.sum()


def strata_law(question: Question, n: int) -> Floats:
    """The same as weights of the pair strata 1..n//2, shape (n//2,), sum one."""
    law = size_law(question, n)
    folded = law[1 : n // 2 + 1] + law[n - 1 : (n - 1) // 2 : -1]
    if n % 2 == 0:
        folded[-1] = law[n // 2]
    return folded / folded.sum()
