"""Rows of a dataset where passes take them from: on the device once, or mapped from a file, of which each pass brings its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xai_ray.games.passes.backend import Array, Backend
from xai_ray.types import Ints

_PIECE = 1 << 20
"""Numbers of mapped rows that are looked at together."""


class HeldRows:
    """Rows (R, *input); those of a `numpy.memmap` may be more than fit, and stay in the file.

    `through` is applied to rows on the device (c, *input) and may write into them.
    """

    def __init__(self, backend: Backend, rows: Array, through: Callable[[Any], Any] | None = None) -> None:
        self._backend, self._through = backend, through
        self._mapped = rows if isinstance(rows, np.memmap) else None
        self._there = None if self._mapped is not None else self._placed(rows)

    def take(self, rows: Ints) -> Any:
        """Rows (c,) on the device, shape (c, *input), for the caller to write into."""
        if self._there is not None:
            return self._there[self._backend.put(rows)]
        assert self._mapped is not None
        distinct, where = np.unique(rows, return_inverse=True)
        return self._placed(self._mapped[distinct])[self._backend.put(where.reshape(-1))]

    def finite(self) -> bool:
        """Whether the device's type of numbers holds all rows."""
        if self._there is not None:
            return self._all_finite(self._there)
        assert self._mapped is not None
        step = max(1, _PIECE // max(1, self._mapped[0].size))
        starts = range(0, len(self._mapped), step)
        return all(self._all_finite(self._placed(self._mapped[at : at + step])) for at in starts)

    def _placed(self, rows: Array) -> Any:
        # A copy: a device that is the host would share the caller's memory.
        there = self._backend.put_input(0, np.array(rows))
        return there if self._through is None else self._through(there)

    def _all_finite(self, part: Any) -> bool:
        return bool(np.isfinite(self._backend.home(part)).all())
