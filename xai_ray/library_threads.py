"""Threads of the libraries that multiply matrices and train: how work is split over them moves last bits, so callers say how many."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, get_ident
from typing import Any

from threadpoolctl import ThreadpoolController  # pyright: ignore[reportMissingTypeStubs]

_found: dict[int, ThreadpoolController] = {}
"""The libraries of this process, by how many modules were imported when they were looked for."""


class _Blocks:
    """The blocks that are open. A BLAS has one number of threads for the whole process, so only blocks of one count run at a time."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._count = 0
        self._open: dict[int, list[int]] = {}
        """Counts of the blocks that each thread is in, outermost first."""
        self._running: set[int] = set()
        """Threads in blocks that do not wait for their turn."""
        self._usual: dict[str, tuple[Any, int]] = {}
        """Libraries by file, and how many threads they had before the first block."""

    def enter(self, count: int, libraries: list[Any]) -> None:
        """Waits while others run with another count."""
        me = get_ident()
        with self._changed:
            self._turn(me, count, libraries)
            self._open.setdefault(me, []).append(count)

    def leave(self, libraries: list[Any]) -> None:
        """Back to the block around this one; the last one out puts back what was there."""
        me = get_ident()
        with self._changed:
            around = self._open[me]
            around.pop()
            if around:
                self._turn(me, around[-1], libraries)
                return
            del self._open[me]
            self._running.discard(me)
            if not self._open:
                for library, usual in self._usual.values():
                    _set(library, usual)
                self._usual.clear()
            self._changed.notify_all()

    def _turn(self, me: int, count: int, libraries: list[Any]) -> None:
        # Who waits for a turn inside a block computes nothing meanwhile and holds nobody up: two that wait never wait for each other.
        self._running.discard(me)
        self._changed.notify_all()
        try:
            self._changed.wait_for(lambda: not self._running or self._count == count)
        finally:
            if me in self._open:
                self._running.add(me)
        for library in libraries:
            self._usual.setdefault(library.filepath, (library, library.get_num_threads()))
            _set(library, count)
        self._count = count
        self._running.add(me)


_blocks = _Blocks()


@contextmanager
def library_threads(count: int) -> Iterator[None]:
    """Within it, BLAS and OpenMP have this many threads; after it as many as before.

    Threads of one process run blocks of the same count together; a block of another count waits until those have ended. A block
    may lie inside another one of its thread.
    """
    libraries = _controller().lib_controllers
    shared = [one for one in libraries if not _of_each_thread(one)]
    _blocks.enter(count, shared)
    own = [(one, one.get_num_threads()) for one in libraries if _of_each_thread(one)]
    try:
        for one, _ in own:
            _set(one, count)
        yield
    finally:
        for one, usual in own:
            _set(one, usual)
        _blocks.leave(shared)


def _of_each_thread(library: Any) -> bool:
    """OpenMP holds a number for each thread that calls it, and so does an OpenBLAS on top of it."""
    return library.user_api == "openmp" or (
        library.internal_api == "openblas" and getattr(library, "threading_layer", "") == "openmp"
    )


def _set(library: Any, count: int) -> None:
    # threadpoolctl lets one thread alone set OpenBLAS and ignores all others; here turns are taken.
    free = getattr(type(library), "clear_controlling_thread", None)
    if free is not None:
        free(force=True)
    library.set_num_threads(count)
    if free is not None:
        free(force=True)


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
