"""The units of a job in canonical order, made when they are asked for: a job of a million units is a few integers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from math import lcm
from typing import overload

from xai_ray.coalitions import Design, EachInput, Pieces, RowBlocks, Unit
from xai_ray.engine.spans import Spans
from xai_ray.stores import Segment

_UNITS = 128
_SMALLEST_FREE = 256
_LARGEST_UNIT_BLOCKS = 16
_LARGEST_UNIT_ROWS = 16_384


class Units(Sequence[Unit]):
    """The units of `segments`, contiguous and in order, that begin before `draws`. Memory: the segments."""

    def __init__(self, segments: Iterable[Segment], draws: int | None = None) -> None:
        within = (_cut(s, draws) for s in segments if draws is None or s.start < draws)
        self.pieces = tuple(within)
        self._ends = tuple(accumulate(_count(s) for s in self.pieces))

    def without(self, done: Spans) -> Units:
        """Those that are not done. Memory: a piece for each gap between spans."""
        return Units(_left(self.pieces, done))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Unit]:
        return chain.from_iterable(s.units() for s in self.pieces)

    @overload
    def __getitem__(self, at: int) -> Unit: ...
    @overload
    def __getitem__(self, at: slice) -> list[Unit]: ...
    def __getitem__(self, at: int | slice) -> Unit | list[Unit]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        number = at + len(self) if at < 0 else at
        if not 0 <= number < len(self):
            raise IndexError(f"unit {at} of {len(self)}")
        piece = bisect_right(self._ends, number)
        segment = self.pieces[piece]
        start = segment.start + segment.unit * (number - (self._ends[piece - 1] if piece else 0))
        return Unit(start, min(start + segment.unit, segment.stop))


def unit_draws(design: Design, block: int, draws: int) -> int:
    """Draws of a unit: the budget in about 128 units, between one block of the game and sixteen (16,384 rows where blocks are free)."""
    if isinstance(design, (Pieces, RowBlocks)):
        return design.block
    if isinstance(design, EachInput):
        return 1
    rows = design.evaluations(draws)
    largest = _LARGEST_UNIT_BLOCKS * block if block > 1 else _LARGEST_UNIT_ROWS
    smallest = block if block > 1 else _SMALLEST_FREE
    wanted = min(max(smallest, -(-rows // _UNITS)), largest)
    per_draw = max(1, design.evaluations(min(3, draws)) - design.evaluations(min(2, draws - 1))) if draws > 1 else 2
    # A block that two units share is evaluated twice: units end where blocks do, where that makes them no larger than two.
    whole = lcm(block, per_draw)
    if block < whole <= 2 * block:
        return min(-(-wanted // whole), max(1, largest // whole)) * whole // per_draw
    return max(1, -(-wanted // block) * block // per_draw)


def segments_of(design: Design, have: int, draws: int, unit: int) -> list[Segment]:
    """What is to be appended to a plan of `have` draws. Units of pieces and of rows begin at multiples of their block."""
    whole = min(draws, -(-have // unit) * unit)
    if not isinstance(design, (Pieces, RowBlocks)) or whole == have:
        return [Segment(have, draws, unit)]
    rest = [Segment(whole, draws, unit)] if whole < draws else []
    return [Segment(have, whole, whole - have), *rest]


def _count(segment: Segment) -> int:
    return -(-(segment.stop - segment.start) // segment.unit)


def _cut(segment: Segment, draws: int | None) -> Segment:
    """The segment up to the end of the last unit that begins before `draws`."""
    if draws is None or draws >= segment.stop:
        return segment
    whole = -(-(draws - segment.start) // segment.unit) * segment.unit
    return Segment(segment.start, min(segment.stop, segment.start + whole), segment.unit)


def _left(pieces: Iterable[Segment], done: Spans) -> Iterator[Segment]:
    """What spans of whole units leave of the pieces."""
    for piece in pieces:
        start = piece.start
        for at in range(max(0, bisect_right(done.starts, start) - 1), len(done.starts)):
            span_start, span_stop = done.starts[at], done.stops[at]
            if span_start >= piece.stop:
                break
            if start < span_start:
                yield Segment(start, span_start, piece.unit)
            start = max(start, span_stop)
        if start < piece.stop:
            yield Segment(start, piece.stop, piece.unit)
