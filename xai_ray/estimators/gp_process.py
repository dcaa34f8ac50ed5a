"""The Gaussian process on the cube, conditioned on evaluated pairs of coalitions, and what it says of read-outs.

A game is v = f + e: f is smooth (the kernel), e is the roughness the kernel cannot carry, independent with the nugget as variance. Games are
deterministic, so e belongs to the game: an index wants it too, and knows it at the rows. A read-out with weights L has covariance
c + nugget L(rows) with the data, and prior variance L k L' + nugget |L|^2. At full budget that is the exact answer without variance.
For a game with sampled values the nugget is noise instead, and belongs to no index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xai_ray.estimators.gp_kernel import Hyper, fit, kernel
from xai_ray.estimators.gp_reads import BLOCK, cross, known, own_variance, prior_variance
from xai_ray.estimators.keep_rates import mixture
from xai_ray.estimators.observed import Pairs
from xai_ray.indices import Readout
from xai_ray.types import Floats, Ints


@dataclass(frozen=True)
class Parity:
    """The even or the odd part of a game, conditioned on p pairs; k outputs."""

    sign: int
    members: Tensor
    """Shape (p, n): S of every pair, as floats."""
    hyper: Hyper
    factor: Tensor
    """Shape (p, p): Cholesky factor of the covariance of the data."""
    alpha: Tensor
    """Shape (p, k): inverse covariance times the data."""
    variance: Tensor
    """Shape (k,): process variance."""

    @classmethod
    def of(cls, members: Tensor, data: Tensor, sign: int, hyper: Hyper | None = None) -> Parity:
        """Fits the length scales, unless they are given, and conditions on the data."""
        if hyper is None:
            hyper = (
                fit(members, data, sign)
                if bool((data != 0).any())
                else Hyper(members.new_ones(members.shape[1]), 1.0, 1.0)
            )
        covariance = kernel(hyper, sign, members, members)
        covariance.diagonal().add_(hyper.nugget)
        factor = torch.linalg.cholesky(covariance)
        alpha = torch.cholesky_solve(data, factor)
        # One step of refinement: the nugget may be small, and full budget is to be exact.
        alpha = alpha + torch.cholesky_solve(data - covariance @ alpha, factor)
        return cls(sign, members, hyper, factor, alpha, (data * alpha).sum(0) / len(data))

    def moments(self, readout: Readout, sets: Tensor, roughness: bool) -> tuple[Tensor, Tensor]:
        """Posterior mean (f, r, k) and variance in units of the process variance (f, r) of read-outs of f sets."""
        nodes = mixture(readout)
        means, variances = [], []
        step = max(1, BLOCK // (len(self.members) * readout.weights.shape[0]))
        for start in range(0, len(sets), step):
            chunk = sets[start : start + step]
            covariance = cross(self.hyper, self.sign, self.members, readout, nodes, chunk)
            prior = prior_variance(self.hyper, self.sign, readout, nodes, chunk)
            if roughness:
                covariance = covariance + self.hyper.nugget * known(self.sign, self.members, readout, chunk)
                prior = prior + self.hyper.nugget * torch.from_numpy(own_variance(self.sign, readout)).to(prior)
            means.append(covariance @ self.alpha)
            flat = covariance.reshape(-1, len(self.members)).T
            explained = torch.linalg.solve_triangular(self.factor, flat, upper=False).square().sum(0)
            variances.append((prior - explained.reshape(prior.shape)).clamp_min(0.0))
        return torch.cat(means), torch.cat(variances)


@dataclass(frozen=True)
class Process:
    """Both parities of a game and its mean."""

    even: Parity
    odd: Parity
    mean: Tensor
    """Shape (k,)."""

    @classmethod
    def of(cls, pairs: Pairs, device: str = "cpu") -> Process:
        """Conditions on all pairs, the empty and the grand coalition among them."""
        ends = np.zeros((1, pairs.members.shape[1]), dtype=np.bool_)
        members = torch.from_numpy(np.concatenate([ends, pairs.members])).to(device, torch.float64)
        inside = torch.from_numpy(np.concatenate([pairs.empty[None], pairs.inside])).to(device)
        outside = torch.from_numpy(np.concatenate([pairs.grand[None], pairs.outside])).to(device)
        mean = 0.5 * (inside + outside).mean(0)
        even = Parity.of(members, (inside + outside - 2.0 * mean) / np.sqrt(2.0), 1)
        odd = Parity.of(members, (inside - outside) / np.sqrt(2.0), -1)
        return cls(even, odd, mean)

    def read(self, readout: Readout, sets: Ints, roughness: bool) -> tuple[Floats, Floats]:
        """Posterior means and standard deviations of read-outs, each of shape (f, r, k), for sets of shape (f, s)."""
        at = torch.from_numpy(sets).to(self.mean.device)
        constant = torch.from_numpy(readout.weights.sum(1) if readout.size == 0 else 0.0 * readout.weights.sum(1))
        total = constant.to(self.mean)[None, :, None] * self.mean
        variance = torch.zeros_like(total)
        for part in (self.even, self.odd):
            mean, spread = part.moments(readout, at, roughness)
            total = total + mean
            variance = variance + spread[..., None] * part.variance
        return total.cpu().numpy(), variance.sqrt().cpu().numpy()
