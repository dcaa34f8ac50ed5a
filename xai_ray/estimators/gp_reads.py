"""Read-outs of the covariance of the Gaussian process on the cube, in closed form: with the data, with themselves.

A row T of the data gives a player the factor a = 1 if present in T else rho when present, b = rho if present in T else 1 when absent. A node
of the mixture joins players with weights (absent, present), so the read-out of the kernel at T is a product over players of
absent b + present a, in which a player of the set has the factor a - b instead (a block: all a minus all b).
"""

from __future__ import annotations

from math import comb

import numpy as np
import torch
from torch import Tensor

from xai_ray.estimators.gp_kernel import Hyper
from xai_ray.estimators.keep_rates import Mixture
from xai_ray.indices import Readout
from xai_ray.indices.weights import log_binomial
from xai_ray.types import Floats

BLOCK = 4_000_000
"""Entries of an intermediate array."""


def cross(hyper: Hyper, sign: int, members: Tensor, readout: Readout, nodes: Mixture, sets: Tensor) -> Tensor:
    """Covariance of read-outs with the data, shape (f, r, p): f sets (f, s), r columns, p pairs with members (p, n)."""
    here = _smooth(hyper, members, readout, nodes, sets)
    there = _smooth(hyper, 1.0 - members, readout, nodes, sets)
    return (here + sign * there + 2.0 * hyper.linear * _linear(sign, members, readout, sets)) / np.sqrt(2.0)


