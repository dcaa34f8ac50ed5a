"""How well values find points that are known to be bad (wrong labels, say): such points should have the lowest values.

The F1 is that of the noisy-label task of Jiang, Liang, Zou and Kwon, "OpenDataVal: a unified benchmark for data valuation" (NeurIPS 2023):
points in the lower of two clusters of values are called bad.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Floats, Ints, Mask
from xai_ray.valuation.delong import auroc_interval, auroc_std_error
from xai_ray.valuation.exhibits import flags_of


@dataclass(frozen=True, slots=True)
class Detection:
    """How n values rank b bad points."""

    false_positive_rate: Floats
    """Share of the good points below each threshold, ascending from 0 to 1, shape (t,)."""
    true_positive_rate: Floats
    """Share of the bad points below the same thresholds, shape (t,)."""
    auroc: float
    """Area under that curve: the chance that a bad point has a lower value than a good one, ties one half."""
    auroc_std_error: float
    """Of DeLong et al., see `delong`; NaN with a single bad point or a single other one."""
    auroc_interval: tuple[float, float]
    """95 % interval of the AUROC on the logit scale, see `delong.auroc_interval`: what other points would give that are drawn alike."""
    f1: float
    """F1 of the lower of two clusters (exact 2-means of the values) as the bad points; 0 where all values are equal."""
    found: Ints
    """Bad points among the first 0, 1, ..., n points of rising value, equal values by their number, shape (n + 1,)."""

    @property
    def bad(self) -> int:
        """b."""
        return int(self.found[-1])

    def precision_at(self, share: float) -> float:
        """Share of bad points among the `share` of all points with the lowest values (nearest number of points, at least one)."""
        count = self._inspected(share)
        return float(self.found[count]) / count

    def recall_at(self, share: float) -> float:
        """Share of the bad points that are among the `share` of all points with the lowest values."""
        return float(self.found[self._inspected(share)]) / self.bad

    def _inspected(self, share: float) -> int:
        if not 0.0 < share <= 1.0:
            raise SpecError(f"the share of points that are inspected is above 0 and at most 1; got {share}")
        return max(1, int(np.floor(share * (len(self.found) - 1) + 0.5 + 1e-9)))


def detection(values: npt.ArrayLike, bad: npt.ArrayLike) -> Detection:
    """How values (n,) find the points that `bad` (n,), True or False, says are bad.

    Raises InputError for arrays of different length, values that are missing, and flags that are no truth values or mark no
    point or every point: then no curve is defined.
    """
    from sklearn.metrics import f1_score, roc_auc_score, roc_curve

    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1:
        raise InputError(f"values have shape {given.shape}; one valuation of n points has (n,)")
    flags = flags_of(bad, len(given), "bad")
    if flags.all() or not flags.any():
        which = "every point" if flags.all() else "no point"
        raise InputError(f"bad marks {which}: a curve needs points of both kinds; leave bad out")
    gone = np.flatnonzero(~np.isfinite(given))
    if len(gone):
        raise InputError(f"point {int(gone[0])} has no value ({len(gone)} have none); extend the budget")
    false, true, _ = roc_curve(flags, -given, drop_intermediate=False)
    order = np.argsort(given, kind="stable")
    return Detection(
        np.asarray(false, dtype=np.float64),
        np.asarray(true, dtype=np.float64),
        float(roc_auc_score(flags, -given)),
        auroc_std_error(given, flags),
        auroc_interval(given, flags),
        float(f1_score(flags, lower_cluster(given), zero_division=0.0)),  # pyright: ignore[reportArgumentType]
        np.concatenate([[0], np.cumsum(flags[order])]).astype(np.int64),
    )


def lower_cluster(values: Floats) -> Mask:
    """Which of n values are in the lower of the two clusters with the least squared distances to their means: exact, shape (n,).

    Nothing is in it where all values are equal.
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order] - values.mean()
    splits = np.flatnonzero(np.diff(ranked) > 0) + 1
    out = np.zeros(len(values), dtype=np.bool_)
    if not len(splits):
        return out
    below = np.cumsum(ranked)[splits - 1]
    above = ranked.sum() - below
    between = below**2 / splits + above**2 / (len(values) - splits)
    out[order[: splits[int(np.argmax(between))]]] = True
    return out
