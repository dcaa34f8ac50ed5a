"""The covariance of the Gaussian process on the cube, and its parameters by marginal likelihood.

    k(S, T) = w(S) w(T) prod_l rho_l^[l in one of S, T alone] + linear (1 + sum_l s_l t_l / n),      rho_l = exp(-theta_l),

s and t the signs of membership. One length scale a player; the tilt w(S) = exp(tilt (|S|/n - 1/2)) lets a game be rougher among large
coalitions than among small ones, or the other way round, and is still a product over players. In units of the process variance, which is
profiled out; several outputs share the parameters and one factorisation.
Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), eqs. 5.8-5.9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from xai_ray.estimators.gp_torch import factored, numbers, tensor
from xai_ray.types import Floats

FIT_STAGES = ((400, 60), (1200, 12))
"""The likelihood of so many coalitions is climbed for so many steps, then that of more; evenly spaced over the pairs drawn."""

_START = (3.0, 1.0, 1e-2)
"""Sum of theta, linear part, nugget, at the start; the tilt starts at zero."""
_BOUNDS = ((1e-4, 20.0), (1e-6, 1e4), (1e-8, 1e2))
_TILT_BOUND = 12.0
_PRECISION = (1.0, 0.3, 0.1, 0.05)
"""Of the priors: log theta towards its mean over players, log linear part towards 0, log nugget, tilt towards 0; felt at few rows."""
_ALIKE_OUTPUTS, _ALIKE_STEPS = 64, 30
_LOG_NUGGET = float(np.log(1e-3))


@dataclass(frozen=True, slots=True)
class Hyper:
    """Parameters, in units of the process variance."""

    theta: Tensor
    """Shape (n,): inverse length scales."""
    linear: float
    nugget: float
    tilt: float

    def weight(self, members: Tensor) -> Tensor:
        """w of coalitions (r, n), shape (r,)."""
        return torch.exp(self.tilt * (members.mean(1) - 0.5))


def kernel(hyper: Hyper, a: Tensor, b: Tensor) -> Tensor:
    """Covariance of coalitions a (p, n) and b (q, n), given as floats, without the nugget; shape (p, q)."""
    smooth = torch.exp(-distance(hyper.theta, a, b))
    return hyper.weight(a)[:, None] * smooth * hyper.weight(b)[None, :] + hyper.linear * linear(a, b)


def distance(theta: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Sum of theta over the players in which coalitions differ, shape (p, q)."""
    weighted = a * theta
    return weighted.sum(1)[:, None] + (b @ theta)[None, :] - 2.0 * weighted @ b.T


def linear(a: Tensor, b: Tensor) -> Tensor:
    """1 + sum_l s_l t_l / n, shape (p, q)."""
    return 1.0 + (2.0 * a - 1.0) @ (2.0 * b - 1.0).T / a.shape[1]


def fit(members: Tensor, data: Tensor) -> Hyper:
    """Parameters that maximise the posterior density, from rows that hold complements as neighbours.

    members: (r, n); data: (r, k), centred, at least one column not zero.
    """
    n = members.shape[1]
    data = data[:, data.square().mean(0) > 0]
    at = np.r_[np.log(np.r_[np.full(n, _START[0] / n), _START[1:]]), 0.0]
    bounds = [*np.log([_BOUNDS[0]] * n + list(_BOUNDS[1:])), (-_TILT_BOUND, _TILT_BOUND)]
    for most, steps in FIT_STAGES:
        rows = _spread(len(members), most).to(members.device)
        seen = data[rows]
        objective = _Posterior(members[rows], seen / seen.square().mean(0).sqrt().clamp_min(1e-300))
        found = minimize(objective, at, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
        at = np.asarray(found.x, dtype=np.float64)
        if len(members) <= most:
            break
    return _hyper(at, members)


def fit_alike(members: Tensor, data: Tensor) -> Hyper:
    """The same with one length scale for all players, from at most 400 coalitions and the first 64 outputs."""
    n = members.shape[1]
    data = data[:, data.square().mean(0) > 0][:, :_ALIKE_OUTPUTS]
    rows = _spread(len(members), FIT_STAGES[0][0]).to(members.device)
    seen = data[rows]
    posterior = _Posterior(members[rows], seen / seen.square().mean(0).sqrt().clamp_min(1e-300))

    def objective(at: Floats) -> tuple[float, Floats]:
        value, gradient = posterior(np.r_[np.full(n, at[0]), at[1:]])
        return value, np.r_[gradient[:n].sum(), gradient[n:]]

    at = np.r_[np.log(_START[0] / n), np.log(_START[1:]), 0.0]
    bounds = [*np.log(_BOUNDS), (-_TILT_BOUND, _TILT_BOUND)]
    found = minimize(objective, at, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ALIKE_STEPS})
    at = np.asarray(found.x, dtype=np.float64)
    return _hyper(np.r_[np.full(n, at[0]), at[1:]], members)


