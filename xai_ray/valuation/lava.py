"""LAVA: how the distance between the training and the validation set moves with the weight of each training point; no training.

Just, Kang, Wang, Zeng, Ko, Jin and Jia, "LAVA: data valuation without pre-specified learning algorithms" (ICLR 2023): optimal
transport with the class-wise label distance of Alvarez-Melis and Fusi (NeurIPS 2020), and its calibrated gradients (equation 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from xai_ray.errors import InputError, SpecError
from xai_ray.types import Floats
from xai_ray.valuation.data import LabelledData, labelled
from xai_ray.valuation.draws import positive
from xai_ray.valuation.result import Valuation, without_sampling
from xai_ray.valuation.sinkhorn import Blocks, transport

_ENTRIES = 1 << 20
"""Costs handled at a time. Fixed, so that sums are cut at the same places on every machine."""
_HELD = 1 << 27
"""Costs kept in memory (1 GB); above it distances are computed again in every iteration."""


def lava_values(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    X_val: npt.ArrayLike,
    y_val: npt.ArrayLike,
    *,
    label_weight: float = 1.0,
    regularisation: float = 0.05,
    tolerance: float = 1e-3,
    steps: int = 2000,
) -> Valuation:
    """Minus the calibrated gradient of the transport cost by the weight of each point, shape (n,), in units of distance.

    The cost of moving (x, y) to (x', y') is |x - x'| + label_weight * W(y, y'), W the transport cost between the training points
    of class y and the validation points of class y'. With f the dual potential of the training points a value is
    -(f_i - mean of the other f_j): more weight on a point of high value brings the sets closer. `regularisation` is the entropic
    one, as a share of the mean cost; the smaller, the nearer to exact transport and the more iterations. O(n m d) and one pass
    over n m costs an iteration.

    `facts` holds the transport cost, W of shape (classes, classes; NaN where validation lacks the class) and iterations.

    Raises InputError for unusable arrays, SpecError for a setting out of range, XaiRayError when the transport does not converge.
    """
    for name, number in (("regularisation", regularisation), ("tolerance", tolerance)):
        if not (np.isfinite(number) and number > 0):
            raise SpecError(f"{name} is a positive number, got {number}")
    if not (np.isfinite(label_weight) and label_weight >= 0):
        raise SpecError(f"label_weight is a number of at least 0, got {label_weight}")
    positive("steps", steps)
    data = labelled(X, y, X_val, y_val)
    n, m = len(data.rows), len(data.test_rows)
    between = _label_distances(data, regularisation, tolerance, steps)
    known = np.where(np.isfinite(between), between, 0.0)

    def costs(part: slice) -> Floats:
        extra = known[data.labels[part, None], data.test_labels]
        return cdist(data.rows[part], data.test_rows) + label_weight * extra

    blocks = _blocks(costs, n, m)
    mean = _mean(blocks, n * m)
    if mean == 0:
        raise InputError("all training and validation points are equal; there is nothing to value")
    found = transport(blocks, (n, m), scale=mean, epsilon=regularisation * mean, tolerance=tolerance, steps=steps)
    others = (found.rows.sum() - found.rows) / (n - 1)
    facts = {
        "transport_cost": found.cost,
        "label_distances": between,
        "iterations": found.iterations,
        "misplaced": found.error,
    }
    return without_sampling(others - found.rows, "LAVA: fall of the transport distance with weight on the point", facts)


def _label_distances(data: LabelledData, regularisation: float, tolerance: float, steps: int) -> Floats:
    """Transport cost between each class of the training set and each class of the validation set, shape (C, C)."""
    classes = len(data.classes)
    out = np.full((classes, classes), np.nan)
    for own in range(classes):
        rows = data.rows[data.labels == own]
        for other in np.unique(data.test_labels):
            targets = data.test_rows[data.test_labels == other]
            blocks = _blocks(lambda part, a=rows, b=targets: cdist(a[part], b), len(rows), len(targets))
            mean = _mean(blocks, len(rows) * len(targets))
            if mean == 0:
                out[own, other] = 0.0
                continue
            shape = (len(rows), len(targets))
            epsilon = regularisation * mean
            found = transport(blocks, shape, scale=mean, epsilon=epsilon, tolerance=tolerance, steps=steps)
            out[own, other] = found.cost
    return out


def _blocks(costs: Callable[[slice], Floats], n: int, m: int) -> Blocks:
    """Blocks of rows, kept when they fit."""
    height = max(1, _ENTRIES // m)
    parts = [slice(start, min(start + height, n)) for start in range(0, n, height)]
    kept = [costs(part) for part in parts] if n * m <= _HELD else None

    def walk() -> Iterator[tuple[slice, Floats]]:
        for place, part in enumerate(parts):
            yield part, costs(part) if kept is None else kept[place]

    return walk


def _mean(blocks: Blocks, entries: int) -> float:
    with np.errstate(over="ignore"):
        total = sum(float(costs.sum()) for _, costs in blocks())
    if not np.isfinite(total):
        raise InputError("distances overflow; scale the features")
    return total / entries
