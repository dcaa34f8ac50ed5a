"""A keyed permutation of 0..size-1 that can be asked for any element: the order in which a stratum is drawn without replacement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.types import Ints, Words

_SMALL = 1 << 16
_ROUNDS = 8


def shuffled(seed: int, sub: int, size: int, items: Ints) -> Ints:
    """Elements `items` of the keyed permutation of 0..size-1 of sub-stream `sub`; size up to 2^62.

    Small sizes sort random words (a uniform permutation); large ones walk the cycles of a balanced Feistel network
    (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
    """
    return shuffled_each(seed, [sub], [size], np.zeros(len(items), dtype=np.int64), items)


def shuffled_each(seed: int, subs: Sequence[int], sizes: Sequence[int], of: Ints, items: Ints) -> Ints:
    """The same for several permutations at once: element items[r] of that of sub-stream subs[of[r]], shape (r,)."""
    out = np.empty(len(items), dtype=np.int64)
    large = np.array([size > _SMALL for size in sizes])
    for g, (sub, size) in enumerate(zip(subs, sizes, strict=True)):
        if not large[g]:
            mine = of == g
            asked = items[mine]
            most = int(asked.max(initial=-1)) + 1
            out[mine] = _first_sorted(seed, sub, size, min(size, 1 << max(6, (most - 1).bit_length())))[asked]
    rows = np.flatnonzero(large[of])
    if len(rows):
        out[rows] = _walked(seed, subs, sizes, of[rows], items[rows])
    return out


def _walked(seed: int, subs: Sequence[int], sizes: Sequence[int], of: Ints, items: Ints) -> Ints:
    half = np.array([(int(size - 1).bit_length() + 1) // 2 for size in sizes], dtype=np.uint64)[of]
    keys = random_words(seed, Stream.RANKS, np.array(subs), np.zeros(len(subs), dtype=np.int64), _ROUNDS).T[:, of]
    end = np.array(sizes, dtype=np.uint64)[of]
    out = _feistel(items.astype(np.uint64), half, keys)
    outside = np.flatnonzero(out >= end)
    while len(outside):
        out[outside] = _feistel(out[outside], half[outside], keys[:, outside])
        outside = outside[out[outside] >= end[outside]]
    return out.astype(np.int64)


@lru_cache(maxsize=256)
def _first_sorted(seed: int, sub: int, size: int, count: int) -> Ints:
    """Places of the `count` smallest of `size` random words, in their order; of equal words the first comes first."""
    words = random_words(seed, Stream.RANKS, sub, np.arange(size), 1)[:, 0]
    if 2 * count > size:
        return np.argsort(words, kind="stable")[:count].astype(np.int64)
    small = np.flatnonzero(words <= np.partition(words, count - 1)[count - 1])
    return small[np.argsort(words[small], kind="stable")][:count].astype(np.int64)


def _feistel(x: Words, half: Words, keys: Words) -> Words:
    """One pass for elements (r,) of networks of 2 half bits, with a key for each round and element (rounds, r)."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = x >> half, x & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def _mix(x: Words) -> Words:
    # The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
