"""Entropic optimal transport between two uniform point clouds, in log space, one pass over the costs an iteration.

Cuturi, "Sinkhorn distances" (NeurIPS 2013), with the logarithms and the falling regularisation of Peyre and Cuturi, Computational
Optimal Transport (2019), section 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from xai_ray.errors import XaiRayError
from xai_ray.types import Floats

Blocks = Callable[[], Iterator[tuple[slice, Floats]]]
"""Costs as blocks of rows (r, m), in order; asked for again in every iteration."""

_WARM = 20
"""Iterations at each regularisation on the way down: they only need to be roughly right."""


@dataclass(frozen=True, slots=True)
class Transport:
    """The plan exp((f_i + g_j - C_ij) / epsilon) / (n m)."""

    rows: Floats
    """f, shape (n,)."""
    columns: Floats
    """g, shape (m,)."""
    cost: float
    """Mean cost under the plan."""
    iterations: int
    error: float
    """Sum of the deviations of the row marginals from 1 / n."""


def transport(
    blocks: Blocks, shape: tuple[int, int], *, scale: float, epsilon: float, tolerance: float, steps: int
) -> Transport:
    """Solve for costs of this shape, with regularisation halved from `scale` down to `epsilon`, until the marginals of the rows
    are within `tolerance` in total. Raises XaiRayError when they are not after `steps` iterations at `epsilon`.
    """
    rows, columns = np.zeros(shape[0]), np.zeros(shape[1])
    total, warm = 0, scale
    while warm > epsilon:
        for _ in range(_WARM):
            columns = _sweep(blocks, rows, columns, warm)
        total, warm = total + _WARM, 0.5 * warm
    error = np.inf
    for step in range(steps):
        before = rows.copy()
        moved = _sweep(blocks, rows, columns, epsilon)
        # The plan of the last columns and of the rows before them has this row marginal: no pass is needed to see it.
        error = float(np.abs(np.expm1(np.minimum((before - rows) / epsilon, 700.0))).mean())
        if error <= tolerance:
            return Transport(rows, columns, _mean_cost(blocks, rows, columns, epsilon), total + step, error)
        columns = moved
    raise XaiRayError(
        f"optimal transport left {error:.1e} of the mass misplaced after {steps} iterations (tolerance {tolerance:g}); use a larger "
        "regularisation, more steps or a larger tolerance"
    )


def _sweep(blocks: Blocks, rows: Floats, columns: Floats, epsilon: float) -> Floats:
    """Rows, in place, that fit the columns; then the columns that fit those rows."""
    top, total = np.full(len(columns), -np.inf), np.zeros(len(columns))
    for part, costs in blocks():
        near = (columns - costs) / epsilon
        rows[part] = -epsilon * _log_mean(near, axis=1)
        far = (rows[part, None] - costs) / epsilon
        peak = np.maximum(top, far.max(axis=0))
        total = total * np.exp(top - peak) + np.exp(far - peak).sum(axis=0)
        top = peak
    return -epsilon * (top + np.log(total / len(rows)))


def _log_mean(entries: Floats, axis: int) -> Floats:
    peak = entries.max(axis=axis)
    return peak + np.log(np.exp(entries - np.expand_dims(peak, axis)).mean(axis=axis))


def _mean_cost(blocks: Blocks, rows: Floats, columns: Floats, epsilon: float) -> float:
    total = 0.0
    for part, costs in blocks():
        plan = np.exp((rows[part, None] + columns - costs) / epsilon)
        total += float((plan * costs).sum())
    return total / (len(rows) * len(columns))
