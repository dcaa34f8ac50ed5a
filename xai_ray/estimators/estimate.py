"""An answer: values with standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.stats import t as student

from xai_ray.estimators.bands import half_widths
from xai_ray.indices.question import Question
from xai_ray.types import Floats


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values of c sets (or c sets x m contexts) for k outputs."""

    question: Question
    """What was asked, with all defaults filled in."""
    coalitions: tuple[tuple[int, ...], ...]
    """The c sets, each an ascending tuple of players."""
    values: Floats
    """Shape (c, k), or (c, m, k) when the question has contexts. NaN where nothing could be estimated, never zero."""
    std_errors: Floats
    """Same shape; in units of v. Zero where the value is exact."""
    estimator: str
    """Name of the estimator that answered."""
    evaluations: int
    """Evaluations of v that the answer rests on."""
    degrees_of_freedom: float = inf
    """Of the standard errors; intervals use Student's t with these."""

    def intervals(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Lower and upper ends of the confidence intervals, each of the shape of `values`."""
        quantile = float(student.ppf(0.5 + level / 2, self.degrees_of_freedom))
        return self.values - quantile * self.std_errors, self.values + quantile * self.std_errors

    def bands(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Lower and upper ends of intervals that cover all sets and contexts of an output at once with probability `level` or more,
        each of the shape of `values`. See `xai_ray.estimators.bands`; raises SpecError for a level outside (0, 1).
        """
        width = half_widths(self.std_errors, self.degrees_of_freedom, level)
        return self.values - width, self.values + width

    @property
    def largest_std_error(self) -> float:
        """Largest standard error over sets, contexts and outputs; infinite if one is missing."""
        largest = float(np.max(self.std_errors)) if self.std_errors.size else 0.0
        return inf if np.isnan(largest) else largest
