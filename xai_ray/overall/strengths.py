"""Strength of interactions per order over a dataset: J^(m) from tables of each row's pairwise interactions, as sums that merge.

Deng, Ren, Zhang, Zhang, "Discovering and explaining the representation bottleneck of DNNs" (ICLR 2022), equation 3: the mean over rows and
pairs of |I^(m)(i, j)|, divided by its mean over the measured orders. Absolute values and squares are de-biased for estimation noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.overall.absolute import debiased_absolute
from xai_ray.overall.local import checked_rows
from xai_ray.types import Floats


@dataclass(frozen=True, slots=True)
class DatasetStrength:
    """Arrays of shape (m, k): contexts and outputs. Standard errors are over rows; NaN for a single one."""

    contexts: tuple[int, ...]
    rows: int
    absolute: Floats
    """Mean over rows and pairs of |I|, de-biased."""
    absolute_std_errors: Floats
    square: Floats
    """Mean over rows and pairs of I^2, unbiased."""
    square_std_errors: Floats
    normalised: Floats
    """J^(m): `absolute` divided by its mean over the contexts."""
    normalised_std_errors: Floats
    """By the delta method from the covariance over rows."""


@dataclass(frozen=True, slots=True)
class StrengthSums:
    """Means over pairs of |I| and I^2, row by row: their mean and cross products over rows."""

    contexts: tuple[int, ...]
    rows: int
    mean: Floats
    """Shape (k, 2m)."""
    products: Floats
    """Shape (k, 2m, 2m): sums of products of deviations."""

    @classmethod
    def of(cls, interactions: npt.ArrayLike, std_errors: npt.ArrayLike | None, contexts: Sequence[int]) -> StrengthSums:
        """Of some rows: interactions (R, pairs, m) or (R, pairs, m, k), one column for each of m context sizes. Raises InputError."""
        x, s = checked_rows(interactions, std_errors)
        x, s = (part[..., None] if part.ndim == 3 else part for part in (x, s))
        if x.ndim != 4 or x.shape[2] != len(contexts) or x.shape[1] == 0:
            raise InputError(
                f"interactions have shape (rows, pairs, contexts) or (rows, pairs, contexts, outputs) with {len(contexts)} contexts, "
                f"got {np.shape(interactions)}"
            )
        each = np.concatenate([debiased_absolute(x, s).mean(axis=1), (x**2 - s**2).mean(axis=1)], axis=1).transpose(
            2, 0, 1
        )
        mean = each.mean(axis=1)
        gaps = each - mean[:, None]
        return cls(tuple(int(m) for m in contexts), x.shape[0], mean, np.einsum("kri,krj->kij", gaps, gaps))

    def merge(self, other: StrengthSums) -> StrengthSums:
        """Of the rows of both."""
        if self.contexts != other.contexts or self.mean.shape != other.mean.shape:
            raise InputError(f"rows with contexts {other.contexts} do not go with rows with contexts {self.contexts}")
        total = self.rows + other.rows
        gap, share = other.mean - self.mean, other.rows / total
        cross = np.einsum("ki,kj->kij", gap, gap) * self.rows * share
        return StrengthSums(self.contexts, total, self.mean + gap * share, self.products + other.products + cross)

    def finish(self) -> DatasetStrength:
        """Strengths with standard errors."""
        m, freedom = len(self.contexts), self.rows * (self.rows - 1)
        covariance = self.products / freedom if freedom else np.full_like(self.products, np.nan)
        errors = np.sqrt(np.einsum("kii->ki", covariance))
        absolute = self.mean[:, :m]
        centre = absolute.mean(axis=1, keepdims=True)
        shape = np.divide(absolute, centre, out=np.full_like(absolute, np.nan), where=centre > 0)
        slopes = (np.eye(m) - shape[:, :, None] / m) / np.where(centre > 0, centre, np.nan)[:, :, None]
        moved = np.einsum("kia,kab,kib->ki", slopes, covariance[:, :m, :m], slopes)
        # A form that is 0 may come out a little below.
        moved = np.sqrt(np.where(moved < 0, 0.0, moved))
        return DatasetStrength(
            self.contexts, self.rows, absolute.T, errors[:, :m].T, self.mean[:, m:].T, errors[:, m:].T, shape.T, moved.T
        )


def dataset_strength(
    interactions: npt.ArrayLike, std_errors: npt.ArrayLike | None, contexts: Sequence[int]
) -> DatasetStrength:
    """J^(m) over a dataset from interactions (R, pairs, m) or (R, pairs, m, k) with standard errors of the same shape (None: exact)."""
    return StrengthSums.of(interactions, std_errors, contexts).finish()
