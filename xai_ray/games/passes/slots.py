"""Rows laid into blocks of one shape, duplicates once.

Law: the bits of a row may depend on its slot in a block, never on its block or its neighbours. So a row may stand for
another one only where both have the same slot, and then to the last bit.
"""

from __future__ import annotations

import numpy as np

from xai_ray.coalitions.design import FULL_EXPECTATION
from xai_ray.types import Coalitions, Ints


def laid(coalitions: Coalitions, context: Ints, block: int, stochastic: bool) -> tuple[Ints, Ints]:
    """Rows (r,) -> which row is evaluated in each place of whole blocks (a multiple of `block`), and at which place each
    row finds its value. Row r keeps slot r mod block; places that are left over are filled with a row that is not an
    expectation, where there is one.
    """
    rows = len(coalitions)
    filler = int(np.argmax(context != FULL_EXPECTATION)) if stochastic else 0
    blocks = -(-rows // block)
    if blocks > 1:
        first, place, of = _distinct(coalitions, context[:, None] if stochastic else context[:, None][:, :0], block)
        needed = int(place.max()) // block + 1
        if needed < blocks:
            at = np.full(needed * block, filler)
            at[place] = first
            return at, place[of]
    at = np.full(blocks * block, filler)
    at[:rows] = np.arange(rows)
    return at, np.arange(rows)


def evenly(count: int, most: int) -> int:
    """How many a part has, of so many in as few equal parts as there are with at most `most`; the last may have fewer."""
    return -(-count // -(-count // most))


def _distinct(coalitions: Coalitions, context: Ints, block: int) -> tuple[Ints, Ints, Ints]:
    """One row for each group of equals in one slot, its place, and the group of each row."""
    slot = np.arange(len(coalitions)) % block
    # Big-endian slots in front: groups come out in the order of their slots.
    parts = [slot.astype(">u4")[:, None].view(np.uint8), np.packbits(coalitions, axis=1), context.view(np.uint8)]
    keys = np.ascontiguousarray(np.concatenate(parts, axis=1))
    _, first, of = np.unique(keys.view(f"V{keys.shape[1]}").ravel(), return_index=True, return_inverse=True)
    slots = slot[first]
    rank = np.arange(len(first)) - np.searchsorted(slots, slots)
    return first, rank * block + slots, of.ravel()
