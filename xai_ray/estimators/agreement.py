"""How stable a ranking is: Spearman's correlation of an estimate with the one from about half as many evaluations.

The half is part of the whole, so that estimates of nothing but noise agree as well: at about 0.7, since two means of which one holds
half of the other's draws have a correlation of sqrt(1/2). What counts is how far above that it is. It says how much the ranking still
moves, not how far it is from the truth; the rules `top`, `bottom` and `ranking` speak about that.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import rankdata

from xai_ray.estimators.estimate import Estimate
from xai_ray.types import Floats

NOISE = 0.7
"""The agreement of estimates that hold nothing but noise, to a digit."""
_LEAST, _MOST = 1 / 3, 2 / 3
_SETS = 3


def about_half(evaluations: int, of: int) -> bool:
    """From a third to two thirds."""
    return _LEAST <= evaluations / max(1, of) <= _MOST


def rank_agreement(estimate: Estimate, earlier: Iterable[Estimate]) -> float | None:
    """The smallest correlation over contexts and outputs, from -1 to 1. `earlier` are estimates of the same question.

    None where none of them is from a third to two thirds of the evaluations, there are fewer than three sets, the two have values of
    different sets, values are missing, or all values of one of the two are equal.
    """
    halves = [e for e in earlier if about_half(e.evaluations, estimate.evaluations)]
    if not halves or len(estimate.coalitions) < _SETS:
        return None
    half = min(halves, key=lambda e: abs(e.evaluations / estimate.evaluations - 0.5))
    if half.values.shape != estimate.values.shape or half.coalitions != estimate.coalitions:
        return None
    c = len(estimate.coalitions)
    found = rank_correlation(half.values.reshape(c, -1), estimate.values.reshape(c, -1)).min()
    return float(found) if np.isfinite(found) else None


def agreement_words(agreement: float | None) -> str:
    """For a line of progress; nothing where there is none."""
    return "" if agreement is None else f"ranks agree {agreement:.2f} with half of it (noise {NOISE:g})"


def rank_correlation(one: Floats, two: Floats) -> Floats:
    """Spearman's, of columns (c, r), shape (r,), ties by their mean rank; NaN where a value is missing or all are equal."""
    a, b = (np.where(np.isfinite(x).all(axis=0), rankdata(x, axis=0), np.nan) for x in (one, two))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return np.where(scale > 0, (a * b).sum(axis=0) / np.where(scale > 0, scale, 1.0), np.nan)
