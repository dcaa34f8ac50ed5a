"""Ranges of draws against a plain set of units."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xai_ray.coalitions import Unit
from xai_ray.engine.spans import Spans


@given(st.lists(st.integers(0, 40), unique=True), st.integers(1, 3))
def test_spans_hold_what_was_added(order: list[int], size: int) -> None:
    spans, added = Spans(), set()
    for number in order:
        unit = Unit(size * number, size * number + size)
        assert unit not in spans
        spans.add(unit)
        added.add(number)
        assert all((Unit(size * n, size * n + size) in spans) == (n in added) for n in range(42))
        prefix = next(n for n in range(42) if n not in added)
        assert spans.prefix == size * prefix
    gaps = sum(n - 1 not in added for n in added)
    assert len(spans.starts) == len(spans.stops) == gaps
