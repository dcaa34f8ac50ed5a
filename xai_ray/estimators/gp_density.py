"""The likelihood of the parameters of the Gaussian process, with its gradient, from the covariance of all rows.

Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), eqs. 5.8-5.9, with the process variance profiled out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xai_ray.estimators.gp_kernel import Hyper, distance, linear
from xai_ray.estimators.gp_torch import factored, numbers
from xai_ray.types import Floats


@dataclass(frozen=True, slots=True)
class Density:
    """Minus the logarithm of the likelihood, and its derivatives by the logarithms of the parameters and by the tilt."""

    value: float
    theta: Floats
    """Shape (n,)."""
    linear: float
    nugget: float
    tilt: float


class Whole:
    """Rows (r, n) with centred values (r, k)."""

    def __init__(self, members: Tensor, data: Tensor) -> None:
        self._members, self._data = members, data
        self._linear, self._lean = linear(members, members), members.mean(1) - 0.5

    def density(self, hyper: Hyper) -> Density | None:
        """At these parameters; None where the covariance is not positive definite to rounding."""
        weight = hyper.weight(self._members)
        smooth = weight[:, None] * torch.exp(-distance(hyper.theta, self._members, self._members)) * weight[None, :]
        covariance = smooth + hyper.linear * self._linear
        nuggets = hyper.nugget * weight**2
        covariance.diagonal().add_(nuggets)
        factor = factored(covariance)
        if factor is None:
            return None
        inverse = torch.cholesky_inverse(factor)
        rows, outputs = self._data.shape
        alpha = inverse @ self._data
        variance = ((self._data * alpha).sum(0) / rows).clamp_min(1e-300)
        value = 0.5 * rows * torch.log(variance).sum() + outputs * torch.log(factor.diagonal()).sum()
        slope = outputs * inverse - (alpha / variance) @ alpha.T
        felt, own = slope * smooth, slope.diagonal() * nuggets
        return Density(
            float(value),
            numbers(-hyper.theta * self._mismatches(felt)),
            0.5 * hyper.linear * float((slope * self._linear).sum()),
            0.5 * float(own.sum()),
            float(((felt.sum(1) + own) * self._lean).sum()),
        )

    def _mismatches(self, felt: Tensor) -> Tensor:
        """Half the sum over pairs of rows that differ in a player, shape (n,)."""
        return self._members.T @ felt.sum(1) - (self._members * (felt @ self._members)).sum(0)
