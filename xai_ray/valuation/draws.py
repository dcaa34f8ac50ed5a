"""Random draws of the methods of this room: each a pure function of (seed, purpose, item)."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import SpecError
from xai_ray.types import Floats, Ints, Words

Bytes: TypeAlias = npt.NDArray[np.uint8]


class Purpose(IntEnum):
    """What a draw is for; one number a purpose."""

    BOOTSTRAPS = 1
    BATCHES = 2
    VALIDATION_BATCHES = 3
    PROBES = 4
    ORDERS = 5
    CONTEXTS = 6
    ROULETTE = 7
    SIZES = 9
    COALITIONS = 10
    PROJECTIONS = 11
    HALVES = 12
    CURVES = 16
    TEST_POINTS = 20


def words(seed: int, purpose: Purpose, items: Ints, count: int, *, sub: int = 0) -> Words:
    """Random 64-bit words, shape (len(items), count); `sub` numbers a part of the purpose, below 2^16."""
    if seed < 0:
        raise SpecError(f"seed is a whole number, at least 0; got {seed}")
    return random_words(seed, Stream.VALUATION, (int(purpose) << 16) | sub, items, count)


def uniforms(seed: int, purpose: Purpose, items: Ints, count: int, *, sub: int = 0) -> Floats:
    """Uniform on [0, 1) with 53 bits, shape (len(items), count)."""
    return (words(seed, purpose, items, count, sub=sub) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def coins(seed: int, purpose: Purpose, items: Ints, count: int, *, sub: int = 0) -> Bytes:
    """Fair coins, 0 or 1, shape (len(items), count)."""
    drawn = words(seed, purpose, items, -(-count // 64), sub=sub)
    return np.unpackbits(drawn.astype("<u8").view(np.uint8), axis=1, count=count)


def orders(seed: int, purpose: Purpose, items: Ints, n: int, *, sub: int = 0) -> Ints:
    """Uniform permutations of n things, shape (len(items), n)."""
    return np.argsort(words(seed, purpose, items, n, sub=sub), axis=1, kind="stable").astype(np.int64)


def positive(name: str, value: int, least: int = 1) -> int:
    """The whole number `value`. Raises SpecError below `least`."""
    if int(value) != value or value < least:
        raise SpecError(f"{name} is a whole number, at least {least}; got {value}")
    return int(value)
