"""Threads of linear algebra: how a product is split over them moves last bits, so answers take one, and a training game says how many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController  # pyright: ignore[reportMissingTypeStubs]


@contextmanager
def library_threads(count: int) -> Iterator[None]:
    """Within it, BLAS and OpenMP have this many threads."""
    with _controller().limit(limits=count):
        yield


@cache
def _controller() -> ThreadpoolController:
    # Finding the libraries takes milliseconds, setting a number of threads microseconds; numpy and scipy are loaded by now.
    import numpy.linalg  # noqa: F401
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()
