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
    c0, c1, c2, c3 = (counter[..., i] for i in range(4))
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1)


def random_words(seed: int, stream: Stream, sub: int | Ints, items: Ints, count: int) -> Words:
    """Random 64-bit words, shape (len(items), count).

    `sub` numbers a sub-stream (a stratum, say) below 2^24, one for all items or one for each; `items` are indices from 0 to 2^63-1.
    """
    blocks = (count + 1) // 2
    counter = np.empty((len(items), blocks, 4), dtype=np.uint64)
    index = items.astype(np.uint64)[:, None]
    counter[..., 0] = index & _LOW
    counter[..., 1] = index >> _SHIFT
    counter[..., 2] = np.arange(blocks, dtype=np.uint64)[None, :]
    counter[..., 3] = np.uint64(int(stream) << 24) | np.asarray(sub, dtype=np.uint64)[..., None]
    words = philox4x32(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))
    pairs = (words[..., 0::2] << _SHIFT) | words[..., 1::2]
    return pairs.reshape(len(items), 2 * blocks)[:, :count]
