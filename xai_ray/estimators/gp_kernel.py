"""The covariance of the Gaussian process on the cube, by parity, and its length scales by marginal likelihood.

    k(S, T) = prod_l rho_l^[l in one of S, T alone] + linear part,      rho_l = exp(-theta_l)

Complements are drawn in pairs, and the product does not change when both coalitions are complemented. So the even part v(S) + v(N - S) and
the odd part v(S) - v(N - S) of a game are independent under this prior: two systems of half the size, each with length scales of its own.
In units of the process variance, which is profiled out; several outputs share the length scales and one factorisation.
Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), eqs. 5.8-5.9; the parity is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from xai_ray.types import Floats

FIT_ROWS = 500
"""Pairs of coalitions that the marginal likelihood sees, evenly spaced over those drawn."""

_STEPS = 60
_START = (3.0, 1.0, 1e-2)
"""Sum of the length scales, share of the linear part, nugget, at the start."""
_BOUNDS = ((1e-4, 20.0), (1e-6, 1e4), (1e-8, 1e2))
_PRECISION = (1.0, 0.3, 0.1)
"""Of the log-normal priors: players towards their mean, linear part towards 1, nugget towards 1e-3. They matter below 10n rows only."""
_NUGGET_PRIOR = 1e-3


@dataclass(frozen=True, slots=True)
class Hyper:
    """Parameters of one parity, in units of its process variance."""

    theta: Tensor
    """Shape (n,): inverse length scales, rho = exp(-theta)."""
    linear: float
    nugget: float


def kernel(hyper: Hyper, sign: int, a: Tensor, b: Tensor) -> Tensor:
    """Covariance of the pairs (v(S) + sign v(N - S)) / sqrt 2: shape (p, q), for members a (p, n) and b (q, n) as floats."""
    near, far = products(hyper.theta, a, b)
    return near + sign * far + hyper.linear * linear(sign, a, b)


def products(theta: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The product kernel of S and T, and of S and the complement of T, each of shape (p, q)."""
    weighted = a * theta
    distance = weighted.sum(1)[:, None] + (b @ theta)[None, :] - 2.0 * weighted @ b.T
    return torch.exp(-distance), torch.exp(distance - theta.sum())


def linear(sign: int, a: Tensor, b: Tensor) -> Tensor:
    """The linear part: players' signs for the odd parity, a constant for the even."""
    if sign < 0:
        return (2.0 / a.shape[1]) * ((2.0 * a - 1.0) @ (2.0 * b - 1.0).T)
    return torch.full((len(a), len(b)), 2.0, dtype=a.dtype, device=a.device)


def fit(members: Tensor, data: Tensor, sign: int) -> Hyper:
    """Length scales, linear part and nugget of one parity. members: (p, n); data: (p, k), at least one column that is not zero."""
    n = members.shape[1]
    rows = torch.arange(len(members))
    if len(rows) > FIT_ROWS:
        rows = torch.from_numpy(np.linspace(0, len(members) - 1, FIT_ROWS).astype(np.int64))
    seen = data[rows.to(data.device)]
    scale = seen.square().mean(0).sqrt()
    objective = _Likelihood(members[rows.to(members.device)], seen[:, scale > 0] / scale[scale > 0], sign)
    start = np.log(np.r_[np.full(n, _START[0] / n), _START[1:]])
    bounds = [_BOUNDS[0]] * n + list(_BOUNDS[1:])
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=np.log(bounds), options={"maxiter": _STEPS})
    best = np.exp(np.asarray(found.x, dtype=np.float64))
    return Hyper(torch.from_numpy(best[:n]).to(members), float(best[n]), float(best[n + 1]))


class _Likelihood:
    """Negative log marginal likelihood with its gradient, in the logarithms of (theta, linear, nugget)."""

    def __init__(self, members: Tensor, data: Tensor, sign: int) -> None:
        self._members, self._data, self._sign = members, data, sign
        self._linear = linear(sign, members, members)

    def __call__(self, at: Floats) -> tuple[float, Floats]:
        n = self._members.shape[1]
        theta = torch.from_numpy(np.exp(at[:n])).to(self._members)
        share, nugget = float(np.exp(at[n])), float(np.exp(at[n + 1]))
        near, far = products(theta, self._members, self._members)
        far = self._sign * far
        covariance = near + far + share * self._linear
        covariance.diagonal().add_(nugget)
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if int(failed):
            return 1e12, np.zeros_like(at)
        inverse = torch.cholesky_inverse(factor)
        rows, outputs = self._data.shape
        alpha = inverse @ self._data
        variance = (self._data * alpha).sum(0) / rows
        value = 0.5 * rows * torch.log(variance).sum() + outputs * torch.log(factor.diagonal()).sum()
        slope = outputs * inverse - (alpha / variance) @ alpha.T
        gradient = np.empty_like(at)
        gradient[:n] = (-0.5 * theta * self._mismatches(slope * near, slope * far)).cpu().numpy()
        gradient[n] = 0.5 * share * float((slope * self._linear).sum())
        gradient[n + 1] = 0.5 * nugget * float(slope.diagonal().sum())
        prior, pull = _prior(at, n)
        return float(value) + prior, gradient + pull

    def _mismatches(self, near: Tensor, far: Tensor) -> Tensor:
        """Sum over pairs of rows of `near` where they differ in a player and of `far` where they agree, shape (n,)."""
        rest = near - far
        quadratic = (self._members * (rest @ self._members)).sum(0)
        return far.sum() + 2.0 * (self._members.T @ rest.sum(1) - quadratic)


def _prior(at: Floats, n: int) -> tuple[float, Floats]:
    pull = np.zeros_like(at)
    pull[:n] = _PRECISION[0] * (at[:n] - at[:n].mean())
    pull[n] = _PRECISION[1] * at[n]
    pull[n + 1] = _PRECISION[2] * (at[n + 1] - np.log(_NUGGET_PRIOR))
    away = at.copy()
    away[:n] -= at[:n].mean()
    away[n + 1] -= np.log(_NUGGET_PRIOR)
    return 0.5 * float(pull @ away), pull
