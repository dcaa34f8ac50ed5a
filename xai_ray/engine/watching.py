"""Who is told how a run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from xai_ray.estimators import Estimate, Verdict


class Watcher(Protocol):
    """Told how a run goes on, in the coordinator's thread."""

    def started(self, job: str, evaluations: int, done: int) -> None:
        """A run begins with `done` of `evaluations` already in the store."""
        ...

    def advanced(self, done: int) -> None:
        """So many evaluations are committed."""
        ...

    def estimated(self, estimates: Sequence[Estimate]) -> None:
        """A boundary was reached; running estimates of its prefix."""
        ...

    def judged(self, verdicts: Sequence[Verdict]) -> None:
        """What the rules say about these estimates, as far as the first question that is not precise enough."""
        ...


@dataclass(frozen=True, slots=True)
class Silent:
    """A watcher that says nothing."""

    def started(self, job: str, evaluations: int, done: int) -> None:
        """Nothing."""

    def advanced(self, done: int) -> None:
        """Nothing."""

    def estimated(self, estimates: Sequence[Estimate]) -> None:
        """Nothing."""

    def judged(self, verdicts: Sequence[Verdict]) -> None:
        """Nothing."""
