"""Read-outs of the covariance of the Gaussian process on the cube, in closed form: with the data, with themselves.

The tilted product kernel at a row T is w(T) times a product over players: a factor `present` for a player in the other coalition, `absent`
for one that is not. A node of the mixture joins players with weights (absent, present), so the read-out of the kernel is a
product of node.absent * absent + node.present * present, in which a player of the set has the factor present - absent instead
(a block: all present minus all absent).
"""

from __future__ import annotations

from math import comb

import numpy as np
import torch
from torch import Tensor

from xai_ray.estimators.gp_kernel import Hyper
from xai_ray.estimators.gp_torch import distinct, numbers, split, tensor
from xai_ray.estimators.keep_rates import Mixture
from xai_ray.indices import Readout
from xai_ray.indices.weights import log_binomial

BLOCK = 4_000_000
"""Entries of an intermediate array."""


def cross(hyper: Hyper, members: Tensor, readout: Readout, nodes: Mixture, sets: Tensor) -> Tensor:
    """Covariance of read-outs with the values of rows, shape (f, r, p): f sets (f, s), r columns, p rows (p, n)."""
    if readout.size == 1:
        smooth = _of_players(hyper, members, nodes, sets[:, 0]) * hyper.weight(members)
        return smooth + hyper.linear * _linear(members, readout, sets)
    present, absent = factors(hyper, members)
    weights = tensor(nodes.weights).to(members.device)
    real = is_real(nodes)
    rows, step = len(members), max(1, BLOCK // max(1, len(members) * len(sets)))
    out = members.new_zeros((weights.shape[1], rows * len(sets)))
    for start in range(0, len(weights), step):
        used = weights[start : start + step].T
        at = range(start, start + used.shape[1])
        stacked = torch.stack([_node(nodes, j, absent, present, readout, sets, real) for j in at]).reshape(len(at), -1)
        out += used.real @ stacked if real else used.real @ stacked.real - used.imag @ stacked.imag
    smooth = out.reshape(-1, rows, len(sets)).permute(2, 0, 1) * hyper.weight(members)
    return smooth + hyper.linear * _linear(members, readout, sets)


def _of_players(hyper: Hyper, members: Tensor, nodes: Mixture, players: Tensor) -> Tensor:
    """Read-outs of the product kernel for single players (f,), shape (f, r, p). A factor has two values a player and node, one for rows
    that hold the player and one for those that do not, so logarithms are taken of these alone and the rest is products of matrices.
    """
    rows = torch.stack([torch.ones_like(hyper.theta), torch.zeros_like(hyper.theta)])
    present, absent = (part[..., None] for part in factors(hyper, rows))
    leave, join, weights = (tensor(part).to(members.device) for part in (nodes.absent, nodes.present, nodes.weights))
    if is_real(nodes):
        leave, join, weights = leave.real, join.real, weights.real
    # Of rows that hold the player, and of those that do not: (2, n, j).
    factor = leave * absent + join * present
    log, ratio = factor.log(), (present - absent) / factor
    whole = (members.to(log.dtype) @ (log[0] - log[1]) + log[1].sum(0)).exp()
    held = members[:, players].T
    columns: list[Tensor] = []
    for of in weights.T:
        inside, outside = ratio[:, players] @ (whole * of).T
        columns.append(torch.where(held > 0, inside, outside))
    out = torch.stack(columns, dim=1)
    return out.real if out.is_complex() else out


def factors(hyper: Hyper, members: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of the tilted product kernel at rows (p, n) for a player that is in, and for one that is out; each (p, n)."""
    rho, (high, low) = torch.exp(-hyper.theta), _halves(hyper)
    return (members + (1.0 - members) * rho) * high, (members * rho + 1.0 - members) * low


def _halves(hyper: Hyper) -> tuple[float, float]:
    """A player's share of the tilt when present, when absent."""
    half = float(np.exp(0.5 * hyper.tilt / len(hyper.theta)))
    return half, 1.0 / half


def is_real(nodes: Mixture) -> bool:
    """Whether all nodes and weights of a mixture are real."""
    return not (nodes.weights.imag.any() or nodes.present.imag.any())


def _node(
    nodes: Mixture, j: int, absent: Tensor, present: Tensor, readout: Readout, sets: Tensor, real: bool
) -> Tensor:
    """Products over players at one node, shape (p, f)."""
    out, join = complex(nodes.absent[j]), complex(nodes.present[j])
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


def _linear(members: Tensor, readout: Readout, sets: Tensor) -> Tensor:
    """Read-outs of 1 + sum_l s_l t_l / n, broadcastable to (f, r, p)."""
    n, s = members.shape[1], readout.size
    weights = tensor(readout.weights).to(members)
    signs = (2.0 * members - 1.0) / n
    if s == 0:
        lean = torch.linspace(-1.0, 1.0, n + 1, dtype=members.dtype, device=members.device)
        return (weights.sum(1)[:, None] + (weights @ lean)[:, None] * signs.sum(1))[None]
    if s > 1 and not readout.block:
        return members.new_zeros((1, 1, 1))
    return weights.sum(1)[None, :, None] * (2.0 * signs.T[sets].sum(1))[:, None, :]


def known(members: Tensor, readout: Readout, sets: Tensor) -> Tensor:
    """Weights of the read-outs on the rows themselves, shape (f, r, p)."""
    table = row_table(readout).to(members)
    inside = members[:, sets].sum(2).long()
    return table[:, inside, members.sum(1).long()[:, None]].permute(2, 0, 1)


def row_table(readout: Readout) -> Tensor:
    """Weight of one coalition of size t that holds w players of the set, shape (r, s + 1, n + 1)."""
    s, n = readout.size, readout.n_players
    w, t = np.mgrid[0 : s + 1, 0 : n + 1].astype(np.float64)
    possible = (t >= w) & (t - w <= n - s)
    log = log_binomial(n - s, np.where(possible, t - w, 0.0))
    return tensor(np.where(possible, readout.cells * np.exp(-log), 0.0))


def own_variance(hyper: Hyper, readout: Readout) -> Tensor:
    """Sum over coalitions of squared weights times squared tilt, shape (r,): the variance of the roughness, in units of the nugget."""
    n = readout.n_players
    times = np.array([comb(readout.size, w) for w in range(readout.size + 1)])[None, :, None]
    tilt = np.exp(2.0 * hyper.tilt * (np.arange(n + 1) / n - 0.5))
    return tensor(np.asarray((times * numbers(row_table(readout)) * readout.cells * tilt).sum(axis=(1, 2))))


def prior_variance(hyper: Hyper, readout: Readout, nodes: Mixture, sets: Tensor) -> Tensor:
    """Prior variance of read-outs of the smooth part, shape (f, r)."""
    smooth = hyper.theta.new_empty((len(sets), readout.weights.shape[0]))
    # Contexts of one circle share their nodes, and meet none of the others.
    supports, groups = np.unique(nodes.weights != 0, axis=1, return_inverse=True)
    for group, used in enumerate(supports.T):
        here = np.flatnonzero(groups == group)
        part = Mixture(nodes.absent[used], nodes.present[used], nodes.weights[used][:, here])
        smooth[:, tensor(here).to(smooth.device)] = _smooth_variance(hyper, part, readout, sets)
    n, sums = len(hyper.theta), readout.weights.sum(1)
    if readout.size == 0:
        extra = sums**2 + (readout.weights @ np.linspace(-1.0, 1.0, n + 1)) ** 2
    else:
        extra = (4.0 * readout.size / n if readout.size == 1 or readout.block else 0.0) * sums**2
    return smooth + hyper.linear * tensor(extra).to(smooth)


def _smooth_variance(hyper: Hyper, nodes: Mixture, readout: Readout, sets: Tensor) -> Tensor:
    weights = tensor(nodes.weights).to(hyper.theta.device)
    smooth = _quadratic(hyper, nodes, nodes, readout, sets, weights, weights)
    if is_real(nodes):
        return smooth
    # Re x Re y = Re (x y + x conj y) / 2.
    mirrored = Mixture(nodes.absent.conj(), nodes.present.conj(), nodes.weights.conj())
    return 0.5 * (smooth + _quadratic(hyper, nodes, mirrored, readout, sets, weights, weights.conj()))


def _quadratic(
    hyper: Hyper, left: Mixture, right: Mixture, readout: Readout, sets: Tensor, u: Tensor, w: Tensor
) -> Tensor:
    """Read-outs of the tilted product kernel over both of its arguments, shape (f, r)."""
    rho, (high, low) = torch.exp(-hyper.theta), _halves(hyper)
    a0, a1 = (tensor(x).to(rho.device)[:, None] for x in (left.absent, left.present))
    b0, b1 = (tensor(x).to(rho.device)[None, :] for x in (right.absent, right.present))
    same, differ = a0 * b0 * low**2 + a1 * b1 * high**2, a0 * b1 + a1 * b0
    # Players with one length scale have the same factors: in `gp_shared` these are all of them.
    scales, of_player, count = distinct(rho)
    log = torch.zeros_like(same)
    for r, times in zip(scales, count, strict=True):
        log += times * torch.log(same + r * differ)
    outside = torch.exp(log)
    s = readout.size
    if s == 0:
        jump = torch.ones(len(sets), dtype=rho.dtype, device=rho.device)
    elif readout.block:
        jump = high ** (2 * s) + low ** (2 * s) - 2.0 * rho[sets].prod(1)
    else:
        jump = (high**2 + low**2 - 2.0 * rho[sets]).prod(1)
    if s == 2 and not readout.block and len(sets) > len(rho):
        return _pairs(rho, same, differ, outside, u, w)[sets[:, 0], sets[:, 1]] * jump[:, None]
    if s == 1:
        found = [_alone(chunk, same, differ, outside, u, w) for chunk in split(scales, max(1, BLOCK // same.numel()))]
        return torch.cat(found)[of_player[sets[:, 0]]] * jump[:, None]
    parts: list[Tensor] = []
    for chunk in split(sets, max(1, BLOCK // same.numel())):
        value = outside.expand(len(chunk), -1, -1)
        for column in range(s):
            value = value / (same + rho[chunk[:, column]][:, None, None] * differ)
        parts.append(torch.einsum("jr,fjk,kr->fr", u, value, w).real)
    return torch.cat(parts) * jump[:, None]


def _alone(rho: Tensor, same: Tensor, differ: Tensor, outside: Tensor, u: Tensor, w: Tensor) -> Tensor:
    """Sums over nodes for players of these length scales (l,), shape (l, r)."""
    value = outside / (same + rho[:, None, None] * differ)
    return torch.einsum("jr,fjk,kr->fr", u, value, w).real


def _pairs(rho: Tensor, same: Tensor, differ: Tensor, outside: Tensor, u: Tensor, w: Tensor) -> Tensor:
    """Sums over nodes of all pairs of players as matrix products, shape (n, n, r)."""
    n, columns = len(rho), u.shape[1]
    out = rho.new_zeros((columns, n, n))
    step = max(1, BLOCK // (n * len(w)))
    for start in range(0, len(u), step):
        here = slice(start, start + step)
        inner = (1.0 / (same[here] + rho[:, None, None] * differ[here])).reshape(n, -1)
        for column in range(columns):
            weight = (u[here, column, None] * outside[here] * w[:, column]).reshape(-1)
            out[column] += ((inner * weight) @ inner.T).real
    return out.permute(1, 2, 0)
