"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

SECONDS = 120.0


def until(
    holds: Callable[[], Any], what: str = "it", seconds: float = SECONDS, seen: Callable[[], Any] | None = None
) -> None:
    """Wait until something holds; a bound, not a measure. `seen` is shown when it does not."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}: {seen() if seen is not None else ''}"
        time.sleep(0.02)
