"""Masked rows on the host: numpy's `where`, and three times as quick with the kernels of torch where that is loaded already."""

from __future__ import annotations

import sys
from math import prod
from typing import Any

import numpy as np

from xai_ray.games.passes.backend import Array

_FILLINGS = 4
"""Fillings of a coalition from which the words of its mask are worth making."""


def chosen(mask: Array, kept: Array, filled: Array) -> Array:
    """`kept` where the mask is true, else `filled`; they broadcast. To the bit, with NaN and signed zeros."""
    # Masks picked by labels lie column by column; so would the rows, and each model would copy them.
    mask = np.asarray(mask, order="C")
    torch, words = sys.modules.get("torch"), _words(kept, filled)
    own = np.broadcast_shapes(mask.shape, kept.shape)
    if torch is None or words is None or prod(np.broadcast_shapes(own, filled.shape)) < _FILLINGS * max(prod(own), 1):
        return np.where(mask, kept, filled)
    absent = np.where(np.broadcast_to(mask, own), words.type(0), words.type(-1))
    given = [torch.from_numpy(np.require(a.view(words), requirements=["C", "W"])) for a in (kept, filled)]
    removed = torch.from_numpy(absent)
    # One of both is zero in every place.
    out = torch.bitwise_and(removed, given[1]).bitwise_or_(torch.bitwise_and(~removed, given[0]))
    return out.numpy().view(kept.dtype)


def _words(kept: Array, filled: Array) -> Any:
    """Integers as wide as the numbers; None where the two are not of one native type."""
    if kept.dtype != filled.dtype or kept.dtype.kind not in "fiub" or not kept.dtype.isnative:
        return None
    return np.dtype(f"i{kept.dtype.itemsize}") if kept.dtype.itemsize in (1, 2, 4, 8) else None
