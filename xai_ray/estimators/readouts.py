"""What a read-out asks of a paired design: which sizes, in what proportions, and which small sets of coalitions one by one."""

from __future__ import annotations

from math import comb

import numpy as np

from xai_ray.estimators.cell_sums import pattern_shares
from xai_ray.estimators.realised import by_strata
from xai_ray.indices import Question, Readout, readouts
from xai_ray.indices.sets import sets_of_size
from xai_ray.types import Floats, Ints


def single_context(readout: Readout) -> bool:
    """Whether every set is read in one context alone, the empty or the full one, so that its value rests on 2^s coalitions."""
    return readout.keep_rate is not None and readout.keep_rate.point in (0.0, 1.0)


def asked_sets(question: Question, n: int, size: int) -> Ints:
    """The asked sets of one size, shape (c, size), players ascending."""
    if size == 2 and question.pairs is None:
        return np.stack(np.triu_indices(n, 1), axis=1).astype(np.int64)
    sets = sets_of_size(question, n, size)
    return np.array(sets, dtype=np.int64).reshape(len(sets), size)


def size_law(question: Question, n: int) -> Floats:
    """Neyman's allocation over sizes for values of equal variance, shape (n+1,), sum one.

    For each set size and context sqrt(sum over cells of w^2 / share), each normalised, then their mean. Read-outs of a single context
    are left out: they want strata exhausted. All zero when nothing else is asked.
    """
    law = np.zeros(n + 1)
    for readout in readouts(question, n):
        if single_context(readout):
            continue
        cells, shares = readout.cells, pattern_shares(n, readout.size)
        times = np.array([comb(readout.size, w) for w in range(readout.size + 1)])[:, None]
        terms = np.divide(cells**2 * times, shares[None], out=np.zeros_like(cells), where=cells != 0)
        sizes = np.sqrt(terms.sum(axis=1))
        law += (sizes / sizes.sum(axis=1, keepdims=True)).sum(axis=0)
    return law / max(law.sum(), 1e-300)


def strata_law(question: Question, n: int) -> Floats:
    """The same as weights of the pair strata 1..n//2, shape (n//2,), sum one.

    Where only single contexts are read, their strata get draws in proportion to their coalitions.
    """
    if not sampled_sizes(question, n):
        small = exhausted_strata(question, n)
        counts = np.array([pairs_in(n, h) if h <= small else 0 for h in range(1, n // 2 + 1)], dtype=np.float64)
        return counts / max(counts.sum(), 1.0)
    law = size_law(question, n)
    return by_strata(law if law[1:n].any() else np.ones(n + 1))


def read_strata(question: Question, n: int) -> Ints:
    """Pair strata that the question reads, ascending; 0 is the empty with the grand coalition."""
    sizes = np.flatnonzero(np.any([readout.sizes for readout in readouts(question, n)], axis=0))
    return np.unique(np.minimum(sizes, n - sizes)).astype(np.int64)


def exhausted_strata(question: Question, n: int) -> int:
    """Pair strata to exhaust first: as many as read-outs of a single context read, at least the single players."""
    sizes = [readout.size for readout in readouts(question, n) if single_context(readout)]
    return min(max([1, *sizes]), n // 2)


def single_coalitions(question: Question, n: int) -> int:
    """Pair strata to exhaust so that no cell of a single coalition is missed: the largest set read in the empty or full context."""
    read = [readout for readout in readouts(question, n) if readout.weights[:, [0, -1]].any()]
    return min(max([1, *(readout.size for readout in read)]), n // 2)


def pairs_in(n: int, h: int) -> int:
    """Pairs of stratum h of a paired design."""
    return 1 if h == 0 else comb(n - 1, h - 1) if 2 * h == n else comb(n, h)


def sampled_sizes(question: Question, n: int) -> bool:
    """Whether anything is read as a mean over contexts, and not one by one."""
    return not all(map(single_context, readouts(question, n)))
