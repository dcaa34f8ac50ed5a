"""A keyed permutation of 0..size-1 that can be asked for any element: the order in which a stratum is drawn without replacement."""

from __future__ import annotations

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
    if size <= _SMALL:
        return _sorted_words(seed, sub, size)[items]
    half = (int(size - 1).bit_length() + 1) // 2
    keys = random_words(seed, Stream.RANKS, sub, np.arange(1), _ROUNDS)[0]
    out = _feistel(items.astype(np.uint64), half, keys)
    outside = out >= np.uint64(size)
    while outside.any():
        out[outside] = _feistel(out[outside], half, keys)
        outside = out >= np.uint64(size)
    return out.astype(np.int64)


@lru_cache(maxsize=256)
def _sorted_words(seed: int, sub: int, size: int) -> Ints:
    words = random_words(seed, Stream.RANKS, sub, np.arange(size), 1)[:, 0]
    return np.argsort(words, kind="stable").astype(np.int64)


def _feistel(x: Words, half: int, keys: Words) -> Words:
    mask, shift = np.uint64((1 << half) - 1), np.uint64(half)
    left, right = x >> shift, x & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << shift) | right


def _mix(x: Words) -> Words:
    # The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
