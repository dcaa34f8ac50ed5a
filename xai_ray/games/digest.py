"""Digests: a hexadecimal fingerprint of everything that decides the values of a game."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(parts: Iterable[str | bytes | np.ndarray[Any, Any]]) -> str:
    """SHA-256 of the parts in order, each with its type and length, so that no two sequences of parts run together."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            head, body = f"array {part.dtype.str} {part.shape}", np.ascontiguousarray(part).tobytes()
        elif isinstance(part, str):
            head, body = "text", part.encode()
        else:
            head, body = "bytes", part
        total.update(f"{head} {len(body)}\n".encode())
        total.update(body)
    return total.hexdigest()


def printed(thing: object) -> str:
    """`repr` without memory addresses, which differ from process to process."""
    return _ADDRESS.sub("", repr(thing))
