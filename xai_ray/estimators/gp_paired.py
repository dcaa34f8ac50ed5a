"""The likelihood of the parameters of the Gaussian process from pairs of complements, by parity: two systems of half the size.

Divided by its tilt w, which is w(S) = 1 / w(complement of S), the covariance of p pairs is

    A + linear B B',    A_ST = prod_l rho_l^[l in one of S, T alone] + nugget [S = T],    B = (1 / w) (1, s / sqrt(n)).

A does not change when complements are exchanged, so the sums and the differences of a pair, over sqrt(2), fall apart into two systems of p
unknowns. B has n + 1 columns, which the matrix inversion lemma adds. The same function as `gp_density.Whole`.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from xai_ray.estimators.gp_density import Density
from xai_ray.estimators.gp_kernel import Hyper
from xai_ray.estimators.gp_torch import factored, numbers

_LEAST_ROWS = 128


class Pairs:
    """2p rows (2p, n) that hold complements as neighbours, with centred values (2p, k)."""

    def __init__(self, members: Tensor, data: Tensor) -> None:
        self._half = members[0::2]
        self._lean = self._half.mean(1) - 0.5
        self._signs = (2.0 * self._half - 1.0) / sqrt(members.shape[1])
        self._inside, self._outside = data[0::2], data[1::2]

    def density(self, hyper: Hyper) -> Density | None:
        """At these parameters; None where the covariance is not positive definite to rounding."""
        linear = hyper.linear
        near, far = self._kernels(hyper.theta)
        system = torch.stack([near + far, near - far])
        system.diagonal(dim1=1, dim2=2).add_(hyper.nugget)
        factor = factored(system)
        if factor is None:
            return None
        inverse = torch.cholesky_inverse(factor)
        data, columns = self._untilted(hyper.tilt)
        solved = inverse @ torch.cat([data, columns], dim=2)
        outputs = data.shape[2]
        own, through = solved[..., :outputs], solved[..., outputs:]
        inner = linear * (columns.mT @ through).sum(0)
        inner.diagonal().add_(1.0)
        lower = factored(inner)
        if lower is None:
            return None
        small = torch.cholesky_inverse(lower)
        # The inverse of the covariance times B, and times the data.
        reached = through @ small
        alpha = own - linear * reached @ (columns.mT @ own).sum(0)
        rows = 2 * data.shape[1]
        variance = ((data * alpha).sum((0, 1)) / rows).clamp_min(1e-300)
        halved = factor.diagonal(dim1=1, dim2=2).log().sum() + lower.diagonal().log().sum()
        value = 0.5 * rows * variance.log().sum() + outputs * halved
        scaled, seen = alpha / variance, (columns.mT @ alpha).sum(0)
        # Of the inverse only the blocks within a parity are felt: A has no others.
        slope = torch.baddbmm(
            inverse,
            torch.cat([outputs * linear * reached, scaled], 2),
            torch.cat([through, alpha], 2).mT,
            beta=outputs,
            alpha=-1.0,
        )
        left = data - linear * columns @ seen
        turned = linear * outputs * (self._swapped(reached) * columns).sum() + (self._swapped(scaled) * left).sum()
        spent = outputs * (len(inner) - small.diagonal().sum()) - linear * (seen.square().sum(0) / variance).sum()
        by_theta = self._by_theta(slope, near, far)
        return Density(
            float(value),
            numbers(-hyper.theta * by_theta),
            0.5 * float(spent),
            0.5 * hyper.nugget * float(slope.diagonal(dim1=1, dim2=2).sum()),
            -float(turned),
        )

    def _kernels(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Of coalitions with coalitions, and with complements, each (p, p)."""
        weighted = self._half * theta
        side = weighted.sum(1)
        apart = side[:, None] + side[None, :] - 2.0 * weighted @ self._half.T
        return torch.exp(-apart), torch.exp(apart - theta.sum())

    def _untilted(self, tilt: float) -> tuple[Tensor, Tensor]:
        """Data (2, p, k) and columns of the linear part (2, p, n + 1) over the tilt, even parity first."""
        down = torch.exp(-tilt * self._lean)[:, None]
        inside, outside = self._inside * down, self._outside / down
        data = torch.stack([inside + outside, inside - outside]) / sqrt(2.0)
        same, other = (down + 1.0 / down) / sqrt(2.0), (down - 1.0 / down) / sqrt(2.0)
        even = torch.cat([same, other * self._signs], dim=1)
        return data, torch.stack([even, torch.cat([other, same * self._signs], dim=1)])

    def _swapped(self, of: Tensor) -> Tensor:
        """Times the derivative of the logarithm of the tilt, which is odd: it turns one parity into the other. Shape (2, p, q)."""
        return of.flip(0) * self._lean[:, None]

    def _by_theta(self, slope: Tensor, near: Tensor, far: Tensor) -> Tensor:
        """Half the slope times the kernel over pairs of rows that differ in a player, shape (n,)."""
        far_felt = (slope[0] - slope[1]) * far
        felt = (slope[0] + slope[1]) * near - far_felt
        differ = self._half.T @ felt.sum(1) - (self._half * (felt @ self._half)).sum(0)
        return differ + 0.5 * far_felt.sum()


def worth(rows: int, n: int) -> bool:
    """Whether this is the quicker way for so many rows and players: many small steps cost more than a small factorisation."""
    return rows >= max(_LEAST_ROWS, 4 * (n + 1))
