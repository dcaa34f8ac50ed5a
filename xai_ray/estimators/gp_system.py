"""The system of equations that conditions a Gaussian process on rows, and its solution by factorisation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from xai_ray.estimators.gp_kernel import Hyper, kernel
from xai_ray.estimators.gp_torch import cholesky, solve_lower

BLOCK = 1 << 20
"""Entries of the covariance computed at a time."""


@dataclass(frozen=True)
class Covariance:
    """Of the values of r rows, roughness included, in units of the process variance; computed in blocks of rows."""

    hyper: Hyper
    members: Tensor
    """Shape (r, n)."""

    @cached_property
    def nuggets(self) -> Tensor:
        """Variance of the roughness of each row, shape (r,)."""
        return self.hyper.nugget * self.hyper.weight(self.members) ** 2

    def whole(self) -> Tensor:
        """Shape (r, r)."""
        rows = len(self.members)
        out = self.members.new_empty((rows, rows))
        for start, stop in self.blocks():
            out[start:stop] = self.rows(start, stop)
        return out

    def times(self, right: Tensor) -> Tensor:
        """The product with (r, q), computed anew."""
        out = torch.empty_like(right)
        for start, stop in self.blocks():
            out[start:stop] = self.rows(start, stop) @ right
        return out

    def rows(self, start: int, stop: int) -> Tensor:
        """Rows [start, stop), shape (stop - start, r)."""
        out = kernel(self.hyper, self.members[start:stop], self.members)
        out.diagonal(start).add_(self.nuggets[start:stop])
        return out

    def blocks(self) -> list[tuple[int, int]]:
        """Rows that are computed together, the same at every call."""
        rows = len(self.members)
        step = max(1, BLOCK // rows)
        return [(start, min(start + step, rows)) for start in range(0, rows, step)]


class System(Protocol):
    """What a process asks of the covariance K of its r rows."""

    def solve(self, right: Tensor) -> Tensor:
        """K^-1 right, of shape (r, q) like `right`."""
        ...

    def explained(self, right: Tensor, prior: Tensor) -> Tensor:
        """Diagonal of right' K^-1 right, shape (q,), never more than that: the part of the variances `prior` (q,) that the rows explain."""
        ...

    def precision(self) -> Tensor:
        """Diagonal of K^-1, shape (r,)."""
        ...


@dataclass(frozen=True)
class Dense:
    """By Cholesky factor."""

    covariance: Covariance
    factor: Tensor
    """Shape (r, r), lower."""

    @classmethod
    def of(cls, covariance: Covariance) -> Dense:
        """Factorises."""
        return cls(covariance, cholesky(covariance.whole()))

    def solve(self, right: Tensor) -> Tensor:
        """With one step of refinement: the nugget may be small, and full budget is to be exact."""
        first = torch.cholesky_solve(right, self.factor)
        return first + torch.cholesky_solve(right - self.covariance.times(first), self.factor)

    def explained(self, right: Tensor, prior: Tensor) -> Tensor:
        """One triangular solve."""
        return solve_lower(self.factor, right).square().sum(0)

    def precision(self) -> Tensor:
        """From the inverse."""
        return self.inverse().diagonal().clone()

    def inverse(self) -> Tensor:
        """K^-1, shape (r, r)."""
        return torch.cholesky_inverse(self.factor)
