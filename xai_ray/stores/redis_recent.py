"""What this process committed in the last seconds, in case the server forgets it.

With `appendfsync everysec` a server acknowledges writes before they are on its disk, and while the disk is busy before they have left
its memory: one that is killed then comes back without up to two seconds of them, as does a replica that takes over. Whoever committed
them and is still alive puts them again when it finds another server process at the address (its `run_id` changed). A record is put if
absent, so this is harmless for those that are there. What the death of both lost is missing, and computed again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

_SECONDS = 10.0
_BYTES = 16 << 20


class Recent:
    """Commits of the last seconds, of bounded size. A copy in another process starts empty."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.server: frozenset[str] | None = None
        """The server processes that were there when all of these were committed; None until known."""
        self.connects = 0
        """Connections made when that was checked."""
        self._clock = clock
        self._kept: deque[tuple[float, int, str, list[Any]]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Recent], tuple[()]]:
        return Recent, ()

    def keep(self, job: str, arguments: list[Any], size: int) -> None:
        """Remember a commit by the arguments of its script, `size` bytes in all, and drop what is too old or too much."""
        now = self._clock()
        with self._lock:
            self._kept.append((now, size, job, arguments))
            self._bytes += size
            while self._kept and (self._bytes > _BYTES or self._kept[0][0] < now - _SECONDS):
                self._bytes -= self._kept.popleft()[1]

    def forget(self, job: str, unit: str) -> None:
        """A unit was discarded."""
        with self._lock:
            self._kept = deque(entry for entry in self._kept if (entry[2], entry[3][0]) != (job, unit))
            self._bytes = sum(entry[1] for entry in self._kept)

    def commits(self) -> list[tuple[str, list[Any]]]:
        """Job and arguments, oldest first."""
        with self._lock:
            return [(job, arguments) for _, _, job, arguments in self._kept]
