"""From local explanations to global ones: mean phi, mean |phi| and mean phi^2 over rows, as sums that merge.

Standard errors are over rows, whose spread holds the noise of their estimates as well: they say how far another sample of rows, explained
anew, would lie. They take rows, and the errors of their estimates, as independent; a dataset job relabels its players row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.overall.absolute import LEFT, debiased_absolute
from xai_ray.types import Floats

_STATISTICS = 5
"""phi, |phi|, phi^2, the plug-in |estimate|, and its standard error."""


@dataclass(frozen=True, slots=True)
class GlobalValues:
    """Means over rows; every array has the shape of one row's values: (n,), (n, k), (pairs, m, k), ..."""

    rows: int
    mean: Floats
    """Mean phi."""
    mean_std_errors: Floats
    absolute: Floats
    """Mean |phi|, de-biased, see `xai_ray.overall.absolute`; never below 0."""
    absolute_std_errors: Floats
    """Over rows; `absolute_bias` is besides."""
    absolute_bias: Floats
    """The most that estimation noise may still add to `absolute`: 0.28 mean standard errors, reached where every phi is 0."""
    plug_in: Floats
    """Mean |estimate|, as others report it: too large wherever estimates are noisy."""
    square: Floats
    """Mean phi^2: mean squared estimate less mean squared error, unbiased; may be a little below 0."""
    square_std_errors: Floats


@dataclass(frozen=True, slots=True)
class LocalSums:
    """Counts, means and sums of squared deviations of rows seen so far: merged as streams go by, in memory of one row."""

    rows: int
    mean: Floats
    """Shape (5, *row)."""
    spread: Floats
    """Shape (5, *row)."""

    @classmethod
    def of(cls, values: npt.ArrayLike, std_errors: npt.ArrayLike | None = None) -> LocalSums:
        """Of some rows: values (R, ...) with standard errors of the same shape; without, values are exact. Raises InputError."""
        x, s = checked_rows(values, std_errors)
        each = np.stack([x, debiased_absolute(x, s), x**2 - s**2, np.abs(x), s])
        mean = each.mean(axis=1)
        return cls(len(x), mean, ((each - mean[:, None]) ** 2).sum(axis=1))

    def with_mean(self, mean: Floats, spread: Floats) -> LocalSums:
        """With another mean phi and squared deviations from it, each of the shape of a row; the other statistics stay."""
        return LocalSums(
            self.rows, np.concatenate([mean[None], self.mean[1:]]), np.concatenate([spread[None], self.spread[1:]])
        )

    def with_common(self, variances: Floats) -> LocalSums:
        """With errors of phi that may be common to all rows and do not show in the spread; `variances` is their sum over the rows."""
        return LocalSums(
            self.rows, self.mean, np.concatenate([self.spread[:1] + (self.rows - 1) * variances, self.spread[1:]])
        )

    def merge(self, other: LocalSums) -> LocalSums:
        """Of the rows of both."""
        if self.mean.shape != other.mean.shape:
            raise InputError(f"rows of shape {other.mean.shape[1:]} do not go with rows of shape {self.mean.shape[1:]}")
        # Chan, Golub and LeVeque (1983): large means lose no digits of the spread.
        total = self.rows + other.rows
        gap, share = other.mean - self.mean, other.rows / total
        return LocalSums(total, self.mean + gap * share, self.spread + other.spread + gap**2 * self.rows * share)

    def finish(self) -> GlobalValues:
        """The means with their standard errors; these are NaN for a single row."""
        freedom = self.rows * (self.rows - 1)
        errors = np.sqrt(self.spread / freedom) if freedom else np.full_like(self.spread, np.nan)
        return GlobalValues(
            self.rows,
            self.mean[0],
            errors[0],
            np.maximum(self.mean[1], 0.0),
            errors[1],
            LEFT * self.mean[4],
            self.mean[3],
            self.mean[2],
            errors[2],
        )


def global_values(values: npt.ArrayLike, std_errors: npt.ArrayLike | None = None) -> GlobalValues:
    """Mean phi, mean |phi| and mean phi^2 of a table of local explanations (R, n) or (R, n, k), or of interactions (R, pairs, ...).

    `std_errors` has the same shape; left out, values are exact. Raises InputError for tables that do not fit or are not finite.
    """
    return LocalSums.of(values, std_errors).finish()


def checked_rows(values: npt.ArrayLike, std_errors: npt.ArrayLike | None) -> tuple[Floats, Floats]:
    """Values and errors (R, ...) as float64. Raises InputError that names the row."""
    x = np.asarray(values, dtype=np.float64)
    s = np.zeros_like(x) if std_errors is None else np.asarray(std_errors, dtype=np.float64)
    if x.ndim < 2 or len(x) == 0:
        raise InputError(f"local explanations have shape (rows, players) or (rows, players, outputs), got {x.shape}")
    if s.shape != x.shape:
        raise InputError(f"std_errors have shape {s.shape}, the values {x.shape}")
    for name, table in (("value", x), ("standard error", s)):
        bad = np.argwhere(~np.isfinite(table))
        if len(bad):
            raise InputError(
                f"the {name} of row {bad[0][0]} at {bad[0][1:].tolist()} is {table[tuple(bad[0])]}; finish that row, or leave it out"
            )
    if (s < 0).any():
        raise InputError(f"a standard error of row {np.argwhere(s < 0)[0][0]} is negative")
    return x, s
