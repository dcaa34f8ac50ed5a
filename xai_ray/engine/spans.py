"""Ranges of draws that are done, merged where they touch: a run of a million units in order is one pair of integers."""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field

from xai_ray.coalitions import Unit


@dataclass(slots=True)
class Spans:
    """A set of units that do not overlap. Memory: two integers for each gap between them."""

    starts: list[int] = field(default_factory=list[int])
    stops: list[int] = field(default_factory=list[int])

    def add(self, unit: Unit) -> None:
        """Add a unit that overlaps none that is there."""
        at = bisect_right(self.starts, unit.start)
        joins_left = at > 0 and self.stops[at - 1] == unit.start
        joins_right = at < len(self.starts) and self.starts[at] == unit.stop
        if joins_left and joins_right:
            del self.starts[at], self.stops[at - 1]
        elif joins_left:
            self.stops[at - 1] = unit.stop
        elif joins_right:
            self.starts[at] = unit.start
        else:
            self.starts.insert(at, unit.start)
            insort(self.stops, unit.stop)

    def __contains__(self, unit: Unit) -> bool:
        at = bisect_right(self.starts, unit.start)
        return at > 0 and unit.stop <= self.stops[at - 1]

    @property
    def prefix(self) -> int:
        """Where the span that begins at draw 0 ends; 0 if there is none."""
        return self.stops[0] if self.starts and self.starts[0] == 0 else 0
