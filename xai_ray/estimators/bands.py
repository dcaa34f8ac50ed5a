"""Simultaneous bands: intervals that hold for all sets and contexts of a question at once, per output.

Bonferroni: with c uncertain entries each interval is taken at level 1 - (1 - level) / c, which needs no covariances and holds under
any dependence between the entries; the price is some width where they move together (Dunn, Multiple comparisons among means, JASA
1961). Entries that are exact (standard error 0) or missing (NaN) are no comparisons.
"""

from __future__ import annotations

from math import isinf

import numpy as np
from scipy.stats import t as student

from xai_ray.errors import SpecError
from xai_ray.types import Floats

TAIL_FREEDOM = 15.0
"""Degrees of freedom of an estimator that states none (infinite). That is fair for one interval; the tails that many comparisons read
are heavier than the normal law's (`tests/laws/test_stopping.py` holds bands of pairs by `cells` to their level)."""


def quantiles(std_errors: Floats, freedom: float, level: float = 0.95, sides: int = 2) -> Floats:
    """Standard errors on each side of a value, one number an output, shape (k,); 0 for an output without an uncertain entry.

    `std_errors` has shape (c, k) or (c, m, k), `freedom` is the degrees of freedom of Student's t (infinite:
    `TAIL_FREEDOM` once there is more than one comparison). With `sides` 1 only the lower or
    only the upper end of each interval is claimed. Raises SpecError for a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise SpecError(f"level = {level}: a probability between 0 and 1, for example 0.95")
    compared = (std_errors > 0).reshape(-1, std_errors.shape[-1]).sum(axis=0)
    tails = (1.0 - level) / (sides * np.maximum(compared, 1))
    known = np.where((compared > 1) & isinf(freedom), TAIL_FREEDOM, freedom)
    return np.where(compared > 0, np.asarray(student.isf(tails, known), dtype=np.float64), 0.0)


def half_widths(std_errors: Floats, freedom: float, level: float = 0.95, sides: int = 2) -> Floats:
    """Half widths of the bands, shaped as `std_errors`, in units of v; 0 where exact, NaN where missing."""
    return quantiles(std_errors, freedom, level, sides) * std_errors
