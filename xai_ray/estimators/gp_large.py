"""The system of a Gaussian process on many rows, by preconditioned conjugate gradients.

The covariance is kept only while it is small enough, else computed anew in blocks of rows at every step. The preconditioner knows a part
of the rows, evenly spaced pairs: all that they tell of the others, and the others' own variances (FITC: Snelson, Ghahramani, NeurIPS 2005;
Quinonero-Candela, Rasmussen, JMLR 2005). Hestenes, Stiefel (1952), all right-hand sides at once.

Started from zero, conjugate gradients approach right' K^-1 right from below, so a standard error that stops early is too wide, never too
narrow. The diagonal of the inverse, for left-out residuals, is estimated with random signs (Bekas, Kokiopoulou, Saad 2007) and kept between
bounds that hold for certain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.gp_kernel import kernel
from xai_ray.estimators.gp_system import Covariance, Dense
from xai_ray.estimators.gp_torch import cholesky, solve_lower, tensor

KEPT = 150_000_000
"""Entries of the covariance that are kept (1.2 GB, 12,247 rows); beyond, it is computed anew at every step."""

INDUCING = 2_000
"""Rows of the preconditioner."""

SOLVED = 1e-7
"""Relative error of a solution, in the norm of the covariance as the preconditioner sees it."""

EXPLAINED = 0.02
"""Share of a posterior variance by which it may be too wide."""

PROBES = 32
"""Random signs for the diagonal of the inverse."""

MOST_STEPS = 600


@dataclass(frozen=True)
class Large:
    """Solves with the covariance of many rows."""

    covariance: Covariance

    def solve(self, right: Tensor) -> Tensor:
        """To a relative error of `SOLVED`. Raises NotEnoughSamples where rounding keeps it from getting there."""
        start = (right * self._precondition(right)).sum(0)
        return self._descend(right, lambda gap, _: bool((gap <= SOLVED**2 * start).all()))

    def explained(self, right: Tensor, prior: Tensor) -> Tensor:
        """From below; what is left of `prior` is too large by a share of about `EXPLAINED`."""

        def done(gap: Tensor, found: Tensor) -> bool:
            return bool((gap <= torch.maximum(EXPLAINED * (prior - found), 1e-13 * prior)).all())

        return (right * self._descend(right, done)).sum(0)

    def precision(self) -> Tensor:
        """By `PROBES` random signs. No entry is below what the rows of the preconditioner alone leave of it, or above its nugget's."""
        rows = len(self.covariance.members)
        words = random_words(0, Stream.PROBES, 0, np.arange(rows, dtype=np.int64), 1)[:, 0]
        bits = (words[:, None] >> np.arange(PROBES, dtype=np.uint64)) & np.uint64(1)
        signs = tensor(2.0 * bits.astype(np.float64) - 1.0).to(self.covariance.members)
        solved = self._descend(signs, lambda gap, found: bool((gap <= 1e-4 * found).all()))
        rough = self._inverse_diagonal
        found = rough + (signs * (solved - self._precondition(signs))).mean(1)
        least = 1.0 / self._parts[1]
        inducing = _evenly(rows)
        alone = Covariance(self.covariance.hyper, self.covariance.members[inducing])
        least[inducing] = Dense.of(alone).precision()
        return torch.clamp(found, min=least, max=1.0 / self.covariance.nuggets)

    def _descend(self, right: Tensor, done: Callable[[Tensor, Tensor], bool]) -> Tensor:
        """Steps from zero until `done` of what is left of right' K^-1 right (as the preconditioner sees it) and what was found of it."""
        x, residual, found = torch.zeros_like(right), right.clone(), right.new_zeros(right.shape[1])
        direction = ahead = self._precondition(residual)
        gap = (residual * ahead).sum(0)
        for _ in range(MOST_STEPS):
            if done(gap, found):
                return x
            image = self._times(direction)
            length = _ratio(gap, (direction * image).sum(0))
            x += length * direction
            found += length * gap
            residual -= length * image
            ahead = self._precondition(residual)
            before, gap = gap, (residual * ahead).sum(0)
            direction = ahead + _ratio(gap, before) * direction
        raise NotEnoughSamples(
            f"gp: conjugate gradients did not solve the system of {len(right):,} evaluations in {MOST_STEPS} steps; "
            "use 'leverage' or 'proxy', or fewer evaluations"
        )

    def _times(self, right: Tensor) -> Tensor:
        return self.covariance.times(right) if self._kept is None else self._kept @ right

    @cached_property
    def _kept(self) -> Tensor | None:
        return self.covariance.whole() if len(self.covariance.members) ** 2 <= KEPT else None

    @cached_property
    def _prior(self) -> Tensor:
        """Variances of the values, shape (r,)."""
        covariance = self.covariance
        return covariance.hyper.weight(covariance.members) ** 2 + 2.0 * covariance.hyper.linear + covariance.nuggets

    @cached_property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of V'V + diag(own): V (m, r), own (r,), and the Cholesky factor of I + V diag(1 / own) V' (m, m)."""
        hyper, members = self.covariance.hyper, self.covariance.members
        chosen = members[_evenly(len(members))]
        inner = kernel(hyper, chosen, chosen)
        # Empty and grand coalition may tie with others to rounding where length scales are long.
        inner.diagonal().mul_(1.0 + 1e-10)
        reach = solve_lower(cholesky(inner), kernel(hyper, chosen, members))
        own = torch.maximum(self._prior - reach.square().sum(0), self.covariance.nuggets)
        outer = (reach / own) @ reach.T
        outer.diagonal().add_(1.0)
        return reach, own, cholesky(outer)

    def _precondition(self, right: Tensor) -> Tensor:
        reach, own, factor = self._parts
        scaled = right / own[:, None]
        return scaled - (reach.T @ torch.cholesky_solve(reach @ scaled, factor)) / own[:, None]

    @cached_property
    def _inverse_diagonal(self) -> Tensor:
        """Of the preconditioner, shape (r,)."""
        reach, own, factor = self._parts
        felt = solve_lower(factor, reach / own).square().sum(0)
        return 1.0 / own - felt


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Zero where a column is solved."""
    return torch.where(b > 0, a / torch.where(b > 0, b, torch.ones_like(b)), torch.zeros_like(a))


def _evenly(rows: int) -> Tensor:
    """Whole pairs, evenly spaced."""
    count = min(rows, INDUCING) // 2
    pairs = tensor(np.linspace(0, rows // 2 - 1, count).astype(np.int64))
    return torch.stack([2 * pairs, 2 * pairs + 1], dim=1).reshape(-1)
