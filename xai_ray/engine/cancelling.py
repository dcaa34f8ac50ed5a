"""The cancel flag of a job, as a run looks at it."""

from __future__ import annotations

import time

from xai_ray.stores import Store


class CancelFlag:
    """Reads the store's cancel flag at most every half second."""

    def __init__(self, store: Store, job: str) -> None:
        self.seen = False
        self._store, self._job, self._next = store, job, 0.0

    def check(self) -> bool:
        """Whether the flag is set, or was at an earlier look."""
        now = time.monotonic()
        if not self.seen and now >= self._next:
            self._next = now + 0.5
            self.seen = self._store.cancelled(self._job)
        return self.seen
