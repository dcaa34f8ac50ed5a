"""How much is done in one go: more while that takes no time, so that what each go costs is shared, and less where it takes long."""

from __future__ import annotations

QUICK = 0.02
"""Seconds within which a size is doubled, and from twice which on it is halved."""


class Pace:
    """A size between `least` and `most`. It may hang on the clock, so results may not hang on it."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most, self.size = least, most, least

    def took(self, seconds: float) -> None:
        """What the last go of this size took."""
        if seconds < QUICK:
            self.size = min(2 * self.size, self.most)
        elif seconds > 2 * QUICK:
            self.size = max(self.least, self.size // 2)
