"""Threads of the libraries that multiply matrices and train: how work is split over them moves last bits, so callers say how many."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController  # pyright: ignore[reportMissingTypeStubs]

_found: dict[int, ThreadpoolController] = {}
"""The libraries of this process, by how many modules were imported when they were looked for."""


@contextmanager
def library_threads(count: int) -> Iterator[None]:
    """Within it, BLAS and OpenMP have this many threads."""
    with _controller().limit(limits=count):
        yield


def _controller() -> ThreadpoolController:
    # Finding the libraries takes milliseconds, setting a number of threads microseconds. Only an import can bring another library.
    import numpy.linalg  # noqa: F401
    import scipy.linalg  # noqa: F401

    modules = len(sys.modules)
    found = _found.get(modules)
    if found is None:
        found = ThreadpoolController()
        _found.clear()
        _found[modules] = found
    return found
