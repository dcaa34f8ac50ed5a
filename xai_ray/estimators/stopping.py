"""When to stop. Rules look at fixed boundaries only, on the prefix of draws up to there, never at what arrived first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xai_ray.coalitions import Design
from xai_ray.estimators.estimate import Estimate


@dataclass(frozen=True, slots=True)
class StdErrorBelow:
    """Every standard error of every question is at most `limit`, in units of v."""

    limit: float

    def holds(self, estimates: Sequence[Estimate]) -> bool:
        """Missing entries (NaN) count as too uncertain."""
        return all(e.largest_std_error <= self.limit for e in estimates)


def boundaries(design: Design, draws: int) -> Iterator[int]:
    """Numbers of draws at which a job is looked at: about 4n evaluations, then each 2^(1/2) times the one before, then the end.

    They depend on the number of players alone, so a job that is extended keeps the boundaries it had.
    """
    evaluations = 4.0 * design.n_players + 4
    while True:
        at = design.affordable(int(evaluations))
        if at >= draws:
            break
        if at > 1:
            yield at
        evaluations *= 2**0.5
    yield draws