def _spread(rows: int, most: int) -> Tensor:
    """At most so many rows, whole pairs, evenly spaced."""
    if rows <= most:
        return torch.arange(rows)
    pairs = tensor(np.linspace(0, rows // 2 - 1, most // 2).astype(np.int64))
    return torch.stack([2 * pairs, 2 * pairs + 1], dim=1).reshape(-1)


def _hyper(at: Floats, like: Tensor) -> Hyper:
    n = like.shape[1]
    theta = tensor(np.exp(at[:n])).to(like)
    return Hyper(theta, float(np.exp(at[n])), float(np.exp(at[n + 1])), float(at[n + 2]))


class _Posterior:
    """Negative log posterior density with its gradient, at (log theta, log linear, log nugget, tilt)."""

    def __init__(self, members: Tensor, data: Tensor) -> None:
        self._members, self._data = members, data
        self._linear, self._lean = linear(members, members), members.mean(1) - 0.5

    def __call__(self, at: Floats) -> tuple[float, Floats]:
        n = self._members.shape[1]
        hyper = _hyper(at, self._members)
        weight = hyper.weight(self._members)
        smooth = weight[:, None] * torch.exp(-distance(hyper.theta, self._members, self._members)) * weight[None, :]
        covariance = smooth + hyper.linear * self._linear
        nuggets = hyper.nugget * weight**2
        covariance.diagonal().add_(nuggets)
        factor = factored(covariance)
        if factor is None:
            return 1e12, np.zeros_like(at)
        inverse = torch.cholesky_inverse(factor)
        rows, outputs = self._data.shape
        alpha = inverse @ self._data
        variance = ((self._data * alpha).sum(0) / rows).clamp_min(1e-300)
        value = 0.5 * rows * torch.log(variance).sum() + outputs * torch.log(factor.diagonal()).sum()
        slope = outputs * inverse - (alpha / variance) @ alpha.T
        gradient = np.empty_like(at)
        felt, own = slope * smooth, slope.diagonal() * nuggets
        gradient[:n] = numbers(-hyper.theta * self._mismatches(felt))
        gradient[n] = 0.5 * hyper.linear * float((slope * self._linear).sum())
        gradient[n + 1] = 0.5 * float(own.sum())
        gradient[n + 2] = float(((felt.sum(1) + own) * self._lean).sum())
        prior, pull = _prior(at, n)
        return float(value) + prior, gradient + pull

    def _mismatches(self, felt: Tensor) -> Tensor:
        """Half the sum over pairs of rows that differ in a player, shape (n,)."""
        return self._members.T @ felt.sum(1) - (self._members * (felt @ self._members)).sum(0)


def _prior(at: Floats, n: int) -> tuple[float, Floats]:
    away = at.copy()
    away[:n] -= at[:n].mean()
    away[n + 1] -= _LOG_NUGGET
    precision = np.r_[np.full(n, _PRECISION[0]), _PRECISION[1:]]
    return 0.5 * float(precision @ away**2), precision * away
