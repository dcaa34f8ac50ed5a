"""Ridge regression of the odd part of a game on Fourier characters, single players free, the others drawn to zero.

The penalty of a term is inverse to the squared coefficient that the trees saw, plus a floor: terms that were seen large are let in first.
The overall penalty and the floor are chosen by leave-one-out error, which has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from xai_ray.estimators.cholesky import Factor
from xai_ray.types import Floats

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
FLOORS = (0.03, 0.3)


@dataclass(frozen=True, slots=True)
class OddFit:
    """A fit of p pairs with n players and further terms, for one output."""

    coefficients: Floats
    """Shape (n + terms,): players first; they sum to the constraint."""
    residual: Floats
    """Shape (p,)."""
    hat: Floats
    """Shape (p,): leverage of each pair."""
    reach: Floats
    """Shape (p, n + terms): derivative of the coefficients by each target."""
    loss: float
    """Weighted mean of squared leave-one-out errors."""
    drawn: tuple[float, float] = (0.0, 1.0)
    """The penalty and the floor that were chosen."""


def tuned(X: Floats, target: Floats, weight: Floats, total: float, n: int, seen: Floats) -> OddFit:
    """The fit with the smallest leave-one-out error.

    X: characters (p, n + terms), players first; target, weight: shape (p,); `total`: sum of all coefficients; seen: coefficients of the
    terms in the trees, shape (terms,). Raises numpy.linalg.LinAlgError when the pairs do not determine the players.
    """
    best: OddFit | None = None
    for drawn in product(PENALTIES, FLOORS) if len(seen) else [(0.0, 1.0)]:
        fit = ridge(X, target, weight, total, penalties(n, seen, drawn))
        if best is None or fit.loss < best.loss:
            best = replace(fit, drawn=drawn)
    assert best is not None
    return best


def penalties(n: int, seen: Floats, drawn: tuple[float, float]) -> Floats:
    """Shape (n + terms,): none for players, `drawn[0]` over the squared coefficient (with its floor) for terms."""
    squares = seen**2
    mean = squares.mean() if len(seen) else 0.0
    return np.concatenate([np.zeros(n), drawn[0] * mean / (squares + drawn[1] * mean)])


def ridge(X: Floats, target: Floats, weight: Floats, total: float, penalty: Floats) -> OddFit:
    """Weighted ridge regression whose coefficients sum to `total`; the first of them, unpenalised, is eliminated."""
    weight = weight / weight.sum()
    columns, y = X[:, 1:] - X[:, :1], target - total * X[:, 0]
    weighted = columns * weight[:, None]
    factor = Factor.of(weighted.T @ columns + np.diag(penalty[1:]))
    rest = factor.solve(weighted.T @ y)
    reach = factor.solve(weighted.T).T
    hat = np.minimum(np.einsum("pt,pt->p", columns, reach), 1.0 - 1e-9)
    residual = y - columns @ rest
    loss = float((weight * (residual / np.maximum(1.0 - hat, 1e-3)) ** 2).sum())
    return OddFit(
        np.concatenate([[total - rest.sum()], rest]),
        residual,
        hat,
        np.column_stack([-reach.sum(axis=1), reach]),
        loss,
    )
