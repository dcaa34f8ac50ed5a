"""What a mean over rows takes of the regression of `leverage` on their common design: see `unshrunk`.

The regression is kriging, too: of a game that is additive, and rough beyond that, with variances that are the inverse weights of the
regression. It is exact at the empty and at the grand coalition.
"""

from __future__ import annotations

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.estimators.cholesky import Factor
from xai_ray.estimators.leverage import normal_equations
from xai_ray.estimators.observed import Rows
from xai_ray.estimators.realised import kernel_weights
from xai_ray.estimators.unshrunk import Unshrinking
from xai_ray.indices import Question, readouts, resolve
from xai_ray.indices.weights import log_binomial
from xai_ray.types import Coalitions, Floats, Ints

_TAKEN_BACK = 0.5
"""As the standard errors of rows do, between HC2 and HC3: the game beyond its additive part is not rough as the weights have it."""
LARGEST_ROWS = 5_000
"""Coalitions up to which this is computed: a matrix of as many rows and columns."""


def leverage_over_rows(rows: Rows, design: Strata) -> tuple[Floats, Floats] | None:
    """See `RowEstimator`."""
    r, n = rows.coalitions.shape
    if r > LARGEST_ROWS or n < 2:
        return None
    players: Ints = np.arange(n, dtype=np.int64)[:, None]
    readout = readouts(resolve(Question("SV"), n), n)[0]
    own, precision, variances = _regression(rows, design)
    posterior = _posterior(rows.coalitions, own, variances, design.stochastic)
    ready = Unshrinking(rows.coalitions, precision, precision @ rows.values, design.stochastic, taken_back=_TAKEN_BACK)
    return ready.read(readout, players, own[:, None, :], np.maximum(posterior, 0.0)[:, None])


def _posterior(coalitions: Coalitions, own: Floats, variances: Floats, stochastic: bool) -> Floats:
    """Variance (n,) of the read-out W (n, r) under the kernel, where coalitions of each size have `variances` (n + 1,): what it does to the
    rows beyond the index's own weights, and those of the coalitions that were not drawn.
    """
    n = coalitions.shape[1]
    if stochastic:
        return (own**2) @ variances[coalitions.sum(axis=1)]
    spread = variances[coalitions.sum(axis=1)]
    each = np.exp(-log_binomial(n - 1, np.arange(n, dtype=np.float64))) / n
    inside, outside = np.r_[0.0, each], np.r_[each, 0.0]
    sizes: Ints = coalitions.sum(axis=1, dtype=np.int64)
    index = np.asarray(np.where(coalitions.T, inside[sizes], -outside[sizes]), dtype=np.float64)
    # Sums of squared weights by size: C(n - 1, t) coalitions without the player, as many with it.
    whole = float((inside + outside) @ variances) / n
    return np.asarray(((own - index) ** 2) @ spread + whole - (index**2) @ spread)


def _regression(rows: Rows, design: Strata) -> tuple[Floats, Floats, Floats]:
    """W (n, r), Q (r, r), and the variance of a coalition of each size (n + 1,), 0 at the ends."""
    r, n = rows.coalitions.shape
    sizes = rows.stratum[1:]
    weight, _ = kernel_weights(design, sizes)
    A, factor = normal_equations(rows.coalitions[2::2], sizes, weight)
    reach = factor.solve((A * weight[:, None]).T)
    own = np.zeros((n, r))
    own[:, 2::2], own[:, 3::2] = reach / 2, -reach / 2
    lean = reach @ (sizes / n - 0.5)
    own[:, 0], own[:, 1] = lean - 1.0 / n, 1.0 / n - lean
    # A pair's difference over two has the inverse weight as variance, so each of the two has twice that.
    inner = np.repeat(weight / 2, 2)
    members = rows.coalitions[2:] - rows.coalitions[2:].mean(axis=1, keepdims=True)
    scaled = members * inner[:, None]
    precision = np.zeros((r, r))
    # The columns of members sum to zero, so the all-ones direction may be added.
    normal = members.T @ scaled
    fitted = scaled @ Factor.of(normal + np.trace(normal) / n**2).solve(scaled.T)
    precision[2:, 2:] = np.diag(inner) - (fitted + fitted.T) / 2
    # With the ends known, v less its straight line from one to the other is what is regressed.
    share = rows.coalitions.mean(axis=1)
    line = np.stack([1.0 - share, share], axis=1)
    through = precision @ line
    precision[:, :2] -= through
    precision[:2] -= through.T
    precision[:2, :2] += line.T @ through
    variances = np.zeros(n + 1)
    variances[rows.coalitions[2:].sum(axis=1)] = 1.0 / inner
    return own, precision, variances
