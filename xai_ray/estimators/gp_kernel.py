"""The covariance of the Gaussian process on the cube.

    k(S, T) = w(S) w(T) prod_l rho_l^[l in one of S, T alone] + linear (1 + sum_l s_l t_l / n),      rho_l = exp(-theta_l),

s and t the signs of membership. One length scale a player; the tilt w(S) = exp(tilt (|S|/n - 1/2)) lets a game be rougher among large
coalitions than among small ones, or the other way round, and is still a product over players. In units of the process variance, which is
profiled out; several outputs share the parameters and one factorisation.
Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), eqs. 5.8-5.9.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
