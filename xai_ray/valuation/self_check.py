"""What a self-check found: an engine beside refits of the estimator itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Differences of some coalitions of a run."""

    scores: tuple[str, ...]
    rows: Ints
    """Which coalitions were refitted, shape (r,)."""
    differences: Floats
    """Absolute differences, shape (r, k); NaN for a coalition that the estimator itself cannot fit."""
    why: str = ""
    """Why it cannot fit the first of these."""

    @property
    def largest(self) -> Floats:
        """One a score, shape (k,)."""
        return np.nanmax(self.differences, axis=0, initial=0.0)

    def told(self) -> str:
        """A line for people."""
        each = ", ".join(
            f"{name} {largest:.3g} (differs in {int((column > 1e-9).sum())})"
            for name, largest, column in zip(self.scores, self.largest, self.differences.T, strict=True)
        )
        unfitted = int(np.isnan(self.differences).any(axis=1).sum())
        more = f"; {unfitted} of them could not be fitted ({self.why})" if unfitted else ""
        return f"self-check: {len(self.rows)} coalitions refitted; largest difference: {each}{more}"
