"""The likelihood of the parameters of the Gaussian process from pairs of complements, by parity: two systems of half the size.

Divided by its tilt w, which is w(S) = 1 / w(complement of S), the covariance of p pairs is

    A + linear B B',    A_ST = prod_l rho_l^[l in one of S, T alone] + nugget [S = T],    B = (1 / w) (1, s / sqrt(n)).

A does not change when complements are exchanged, so the sums and the differences of a pair, over sqrt(2), fall apart into two systems of p
unknowns. B has n + 1 columns, which the matrix inversion lemma adds. The same function as `gp_density.Whole`.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

from torch import Tensor

from xai_ray.estimators.gp_arrays import arrays_on
from xai_ray.estimators.gp_density import Density
from xai_ray.estimators.gp_kernel import Hyper


class Pairs:
    """2p rows (2p, n) that hold complements as neighbours, with centred values (2p, k)."""

    def __init__(self, members: Tensor, data: Tensor) -> None:
        arrays = self._arrays = arrays_on(members.device)
        self._half = arrays.of(members[0::2].contiguous())
        self._lean = (self._half.mean(1) - 0.5)[:, None]
        self._signs = (2.0 * self._half - 1.0) / sqrt(members.shape[1])
        self._inside, self._outside = arrays.of(data[0::2]), arrays.of(data[1::2])

    def density(self, hyper: Hyper) -> Density | None:
        """At these parameters; None where the covariance is not positive definite to rounding."""
        arrays, linear, theta = self._arrays, hyper.linear, self._arrays.of(hyper.theta)
        p, outputs = self._inside.shape
        near, far = self._kernels(theta)
        systems = arrays.empty(2, p, p)
        systems[0], systems[1] = near + far, near - far
        arrays.raise_diagonal(systems, hyper.nugget)
        found = arrays.inverted(systems)
        if found is None:
            return None
        inverse, halves = found
        both = self._untilted(hyper.tilt)
        data, columns = both[..., :outputs], both[..., outputs:]
        solved = inverse @ both
        own, through = solved[..., :outputs], solved[..., outputs:]
        inner = linear * _met(columns, through)
        arrays.raise_diagonal(inner, 1.0)
        found = arrays.inverted(inner[None])
        if found is None:
            return None
        small = found[0][0]
        # The inverse of the covariance times B, and times the data.
        reached = through @ small
        alpha = own - reached @ (linear * _met(columns, own))
        variance = arrays.at_least((data * alpha).sum((0, 1)) / (2 * p), 1e-300)
        value = p * float(arrays.log(variance).sum()) + outputs * (halves + found[1])
        scaled, seen = alpha / variance, _met(columns, alpha)
        # Of the inverse only the blocks within a parity are felt: A has no others.
        felt_by = arrays.joined([(outputs * linear) * reached, scaled]) @ arrays.joined([through, alpha]).mT
        slope = outputs * inverse - felt_by
        left = data - columns @ (linear * seen)
        turned = (linear * outputs) * (self._swapped(reached) * columns).sum() + (self._swapped(scaled) * left).sum()
        spent = outputs * (len(inner) - small.diagonal().sum()) - linear * ((seen * seen).sum(0) / variance).sum()
        return Density(
            value,
            arrays.numbers(-theta * self._by_theta(slope, near, far)),
            0.5 * float(spent),
            0.5 * hyper.nugget * float(slope[0].diagonal().sum() + slope[1].diagonal().sum()),
            -float(turned),
        )

    def _kernels(self, theta: Any) -> tuple[Any, Any]:
        """Of coalitions with coalitions, and with complements, each (p, p)."""
        weighted = self._half * theta
        side = weighted.sum(1)
        close = (2.0 * weighted) @ self._half.T
        close -= side[:, None]
        close -= side
        near = self._arrays.exp(close)
        close += theta.sum()
        return near, self._arrays.exp(-close)

    def _untilted(self, tilt: float) -> Any:
        """Data and columns of the linear part (2, p, k + n + 1), over the tilt, even parity first."""
        down = self._arrays.exp(-tilt * self._lean) / sqrt(2.0)
        up = 0.5 / down
        (p, outputs), n = self._inside.shape, self._half.shape[1]
        inside, outside, same, other = self._inside * down, self._outside * up, down + up, down - up
        both = self._arrays.empty(2, p, outputs + n + 1)
        both[0, :, :outputs], both[1, :, :outputs] = inside + outside, inside - outside
        both[0, :, outputs : outputs + 1], both[1, :, outputs : outputs + 1] = same, other
        both[0, :, outputs + 1 :], both[1, :, outputs + 1 :] = other * self._signs, same * self._signs
        return both

    def _swapped(self, of: Any) -> Any:
        """Times the derivative of the logarithm of the tilt, which is odd: it turns one parity into the other. Shape (2, p, q)."""
        return of[[1, 0]] * self._lean

    def _by_theta(self, slope: Any, near: Any, far: Any) -> Any:
        """Half the slope times the kernel over pairs of rows that differ in a player, shape (n,)."""
        far_felt = (slope[0] - slope[1]) * far
        felt = (slope[0] + slope[1]) * near - far_felt
        differ = felt.sum(1) @ self._half - (self._half * (felt @ self._half)).sum(0)
        return differ + 0.5 * far_felt.sum()


def _met(columns: Any, other: Any) -> Any:
    """Products of columns (2, p, a) with others (2, p, b) over both parities, shape (a, b)."""
    return columns[0].T @ other[0] + columns[1].T @ other[1]
