"""Hypothesis strategies of the field: value tables, seeds, and cuts of a sequence of draws. Needs the package hypothesis."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xai_ray.types import Values


def value_tables(
    min_players: int = 1, max_players: int = 6, max_outputs: int = 2, largest: float = 1e3
) -> st.SearchStrategy[Values]:
    """Tables (2^n, k) of finite values up to `largest`, with v(empty) like any other."""
    values = st.floats(-largest, largest, allow_nan=False, width=32)
    sizes = st.tuples(st.integers(min_players, max_players), st.integers(1, max_outputs))
    return sizes.flatmap(lambda size: hnp.arrays(np.float64, (1 << size[0], size[1]), elements=values))


def seeds() -> st.SearchStrategy[int]:
    """Seeds that a spec accepts."""
    return st.integers(0, 2**63 - 1)


@st.composite
def cuts(draw: st.DrawFn, length: int) -> list[tuple[int, int]]:
    """Consecutive parts [start, stop) of 0..length-1, in any order."""
    inner = draw(st.sets(st.integers(1, max(1, length - 1)), max_size=5))
    ends = sorted({0, length, *(i for i in inner if i < length)})
    parts = list(pairwise(ends))
    return draw(st.permutations(parts))
