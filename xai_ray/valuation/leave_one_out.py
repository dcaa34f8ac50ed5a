"""What the score loses when a training point is left out: v(N) - v(N \\ i), by retraining, or in closed form for ridge regression."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError, SpecError, UnknownName
from xai_ray.games.protocol import Game
from xai_ray.types import Floats, Values
from xai_ray.valuation.data import NumericData, numeric
from xai_ray.valuation.result import Valuation, without_sampling
from xai_ray.valuation.ridge import check_alpha
from xai_ray.valuation.scores import SCORES
from xai_ray.valuation.whole_blocks import values_in_blocks

_ENTRIES = 1 << 22
"""Predictions, or memberships, held at a time."""


def leave_one_out_values(game: Game) -> Valuation:
    """v(N) - v(N \\ i) of each player of a deterministic game, values (n, k): n + 1 evaluations in calls of whole blocks.

    Raises SpecError for a game whose values are drawn at random, and what the game raises.
    """
    if game.stochastic:
        raise SpecError("leave-one-out needs a game whose values do not depend on a draw")
    n = game.n_players
    values = scores_without(game, 0, n + 1)
    facts = {"evaluations": n + 1, "grand": values[n].tolist()}
    return without_sampling(values[n] - values[:n], "leave-one-out: score with the point less score without", facts)


def scores_without(game: Game, start: int, stop: int, between: Callable[[], None] = lambda: None) -> Values:
    """v(N \\ i) for the players i of [start, stop), and v(N) for i = n, shape (stop - start, k); `start` is the first of a block."""
    n = game.n_players
    rows = max(game.block, _ENTRIES // n // game.block * game.block)
    found: list[Values] = []
    for first in range(start, stop, rows):
        between()
        left_out = np.arange(first, min(first + rows, stop))
        found.append(values_in_blocks(game, left_out[:, None] != np.arange(n)))
    return np.concatenate(found)


def ridge_leave_one_out(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    X_test: npt.ArrayLike,
    y_test: npt.ArrayLike,
    *,
    alpha: float,
    intercept: bool = True,
    scores: Sequence[str] = ("neg_mean_squared_error",),
) -> Valuation:
    """Leave-one-out values of n training points for scikit-learn's Ridge, shape (n, k), from one fit; O(n d^2 + d^3 + n m d).

    Without point i the parameters are theta - A^-1 x_i (y_i - f_i) / (1 - h_i), A = X'X + alpha I and h_i = x_i' A^-1 x_i:
    Cook and Weisberg, Residuals and Influence in Regression (1982). The residual that point i has under the fit without it is
    `facts["residuals"]`, (y_i - f_i) / (1 - h_i), shape (n,).

    Raises InputError for unusable arrays or fewer than two points, SpecError for alpha or a score that is not of regression.
    """
    for name in scores:
        if name not in SCORES:
            raise UnknownName("score", name, SCORES)
        if SCORES[name].classifies:
            raise SpecError(f"{name} scores a classifier; ridge regression takes r2 or neg_mean_squared_error")
    data = numeric(X, y, X_test, y_test)
    if len(data.rows) < 2:
        raise InputError("leaving out the only training point leaves no fit; give at least two")
    if "r2" in scores and np.ptp(data.test_targets) == 0:
        raise InputError("r2 needs test targets that differ; use neg_mean_squared_error")
    check_alpha(alpha)
    residuals, predictions, changes = _fit(data, alpha, intercept)
    n = len(residuals)
    step = max(1, _ENTRIES // len(predictions))
    without = np.empty((n, len(scores)))
    for start in range(0, n, step):
        part = slice(start, start + step)
        decisions = predictions - residuals[part, None] * changes(part)
        for column, name in enumerate(scores):
            without[part, column] = SCORES[name].score(decisions[..., None], data.test_targets)
    grand = np.array([SCORES[name].score(predictions[None, :, None], data.test_targets)[0] for name in scores])
    facts = {"grand": grand.tolist(), "residuals": residuals, "scores": tuple(scores)}
    return without_sampling(grand - without, "leave-one-out: score with the point less score without", facts)


def _fit(data: NumericData, alpha: float, intercept: bool) -> tuple[Floats, Floats, Callable[[slice], Floats]]:
    """Left-out residuals (n,), predictions of the whole fit (m,), and the change of predictions per unit of residual."""
    rows, test_rows, targets = data.rows, data.test_rows, data.targets
    constant = 1.0 / len(rows) if intercept else 0.0
    centre, level = (rows.mean(axis=0), targets.mean()) if intercept else (np.zeros(rows.shape[1]), 0.0)
    rows, test_rows, targets = rows - centre, test_rows - centre, targets - level
    spread = _inverse_times_rows(rows, alpha)
    theta = spread @ targets
    leverage = constant + np.einsum("nd,dn->n", rows, spread)
    residuals = (targets - rows @ theta) / (1.0 - leverage)
    return residuals, test_rows @ theta + level, lambda part: constant + (test_rows @ spread[:, part]).T


def _inverse_times_rows(rows: Floats, alpha: float) -> Floats:
    """(X'X + alpha I)^-1 X' of shape (d, n), by the smaller of the two systems."""
    with np.errstate(over="ignore"):
        if not np.isfinite(np.square(rows).sum()):
            raise InputError("products of the features overflow; scale the features")
    n, d = rows.shape
    if d <= n:
        found = np.linalg.solve(rows.T @ rows + alpha * np.eye(d), rows.T)
    else:
        found = np.linalg.solve(rows @ rows.T + alpha * np.eye(n), rows).T
    return found.astype(np.float64, copy=False)
