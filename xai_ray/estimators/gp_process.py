"""The Gaussian process on the cube, conditioned on evaluated coalitions, and what it says of read-outs.

A game is v = f + e: f is smooth (the kernel), e is the roughness the kernel cannot carry, independent, with the nugget as
variance. Games are deterministic, so e belongs to the game: an index wants it too, and knows it at the rows. A read-out with weights L has
covariance c + nugget L(rows) with the data, and prior variance L k L' + nugget |L|^2. At full budget that is the exact answer
without variance. For a game with sampled values the nugget is noise instead, and belongs to no index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from xai_ray.errors import SpecError
from xai_ray.estimators.gp_device import chosen, one_thread
from xai_ray.estimators.gp_fit import fit
from xai_ray.estimators.gp_kernel import Hyper, kernel
from xai_ray.estimators.gp_large import Large
from xai_ray.estimators.gp_means import pair_means
from xai_ray.estimators.gp_reads import BLOCK, cross, known, own_variance, prior_variance
from xai_ray.estimators.gp_system import Covariance, Dense, System
from xai_ray.estimators.gp_torch import factored, numbers, split, tensor
from xai_ray.estimators.keep_rates import Mixture, mixture
from xai_ray.estimators.power_law import extrapolated
from xai_ray.indices import Readout
from xai_ray.types import Coalitions, Floats, Ints, Values

EXACT_WORK = 2e10
"""Triangular solves for standard errors, in multiplications, beyond which they are sampled over sets."""

SAMPLED_SETS = 200

LARGEST_DENSE = 10_000
"""Rows up to which the system is factorised; above, it is solved by conjugate gradients."""

FEW_PAIRS = 2
"""With more pairs a player than this, all pairs are read at once by matrix products."""

LARGEST_ROWS = 30_000
"""Rows that are conditioned on at most."""

LARGEST_WORK = 1e13
"""Read-outs x rows x nodes beyond which a question is refused; some 3e9 are done in a second on one thread."""

CONSTANT = 1e-14
"""An output is constant if its values spread by no more than this share of the largest."""


@dataclass(frozen=True)
class Process:
    """r rows, n players, k outputs."""

    members: Tensor
    """Shape (r, n): the coalitions, as floats."""
    hyper: Hyper
    system: System
    """Solves with the covariance of the values."""
    alpha: Tensor
    """Shape (r, k): inverse covariance times the centred values."""
    mean: Tensor
    """Shape (k,)."""
    variance: Tensor
    """Shape (k,): process variance."""

    @classmethod
    @one_thread()
    def of(
        cls,
        coalitions: Coalitions,
        values: Values,
        device: torch.device | None = None,
        by: Callable[[Tensor, Tensor, bool], Hyper] = fit,
    ) -> Process:
        """Fits the parameters (`by`) and conditions on the rows; complements are neighbours, as a paired design draws them.

        Runs on `device`, by default the one that the environment chooses (see `gp_device`).
        """
        device = device or chosen()
        if len(coalitions) > LARGEST_ROWS:
            raise SpecError(
                f"gp from {len(coalitions):,} evaluations solves a system of as many unknowns; it takes at most "
                f"{LARGEST_ROWS:,}: lower the budget, or use 'leverage', 'permutation', 'cells' or 'proxy'"
            )
        members = tensor(coalitions).to(device, torch.float64)
        data, mean = (tensor(part).to(device) for part in _centred(values))
        flat = Hyper(members.new_ones(members.shape[1]), 1.0, 1.0, 0.0)
        tells = bool((data != 0).any())
        hyper = by(members, data, False) if tells else flat
        system = _factor(hyper, members) if len(members) <= LARGEST_DENSE else Large(Covariance(hyper, members))
        if system is None:
            # The likelihood by parity keeps the linear part apart, so of games that are all but linear it holds more than the covariance.
            hyper = by(members, data, True) if tells else flat
            system = Dense.of(Covariance(hyper, members))
        alpha = system.solve(data)
        return cls(members, hyper, system, alpha, mean, (data * alpha).sum(0) / len(data))

    @one_thread()
    def predict(self, coalitions: Coalitions) -> Values:
        """Posterior mean of the smooth part, shape (c, k)."""
        at = tensor(coalitions).to(self.members)
        return numbers(self.mean + kernel(self.hyper, at, self.members) @ self.alpha)

    @cached_property
    def _precision(self) -> Tensor:
        """Diagonal of the inverse covariance of the values, shape (r, 1)."""
        return self.system.precision()[:, None]

    @one_thread()
    def left_out(self) -> Values:
        """Leave-one-out residuals v - prediction, shape (r, k). Rasmussen, Williams (2006), eq. 5.12."""
        return numbers(self.alpha / self._precision)

    @one_thread()
    def standardised(self) -> Floats:
        """Leave-one-out residuals in units of their standard deviations, shape (r, k); zero for a constant output."""
        scale = torch.where(self.variance > 0, self.variance, torch.ones_like(self.variance)).sqrt()
        return numbers(self.alpha / self._precision.sqrt() / scale)

    @one_thread()
    def read(self, readout: Readout, sets: Ints, roughness: bool = False) -> Floats:
        """Posterior means of read-outs, shape (f, r, k), for sets of shape (f, s); of the smooth part alone without `roughness`."""
        if readout.size == 2 and not readout.block and len(sets) > FEW_PAIRS * readout.n_players:
            pairs = pair_means(self.hyper, self.members, self.alpha, readout, mixture(readout), roughness)
            return numbers(pairs[sets[:, 0], sets[:, 1]])
        nodes = mixture(readout)
        chunks = self._chunks(readout, nodes, sets)
        parts = [self._covariance(readout, nodes, at, roughness) @ self.alpha for at in chunks]
        return numbers(self._constant(readout) + torch.cat(parts))

    @one_thread()
    def moments(self, readout: Readout, sets: Ints, roughness: bool) -> tuple[Floats, Floats]:
        """Posterior means and standard deviations of read-outs, each of shape (f, r, k).

        Where a solve for every set is too much work, the deviations of a sample of sets stand for all (see `power_law`).
        """
        work = float(len(sets)) * readout.weights.shape[0] * len(self.members) ** 2
        if work <= EXACT_WORK or len(sets) <= SAMPLED_SETS:
            means, prior, explained = self._moments(readout, sets, roughness)
            variance = _left(prior, explained)
        else:
            means = self.read(readout, sets, roughness)
            sample = np.linspace(0, len(sets) - 1, SAMPLED_SETS).astype(np.int64)
            _, prior, explained = self._moments(readout, sets[sample], roughness)
            every = numbers(self._prior(readout, mixture(readout), tensor(sets).to(self.mean.device), roughness))
            variance = extrapolated(every, prior, _left(prior, explained))
        return means, np.sqrt(variance[..., None] * numbers(self.variance))

    @one_thread()
    def covariance(self, readout: Readout, sets: Ints, roughness: bool) -> tuple[Floats, Floats]:
        """Covariance of read-outs with the values of the rows, shape (f, m, r), and their prior variances (f, m), m columns, in units of
        the process variance.
        """
        nodes = mixture(readout)
        chunks = self._chunks(readout, nodes, sets)
        found = torch.cat([self._covariance(readout, nodes, at, roughness) for at in chunks])
        prior = torch.cat([self._prior(readout, nodes, at, roughness) for at in chunks])
        return numbers(found), numbers(prior)

    def _moments(self, readout: Readout, sets: Ints, roughness: bool) -> tuple[Floats, Floats, Floats]:
        """Means (f, r, k), prior variances and explained variances (f, r) in units of the process variance."""
        means: list[Tensor] = []
        priors: list[Tensor] = []
        explained: list[Tensor] = []
        nodes = mixture(readout)
        for at in self._chunks(readout, nodes, sets):
            covariance = self._covariance(readout, nodes, at, roughness)
            means.append(covariance @ self.alpha)
            priors.append(self._prior(readout, nodes, at, roughness))
            flat = covariance.reshape(-1, len(self.members)).T
            explained.append(self.system.explained(flat, priors[-1].reshape(-1)).reshape(len(at), -1))
        value = self._constant(readout) + torch.cat(means)
        return numbers(value), numbers(torch.cat(priors)), numbers(torch.cat(explained))

    def _covariance(self, readout: Readout, nodes: Mixture, at: Tensor, roughness: bool) -> Tensor:
        smooth = cross(self.hyper, self.members, readout, nodes, at)
        if not roughness:
            return smooth
        return smooth + known(self.members, readout, at) * (self.hyper.nugget * self.hyper.weight(self.members) ** 2)

    def _prior(self, readout: Readout, nodes: Mixture, at: Tensor, roughness: bool) -> Tensor:
        smooth = prior_variance(self.hyper, readout, nodes, at)
        return smooth + self.hyper.nugget * own_variance(self.hyper, readout).to(smooth) if roughness else smooth

    def _chunks(self, readout: Readout, nodes: Mixture, sets: Ints) -> tuple[Tensor, ...]:
        columns = readout.weights.shape[0]
        work = float(len(sets)) * columns * len(self.members) * len(nodes.absent)
        if work > LARGEST_WORK:
            raise SpecError(
                f"gp would read {len(sets):,} sets from {len(self.members):,} evaluations at {columns} context sizes and "
                f"{len(nodes.absent)} nodes, about {work / 1e13:.0f} hours; ask for fewer contexts or pairs, or use 'cells'"
            )
        at = tensor(sets).to(self.mean.device)
        return split(at, max(1, BLOCK // (len(self.members) * readout.weights.shape[0])))

    def _constant(self, readout: Readout) -> Tensor:
        """What a read-out sees of the mean: nothing, unless the set is empty. Shape (r, k)."""
        weight = readout.weights.sum(1) if readout.size == 0 else 0.0 * readout.weights.sum(1)
        return tensor(weight).to(self.mean)[:, None] * self.mean


def _left(prior: Floats, explained: Floats) -> Floats:
    """What is left of a variance; zero below rounding."""
    return np.where(prior - explained > 1e-12 * prior, prior - explained, 0.0)


def _centred(values: Values) -> tuple[Values, Values]:
    """Values less their mean, and the mean; exactly zero for an output that is constant to rounding, which no length scale could tell."""
    spread, size = np.ptp(values, axis=0), np.abs(values).max(axis=0)
    average: Floats = np.asarray(values.mean(axis=0), dtype=np.float64)
    constant = spread <= CONSTANT * size
    mean = np.where(constant, values[0], average)
    return np.where(constant, 0.0, values - mean), mean


def _factor(hyper: Hyper, members: Tensor) -> Dense | None:
    """Solves with the covariance, or None where it has no factor to rounding."""
    covariance = Covariance(hyper, members)
    factor = factored(covariance.whole())
    return None if factor is None else Dense(covariance, factor)
