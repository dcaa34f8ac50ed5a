"""How sure an AUROC is: the standard error of DeLong, DeLong and Clarke-Pearson and a 95 % interval.

DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic curves: a
nonparametric approach" (Biometrics 1988), by the ranks of Sun and Xu, "Fast implementation of DeLong's algorithm" (IEEE Signal Processing
Letters 2014); the interval on the logit scale as in Pepe, "The statistical evaluation of medical tests" (2003), section 5.2.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata
from scipy.stats import t as student

from xai_ray.types import Floats, Mask


def placements(values: Floats, bad: Mask) -> tuple[Floats, Floats]:
    """Of b bad points the share of the others with a higher value (b,), of the others the share of bad points with a lower one (n - b,),
    ties one half; the mean of either is the AUROC. O(n log n), from midranks.
    """
    b, others = int(bad.sum()), int((~bad).sum())
    ranks = rankdata(-values)
    of_bad = (ranks[bad] - rankdata(-values[bad])) / others
    of_others = 1.0 - (ranks[~bad] - rankdata(-values[~bad])) / b
    return of_bad, of_others


def auroc_std_error(values: Floats, bad: Mask) -> float:
    """Standard error of the AUROC of n values (n,) as a rank of the `bad` points (n,), which have low values; NaN where there is only
    one bad point or one other.
    """
    of_bad, of_others = placements(values, bad)
    if min(len(of_bad), len(of_others)) < 2:
        return float("nan")
    return float(np.sqrt(_variances(of_bad, of_others).sum()))


def auroc_interval(values: Floats, bad: Mask, level: float = 0.95) -> tuple[float, float]:
    """Interval of the AUROC, within 0..1: its standard error taken to the logit scale, with Student's t of Satterthwaite's degrees of
    freedom, since the placements of few bad points decide it. Near 1 it is somewhat short.

    It speaks of other bad points and other good ones, drawn as these were and valued as these are: not of the draws of the values.

    Where the standard error is 0, of at most k = min(b, n - b) pairs of a bad point and another no two share a point, and all of them came
    out alike: with (1 - level) / 2 = r^k an AUROC of 1 has the interval (r, 1), one of 0 has (0, 1 - r), and 1/2 of values that are all
    equal has (r / 2, 1 - r / 2), as Clopper and Pearson (1934) would have it. Of a single bad point or a single other point that is no
    such case nothing is known: (0, 1).
    """
    of_bad, of_others = placements(values, bad)
    area = float(of_bad.mean())
    tail = (1.0 - level) / 2.0
    alike = float(tail ** (1.0 / min(len(of_bad), len(of_others))))
    if np.ptp(values) == 0:
        return alike / 2.0, 1.0 - alike / 2.0
    if area in (0.0, 1.0):
        return (alike, 1.0) if area else (0.0, 1.0 - alike)
    if min(len(of_bad), len(of_others)) < 2:
        return 0.0, 1.0
    parts = _variances(of_bad, of_others)
    free = parts.sum() ** 2 / (parts**2 / (np.array([len(of_bad), len(of_others)]) - 1)).sum()
    reach = float(student.ppf(1.0 - tail, free)) * float(np.sqrt(parts.sum())) / (area * (1.0 - area))
    low, high = expit(logit(area) + np.array([-reach, reach]))
    return float(low), float(high)


def _variances(of_bad: Floats, of_others: Floats) -> Floats:
    """What the bad points and the others add to the variance of the AUROC, shape (2,)."""
    return np.array([part.var(ddof=1) / len(part) for part in (of_bad, of_others)])
