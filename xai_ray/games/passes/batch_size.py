"""The batch of model rows that takes the least time per evaluation here, found by trying powers of two.

What is found depends on the machine and its mood, and a batch decides last bits: it is measured once, before a job has
its identity, and the number is what the job holds.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Protocol, Self

import numpy as np

from xai_ray.types import Coalitions, Ints, Values


class Timed(Protocol):
    """What is timed: so many evaluations a pass."""

    n_players: int

    @property
    def block(self) -> int:
        """Evaluations of a pass."""
        ...

    def with_batch(self, batch: int) -> Self:
        """The same with `batch` model rows a pass."""
        ...

    def trial(self, coalitions: Coalitions, context: Ints) -> Values:
        """Evaluates coalitions (c, n)."""
        ...


MOST = 1 << 16
"""Model rows of a pass."""
MEMORY = 2 << 30
"""Bytes that a pass may add to what the process takes."""
_SECONDS = 2.0
"""A pass that takes longer is the last that is tried: a run answers between passes."""
_REPEATS, _LEAST = 3, 0.05
"""Passes that are timed, and seconds that they take together: short ones are repeated more often, the best counts."""
_ENOUGH = 1.03
"""A larger batch has to be quicker by 3 %, or noise decides."""


def quickest_batch(game: Timed, most: int = MOST, memory: int = MEMORY) -> int:
    """Model rows per pass: the smallest power of two that is not beaten by a larger one."""
    best, least, worse = 1, np.inf, 0
    batch = 1
    while batch <= most and worse < 2:
        before = _peak()
        seconds = _seconds_per_evaluation(game.with_batch(batch))
        if seconds is None:
            break
        better = seconds * _ENOUGH < least
        worse = 0 if better else worse + 1
        best, least = (batch, seconds) if better else (best, least)
        # What a pass added would be doubled by the next.
        if seconds * game.with_batch(batch).block > _SECONDS or 2 * (_peak() - before) > memory:
            break
        batch *= 2
    return best


def _seconds_per_evaluation(game: Timed) -> float | None:
    """Of one coalition, the best of several blocks after one that warms up; None when the device has no room for it."""
    rng = np.random.default_rng(0)
    context = np.zeros(game.block, dtype=np.int64)
    took: list[float] = []
    try:
        while len(took) <= _REPEATS or sum(took[1:]) < _LEAST:
            rows = rng.random((game.block, game.n_players)) < 0.5
            began = time.perf_counter()
            game.trial(rows, context)
            took.append(time.perf_counter() - began)
    except Exception as error:
        if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
            return None
        raise
    return min(took[1:]) / game.block


def _peak() -> int:
    """Bytes that the process took at most so far, with those of a CUDA device."""
    unit = 1 if sys.platform == "darwin" else 1024
    total = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    torch = sys.modules.get("torch")
    return total + (torch.cuda.max_memory_allocated() if torch is not None and torch.cuda.is_available() else 0)
