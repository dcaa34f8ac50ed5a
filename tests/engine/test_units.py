"""Units on demand are those that the segments list, whatever is cut off or done."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_ray.coalitions import Unit
from xai_ray.engine.spans import Spans
from xai_ray.engine.units import Units
from xai_ray.stores import Segment


@st.composite
def plans(draw: st.DrawFn) -> list[Segment]:
    """Contiguous segments from draw 0."""
    start, out = 0, []
    for length, unit in draw(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), max_size=4)):
        out.append(Segment(start, start + length, unit))
        start += length
    return out


@given(plans(), st.integers(0, 130), st.data())
def test_units_are_those_of_the_segments(segments: list[Segment], draws: int, data: st.DataObject) -> None:
    listed = [u for s in segments for u in s.units()]
    assert list(Units(segments)) == listed
    within = [u for u in listed if u.start < draws]
    units = Units(segments, draws)
    assert (list(units), len(units)) == (within, len(within))
    assert [units[i] for i in range(len(units))] == within
    at = data.draw(st.slices(len(within)))
    assert units[at] == within[at]
    done = data.draw(st.sets(st.sampled_from(listed))) if listed else set[Unit]()
    spans = Spans()
    for unit in data.draw(st.permutations(sorted(done, key=lambda u: u.start))):
        spans.add(unit)
    left = units.without(spans)
    assert (list(left), len(left)) == ([u for u in within if u not in done], len(set(within) - done))
    assert left[:] == list(left)


def test_a_number_beyond_the_end() -> None:
    units = Units([Segment(0, 10, 4)])
    assert (units[-1], units.index(Unit(4, 8))) == (Unit(8, 10), 1)
    for wrong in (3, -4):
        with pytest.raises(IndexError, match=f"unit {wrong} of 3"):
            _ = units[wrong]
    assert Unit(0, 5) not in units


def test_a_million_units_are_a_few_integers() -> None:
    units = Units([Segment(0, 1_000_000, 1)])
    assert (len(units), units[765_432], units[3:5]) == (1_000_000, Unit(765_432, 765_433), [Unit(3, 4), Unit(4, 5)])
    assert sum(map(sys.getsizeof, vars(units).values())) < 1000
