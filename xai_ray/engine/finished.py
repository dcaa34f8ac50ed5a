"""What a run ended with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xai_ray.estimators import AnyPool, Estimate
from xai_ray.stores import Manifest


@dataclass(frozen=True, slots=True)
class Finished:
    """Its answers, and how it came to end there."""

    manifest: Manifest
    pool: AnyPool
    estimates: tuple[Estimate, ...]
    convergence: Sequence[Estimate]
    ending: dict[str, Any]
    """Why it ended there, see `Ending.document`; empty when nothing but a budget was asked for."""
    new_evaluations: int
    """Evaluations that this run added."""
    notes: tuple[str, ...] = ()
    """What whoever reads the result should know of how it came about."""
    self_check: dict[str, Any] | None = None
    """See `self_check.document`; None for games without."""

    @property
    def precise(self) -> bool:
        """False when a precision was asked for and budget or time ended before it was reached."""
        return bool(self.ending.get("precise", True))
