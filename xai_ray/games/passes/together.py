"""Outputs of several small passes, read together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

from xai_ray.games.passes.backend import Backend
from xai_ray.types import Floats

_TOGETHER = 1 << 20
"""Numbers of outputs of small passes that are read at a time."""


def read_together(backend: Backend, passes: Iterable[Any], pairs: int, read: Callable[[Any], Any]) -> Floats:
    """What `read` makes of outputs (c, K, m) of passes, which are `pairs` in all: small passes together, on the host."""
    parts: list[Any] = []
    room, filled, left = None, 0, pairs
    for outputs in passes:
        if room is None:
            at_once = len(outputs) * max(1, _TOGETHER // prod(outputs.shape))
            room, filled = backend.room(outputs, min(left, at_once)), 0
        room[filled : filled + len(outputs)] = outputs
        filled += len(outputs)
        if filled == len(room):
            parts.append(read(room))
            room, left = None, left - filled
    return backend.home(backend.joined(parts, 0) if len(parts) > 1 else parts[0])
