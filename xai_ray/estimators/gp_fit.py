"""The parameters of the Gaussian process on the cube by their posterior density: the likelihood of the rows, and weak priors.

Several outputs share the parameters, each with a process variance of its own, which is profiled out.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from xai_ray.estimators.gp_density import Whole
from xai_ray.estimators.gp_kernel import Hyper
from xai_ray.estimators.gp_paired import Pairs
from xai_ray.estimators.gp_torch import tensor
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


def fit(members: Tensor, data: Tensor, whole: bool = False) -> Hyper:
    """Parameters that maximise the posterior density, from rows that hold complements as neighbours.

    members: (r, n); data: (r, k), centred, at least one column not zero. `whole`: only parameters whose covariance as a whole has a factor.
    """
    n = members.shape[1]
    data = data[:, data.square().mean(0) > 0]
    at = np.r_[np.log(np.r_[np.full(n, _START[0] / n), _START[1:]]), 0.0]
    bounds = [*np.log([_BOUNDS[0]] * n + list(_BOUNDS[1:])), (-_TILT_BOUND, _TILT_BOUND)]
    for most, steps in FIT_STAGES:
        rows = _spread(len(members), most).to(members.device)
        seen = data[rows]
        objective = _Posterior(members[rows], seen / seen.square().mean(0).sqrt().clamp_min(1e-300), whole)
        found = minimize(objective, at, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
        at = np.asarray(found.x, dtype=np.float64)
        if len(members) <= most:
            break
    return _hyper(at, members)


def fit_alike(members: Tensor, data: Tensor, whole: bool = False) -> Hyper:
    """The same with one length scale for all players, from at most 400 coalitions and the first 64 outputs."""
    n = members.shape[1]
    data = data[:, data.square().mean(0) > 0][:, :_ALIKE_OUTPUTS]
    rows = _spread(len(members), FIT_STAGES[0][0]).to(members.device)
    seen = data[rows]
    posterior = _Posterior(members[rows], seen / seen.square().mean(0).sqrt().clamp_min(1e-300), whole)
    times, first = np.array([n, 1, 1, 1]), np.array([0, n, n + 1, n + 2])

    def objective(at: Floats) -> tuple[float, Floats]:
        value, gradient = posterior(np.repeat(at, times))
        return value, np.add.reduceat(gradient, first)

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

    def __init__(self, members: Tensor, data: Tensor, whole: bool) -> None:
        self._members = members
        self._rows = Whole(members, data) if whole else Pairs(members, data)
        self._precision = np.concatenate([np.full(members.shape[1], _PRECISION[0]), _PRECISION[1:]])

    def __call__(self, at: Floats) -> tuple[float, Floats]:
        # A step too far may overflow; the search turns back by itself.
        with np.errstate(all="ignore"):
            found = self._rows.density(_hyper(at, self._members))
        if found is None:
            return 1e12, np.zeros_like(at)
        n = self._members.shape[1]
        away = at.copy()
        away[:n] -= at[:n].sum() / n
        away[n + 1] -= _LOG_NUGGET
        pull = self._precision * away
        prior = 0.5 * float(pull @ away)
        pull[:n] += found.theta
        pull[n:] += found.linear, found.nugget, found.tilt
        return found.value + prior, pull
