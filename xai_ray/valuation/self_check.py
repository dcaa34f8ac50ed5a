"""What a self-check found: an engine beside refits of the estimator itself."""

from __future__ import annotations

from dataclasses import dataclass

from xai_ray.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Differences of some coalitions of a run."""

    scores: tuple[str, ...]
    rows: Ints
    """Which coalitions were refitted, shape (r,)."""
    differences: Floats
    """Absolute differences, shape (r, k)."""

    @property
    def largest(self) -> Floats:
        """One a score, shape (k,)."""
        return self.differences.max(axis=0)

    def told(self) -> str:
        """A line for people."""
        each = ", ".join(
            f"{name} {largest:.3g} (differs in {int((column > 1e-9).sum())})"
            for name, largest, column in zip(self.scores, self.largest, self.differences.T, strict=True)
        )
        return f"self-check: {len(self.rows)} coalitions refitted; largest difference: {each}"
