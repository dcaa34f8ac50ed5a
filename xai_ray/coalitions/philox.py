"""Counter-based random words: word b of item i of stream s is a pure function of (seed, s, i, b).

Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), vectorised over items.
Any worker can produce any item without having produced the ones before it.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from xai_ray.types import Ints, Words

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_ROUNDS = 10


class Stream(IntEnum):
    """What a stream of random words is for; one number a purpose, so that no two purposes ever share words."""

    RANKS = 1
    SUBSETS = 2
    PERMUTATIONS = 3
    BACKGROUND = 4
    PILOT = 5
    BACKGROUND_UNIFORM = 6
    STOCHASTIC_RANKS = 7
    RELABELLINGS = 8
    PAIRED_CONTEXTS = 9
    STARS = 10
    CUBES = 11
    PLAYER_CONTEXTS = 12
    SIGNS = 20
    OWEN_ORDERS = 21
    RUN_CONTEXTS = 22
    PROBES = 23
    HELD_OUT = 24
    VALUATION = 25
    ROW_RELABELLINGS = 26
    LABELLED_ROWS = 31
    INPUT_PAIRS = 32
    SHUFFLED_ROWS = 33


def philox4x32(counter: Words, key: tuple[int, int]) -> Words:
    """The raw block function. `counter` has shape (..., 4), 32-bit words held in uint64; returns the same shape."""
    return np.stack(_mixed(*(counter[..., i].copy() for i in range(4)), key=key), axis=-1)


def _mixed(c0: Words, c1: Words, c2: Words, c3: Words, key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Of the four words of counters, apart, which it writes over: new arrays each round would take three times as long."""
    p0, p1 = np.empty_like(c0), np.empty_like(c0)
    k0, k1 = key
    for _ in range(_ROUNDS):
        np.multiply(c0, _MULTIPLIERS[0], out=p0)
        np.multiply(c2, _MULTIPLIERS[1], out=p1)
        np.right_shift(p1, _SHIFT, out=c0)
        c0 ^= c1
        c0 ^= np.uint64(k0)
        np.bitwise_and(p1, _LOW, out=c1)
        np.right_shift(p0, _SHIFT, out=c2)
        c2 ^= c3
        c2 ^= np.uint64(k1)
        np.bitwise_and(p0, _LOW, out=c3)
        k0, k1 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def random_words(seed: int, stream: Stream, sub: int | Ints, items: Ints, count: int) -> Words:
    """Random 64-bit words, shape (len(items), count).

    `sub` numbers a sub-stream (a stratum, say) below 2^24, one for all items or one for each; `items` are indices from 0 to 2^63-1.
    """
    shape = (len(items), (count + 1) // 2)
    index, (c0, c1, c2, c3) = items.astype(np.uint64)[:, None], (np.empty(shape, dtype=np.uint64) for _ in range(4))
    c0[:], c1[:], c2[:] = index & _LOW, index >> _SHIFT, np.arange(shape[1], dtype=np.uint64)
    c3[:] = np.uint64(int(stream) << 24) | np.asarray(sub, dtype=np.uint64)[..., None]
    c0, c1, c2, c3 = _mixed(c0, c1, c2, c3, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))
    c0 <<= _SHIFT
    c0 |= c1
    if count == 1:
        return c0
    c2 <<= _SHIFT
    c2 |= c3
    return np.stack([c0, c2], axis=-1).reshape(len(items), 2 * shape[1])[:, :count]
