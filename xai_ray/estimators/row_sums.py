"""What a mean over rows takes of them: their values as they have to be for it, and how far their errors leave it open.

Errors of rows are independent where the estimator is unbiased over the relabellings through which rows see their design. `RowEstimator`s
are not; they say what to add to each row, and with which variance, so that it is so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.types import Floats

INDEPENDENT = frozenset(("permutation", "svarmiq"))
"""Estimators of a sample that are unbiased over the relabellings of any fixed design (`tests/laws/test_over_rows.py`). Regressions are
not, nor ratios of sums, nor what is corrected by a surrogate: of those that are no `RowEstimator` the errors are bounded, as if they were
common to all rows.
"""


@dataclass(frozen=True, slots=True)
class OverRows:
    """Of b rows: c sets, m contexts (1 without), k outputs."""

    shift: Floats
    """Shape (b, c, m, k): added to a row's values for a mean over rows."""
    variance: Floats
    """Same shape: of the errors then."""
    common: bool = False
    """Whether the errors may be common to all rows, so that they do not average out."""


@dataclass(frozen=True, slots=True)
class AnswerSums:
    """Sums over b rows, each of shape (c, m, k)."""

    values: Floats
    variances: Floats
    """Of errors that are independent: R of them add R variances to a sum."""
    common: Floats
    """Variances of errors that may be one and the same in all rows: R of them add R times their sum."""
    spread: Floats
    """Squared deviations of the values from their mean over the b rows."""

    @classmethod
    def of(cls, values: Floats, std_errors: Floats, over: OverRows | None) -> AnswerSums:
        """From rows (b, c, m, k); without `over`, their errors are independent as they are."""
        shifted = values if over is None else values + over.shift
        variance = (std_errors**2 if over is None else over.variance).sum(axis=0)
        none = np.zeros_like(variance)
        apart, common = (none, variance) if over is not None and over.common else (variance, none)
        return cls(shifted.sum(axis=0), apart, common, ((shifted - shifted.mean(axis=0)) ** 2).sum(axis=0))
