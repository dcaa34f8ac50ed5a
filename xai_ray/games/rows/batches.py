"""How many model rows a forward pass has, and how the rows of a coalition lie in passes of one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from xai_ray.games.passes.backend import Array
from xai_ray.games.passes.backends import is_module, pick_device
from xai_ray.games.passes.trees import batch_of_trees, of_trees

_NUMBERS = 1 << 20
"""Numbers in a batch of short rows: what stays in the cache of one core."""
_SHORT = 1024
"""Numbers of a short row."""
_LARGEST_BATCH = 1 << 12
_BATCH_OF_CALLABLES = 1 << 14
"""A callable on arrays has more to do around a batch than a torch module."""
_ELEMENTS_ON_ACCELERATOR = 1 << 24
_MOST = 1 << 10
"""Long rows, and rows on an accelerator, in a batch."""
_COALITIONS = 1 << 8
"""Coalitions in a pass: passes are filled up to one shape, and small jobs have few."""


def batch_of_rows(array: Array, device: str, model: Callable[..., Any]) -> int | None:
    """Model rows of a forward pass for trees and for short rows on a CPU; None where another rule has to say."""
    elements = array[0].size
    if of_trees(model):
        return batch_of_trees(elements)
    if pick_device(device) != "cpu" or elements > _SHORT:
        return None
    most = _LARGEST_BATCH if is_module(model) else _BATCH_OF_CALLABLES
    return _power_within(_NUMBERS // elements, most)


def default_batch(array: Array, device: str, model: Callable[..., Any]) -> int:
    """Model rows of a forward pass for rows (R, *input), a power of two."""
    room = _NUMBERS if pick_device(device) == "cpu" else _ELEMENTS_ON_ACCELERATOR
    return batch_of_rows(array, device, model) or _power_within(room // max(1, prod(array.shape[1:])), _MOST)


def _power_within(room: int, most: int) -> int:
    return 1 << min(max(room.bit_length() - 1, 0), most.bit_length() - 1)


@dataclass(frozen=True, slots=True)
class RowGrid:
    """Passes of `block` coalitions with `each` of their rows: several coalitions with all their rows, or a part of the rows of one."""

    rows: int
    """Rows of one coalition."""
    each: int
    block: int

    @classmethod
    def within(cls, rows: int, pairs: int) -> RowGrid:
        """Passes of at most `pairs` pairs of a row and a coalition, filled up by as little as can be."""
        if rows <= pairs:
            return cls(rows, rows, min(pairs // rows, _COALITIONS))
        return cls(rows, -(-rows // -(-rows // pairs)), 1)

    @property
    def pairs(self) -> int:
        """Pairs of a pass."""
        return self.each * self.block

    @property
    def passes(self) -> int:
        """Passes that the rows of one coalition take."""
        return -(-self.rows // self.each)

    @property
    def padded(self) -> int:
        """Rows of one coalition with those that fill up its last pass."""
        return self.passes * self.each

    @property
    def alone(self) -> RowGrid:
        """With one coalition a pass."""
        return replace(self, block=1)
