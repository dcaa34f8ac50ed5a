"""What a mean over rows takes of them: their values as they have to be for it, and how far their errors leave it open.

Errors of rows are independent where the estimator is unbiased over the relabellings through which rows see their design. `RowEstimator`s
are not; they say what to add to each row, and with which variance, so that it is so.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    spread: Floats
    """Squared deviations of the values from their mean over the b rows; where errors may be common, with what that adds to the spread
    of all rows of the job.
    """

    @classmethod
    def of(cls, values: Floats, std_errors: Floats, over: OverRows | None, rows: int) -> AnswerSums:
        """From rows (b, c, m, k) of a job of `rows`; without `over`, their errors are independent as they are."""
        shifted = values if over is None else values + over.shift
        variance = (std_errors**2 if over is None else over.variance).sum(axis=0)
        spread = ((shifted - shifted.mean(axis=0)) ** 2).sum(axis=0)
        if over is not None and over.common:
            # The mean of R errors that are one and the same has the variance of one: R times the sum over R squared, or (R - 1) times
            # as a spread over R (R - 1).
            spread, variance = spread + (rows - 1) * variance, rows * variance
        return cls(shifted.sum(axis=0), variance, spread)
