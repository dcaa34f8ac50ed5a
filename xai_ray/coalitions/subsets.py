"""Subsets of a fixed size: by rank where they can be counted in 62 bits, by sorting random words where they cannot."""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.coalitions.shuffle import shuffled_each
from xai_ray.types import Coalitions, Ints

COUNTABLE = 1 << 62
"""Pools up to this size are drawn without replacement; larger ones with replacement, where a repeat is out of reach."""


def unrank(ranks: Ints, n: int, size: int) -> Coalitions:
    """The subsets of {0..n-1} of the given size with these ranks in colexicographic order, as rows of shape (len(ranks), n).

    Combinatorial number system (Lehmer 1964): rank = sum_k C(c_k, k) with c_1 < c_2 < ... the members. Needs C(n, size) <= 2^62.
    """
    rows = np.zeros((len(ranks), n), dtype=np.bool_)
    left = ranks.astype(np.int64, copy=True)
    at = np.arange(len(ranks))
    for k in range(size, 0, -1):
        column = _binomials(n, k)
        member = np.searchsorted(column, left, side="right") - 1
        rows[at, member] = True
        left -= column[member]
    return rows


@lru_cache(maxsize=1024)
def _binomials(n: int, k: int) -> Ints:
    return np.array([comb(c, k) for c in range(n)], dtype=np.int64)


def draw_subsets(seed: int, sub: int, n: int, size: int, items: Ints) -> Coalitions:
    """Draws `items` of the stream of subsets of {0..n-1} of one size, shape (len(items), n).

    Without replacement (the first C(n, size) items are all different) while C(n, size) <= 2^62; with replacement above.
    """
    return draw_subsets_of_sizes(seed, sub - size, n, np.full(len(items), size), items)


def draw_subsets_of_sizes(seed: int, sub: int, n: int, sizes: Ints, items: Ints) -> Coalitions:
    """The same for a size of each item, shape (len(items), n); subsets of size s are of sub-stream sub + s."""
    rows = np.zeros((len(items), n), dtype=np.bool_)
    every, of = np.unique(sizes, return_inverse=True)
    pools = [comb(n, int(size)) for size in every]
    countable = [g for g, pool in enumerate(pools) if pool <= COUNTABLE]
    ranked = np.flatnonzero(np.isin(of, countable))
    if len(ranked):
        groups = np.searchsorted(countable, of[ranked])
        counts = np.array([pools[g] for g in countable], dtype=np.int64)
        subs = [sub + int(every[g]) for g in countable]
        ranks = shuffled_each(seed, subs, counts.tolist(), groups, items[ranked] % counts[groups])
        for at, g in enumerate(countable):
            mine = groups == at
            rows[ranked[mine]] = unrank(ranks[mine], n, int(every[g]))
    for g in np.setdiff1d(np.arange(len(every)), countable):
        mine, size = np.flatnonzero(of == g), int(every[g])
        words = random_words(seed, Stream.SUBSETS, sub + size, items[mine], n)
        members = np.argpartition(words, size - 1, axis=1)[:, :size]
        rows[mine[:, None], members] = True
    return rows
