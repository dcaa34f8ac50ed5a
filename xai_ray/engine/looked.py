"""The running estimates of a long run, noted in its event log so that others can say how it goes without computing them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from xai_ray.engine.watching import Silent, Watcher
from xai_ray.estimators import Estimate, Verdict
from xai_ray.estimators.agreement import rank_agreement
from xai_ray.stores import Store

_EVERY = 10.0
"""Seconds between notes: a short run leaves none."""
LOOKED = "looked"
"""The event: evaluations, largest standard error (null where one is missing), agreement (see `rank_agreement`) of the first question."""


@dataclass
class Looked:
    """A watcher that passes on what it is told, and notes estimates."""

    inner: Watcher
    store: Store
    job: str
    clock: Callable[[], float] = time.monotonic
    _noted: float = field(init=False)
    _seen: list[Estimate] = field(default_factory=list[Estimate], init=False)

    def __post_init__(self) -> None:
        self._noted = self.clock()

    @property
    def awaited(self) -> bool:
        """Whether an estimate would be told to anybody."""
        return not isinstance(self.inner, Silent) or self.clock() - self._noted >= _EVERY

    def started(self, job: str, evaluations: int, done: int) -> None:
        """Passed on."""
        self.inner.started(job, evaluations, done)

    def advanced(self, done: int) -> None:
        """Passed on."""
        self.inner.advanced(done)

    def estimated(self, estimates: Sequence[Estimate]) -> None:
        """Passed on, and noted unless something was noted just before."""
        self.inner.estimated(estimates)
        first, earlier = estimates[0], list(self._seen)
        self._seen.append(first)
        if self.clock() - self._noted < _EVERY:
            return
        self._noted = self.clock()
        error = first.largest_std_error
        facts = {
            "evaluations": first.evaluations,
            "agreement": rank_agreement(first, earlier),
            "std_error": error if error < 1e300 else None,
        }
        self.store.append(self.job, {"event": LOOKED, "at": time.time(), **facts})

    def judged(self, verdicts: Sequence[Verdict]) -> None:
        """Passed on."""
        self.inner.judged(verdicts)