def _smooth(hyper: Hyper, members: Tensor, readout: Readout, nodes: Mixture, sets: Tensor) -> Tensor:
    """Read-outs of the product kernel at coalitions `members`, shape (f, r, p)."""
    rho = torch.exp(-hyper.theta)
    present = members + (1.0 - members) * rho
    absent = members * rho + (1.0 - members)
    weights = torch.from_numpy(nodes.weights).to(members.device)
    real = not (nodes.weights.imag.any() or nodes.present.imag.any())
    out = members.new_zeros((weights.shape[1], len(members) * len(sets)))
    step = max(1, BLOCK // max(1, len(members) * len(sets)))
    for start in range(0, len(weights), step):
        chunk = [
            _node(complex(nodes.absent[j]), complex(nodes.present[j]), absent, present, readout, sets, real)
            for j in range(start, min(start + step, len(weights)))
        ]
        stacked = torch.stack(chunk).reshape(len(chunk), -1)
        used = weights[start : start + len(chunk)].T
        out += used.real @ stacked if real else used.real @ stacked.real - used.imag @ stacked.imag
    return out.reshape(-1, len(members), len(sets)).permute(2, 0, 1)


def _node(
    out: complex, join: complex, absent: Tensor, present: Tensor, readout: Readout, sets: Tensor, real: bool
) -> Tensor:
    """One node's products over players, shape (p, f)."""
    factor = out.real * absent + join.real * present if real else out * absent + join * present
    whole = factor.log().sum(1).exp()[:, None]
    if readout.size == 0:
        return whole.expand(-1, len(sets))
    if readout.block:
        inside, outside = present / factor, absent / factor
        return whole * (inside[:, sets].prod(2) - outside[:, sets].prod(2))
    ratio = (present - absent) / factor
    for column in range(readout.size):
        whole = whole * ratio[:, sets[:, column]]
    return whole


def _linear(sign: int, members: Tensor, readout: Readout, sets: Tensor) -> Tensor:
    """Read-outs of the linear part (odd parity: sum of s_l t_l / n, s and t signs; even: 1), broadcastable to (f, r, p)."""
    n, s = members.shape[1], readout.size
    weights = torch.from_numpy(readout.weights).to(members)
    if sign > 0:
        return (weights.sum(1) if s == 0 else 0.0 * weights.sum(1))[None, :, None]
    signs = (2.0 * members - 1.0) / n
    if s == 0:
        mean = weights @ torch.linspace(-1.0, 1.0, n + 1, dtype=members.dtype, device=members.device)
        return mean[None, :, None] * signs.sum(1)
    if s > 1 and not readout.block:
        return members.new_zeros(())
    slope = 2.0 * signs.T[sets].sum(1)
    return weights.sum(1)[None, :, None] * slope[:, None, :]


def known(sign: int, members: Tensor, readout: Readout, sets: Tensor) -> Tensor:
    """Weights of the read-outs on the data themselves, shape (f, r, p)."""
    n, s = members.shape[1], readout.size
    table = torch.from_numpy(_row_weights(readout)).to(members)
    size = members.sum(1).long()
    inside = members[:, sets].sum(2).long()
    here = table[:, inside, size[:, None]]
    there = table[:, s - inside, n - size[:, None]]
    return (here + sign * there).permute(2, 0, 1) / np.sqrt(2.0)


def _row_weights(readout: Readout) -> Floats:
    """Weight of one coalition of size t that holds w players of the set, shape (r, s + 1, n + 1)."""
    cells, s = readout.cells, readout.size
    n = readout.n_players
    w, t = np.mgrid[0 : s + 1, 0 : n + 1].astype(np.float64)
    possible = (t >= w) & (t - w <= n - s)
    log = log_binomial(n - s, np.where(possible, t - w, 0.0))
    return np.where(possible, cells * np.exp(-log), 0.0)


def own_variance(sign: int, readout: Readout) -> Floats:
    """Sum of the squared weights of the read-outs on pairs, shape (r,): prior variance of an independent part, in units of the nugget."""
    cells, rows = readout.cells, _row_weights(readout)
    times = np.array([comb(readout.size, w) for w in range(readout.size + 1)])[None, :, None]
    mirrored = cells[:, ::-1, ::-1]
    return np.asarray(0.5 * (times * rows * (cells + sign * mirrored)).sum(axis=(1, 2)))


def prior_variance(hyper: Hyper, sign: int, readout: Readout, nodes: Mixture, sets: Tensor) -> Tensor:
    """Prior variance of read-outs of the smooth part, shape (f, r)."""
    rho = torch.exp(-hyper.theta)
    weights = torch.from_numpy(nodes.weights).to(rho.device)
    pieces = [_quadratic(rho, sign, nodes, nodes, readout, sets, weights, weights)]
    if nodes.weights.imag.any() or nodes.present.imag.any():
        # Re x Re y = Re (x y + x conj y) / 2.
        mirrored = Mixture(nodes.absent.conj(), nodes.present.conj(), nodes.weights.conj())
        pieces.append(_quadratic(rho, sign, nodes, mirrored, readout, sets, weights, weights.conj()))
    smooth = torch.stack(pieces).mean(0)
    slope = torch.from_numpy(readout.weights.sum(1)).to(rho)
    n = len(rho)
    if sign > 0:
        extra = slope**2 if readout.size == 0 else 0.0 * slope
    elif readout.size == 0:
        centred = torch.from_numpy(readout.weights @ np.linspace(-1.0, 1.0, n + 1)).to(rho)
        extra = centred**2
    else:
        extra = 4.0 * readout.size / n * slope**2 if readout.size == 1 or readout.block else 0.0 * slope
    return smooth + hyper.linear * extra


def _quadratic(
    rho: Tensor, sign: int, left: Mixture, right: Mixture, readout: Readout, sets: Tensor, u: Tensor, w: Tensor
) -> Tensor:
    """Half the read-outs of k(S, T) + sign k(S, N - T) over both arguments, shape (f, r)."""
    a0, a1 = (torch.from_numpy(x).to(rho.device)[:, None] for x in (left.absent, left.present))
    b0, b1 = (torch.from_numpy(x).to(rho.device)[None, :] for x in (right.absent, right.present))
    same, differ = a0 * b0 + a1 * b1, a0 * b1 + a1 * b0
    lifted = rho if not readout.block else rho[sets].prod(1)
    total = 0
    for flip in (False, True):
        x, y = (differ, same) if flip else (same, differ)
        log = sum((torch.log(x + r * y) for r in rho), torch.zeros_like(same))
        outside = torch.exp(log)
        step = max(1, BLOCK // same.numel())
        parts = []
        for start in range(0, len(sets), step):
            chunk = sets[start : start + step]
            value = outside.expand(len(chunk), -1, -1)
            for column in range(readout.size):
                value = value / (x + rho[chunk[:, column]][:, None, None] * y)
            form = torch.einsum("jr,fjk,kr->fr", u, value, w).real
            jump = 2.0 * (1.0 - lifted[start : start + step]) if readout.block else (2.0 * (1.0 - rho[chunk])).prod(1)
            if readout.size == 0:
                jump = torch.ones(len(chunk), dtype=rho.dtype, device=rho.device)
            turned = -1.0 if readout.block else (-1.0) ** readout.size
            parts.append(form * jump[:, None] * (sign * turned if flip else 1.0))
        total = total + torch.cat(parts)
    return 0.5 * total
