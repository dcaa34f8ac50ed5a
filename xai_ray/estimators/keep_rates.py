"""A read-out as a mixture over keep-rates, so that a product over players is all that a closed form has to integrate.

For a function f(T) = prod_l f_l(l in T) the mean over contexts in which every player joins with keep-rate q is
prod_l ((1 - q) f_l(0) + q f_l(1)), a polynomial in q (Owen's multilinear extension, 1972). A Beta law of q is integrated exactly by
Gauss-Jacobi nodes. A fixed context size m is the coefficient of x^m of prod_l (f_l(0) + x f_l(1)), taken from nodes on a circle; a radius
serves the sizes near r n / (1 + r), beyond that rounding would be magnified, so that several circles share the sizes between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import roots_jacobi

from xai_ray.indices import KeepRate, Readout
from xai_ray.indices.weights import log_binomial
from xai_ray.types import Floats, Ints

Complexes: TypeAlias = npt.NDArray[np.complex128]

MAGNIFICATION = 1e5
"""Rounding errors of a fixed context size grow by at most this factor."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """j nodes, r columns: the read-out of a product is Re sum_j weights[j, r] prod_l (absent[j] f_l(0) + present[j] f_l(1))."""

    absent: Complexes
    """Shape (j,)."""
    present: Complexes
    """Shape (j,)."""
    weights: Complexes
    """Shape (j, r); the product runs over the n - s players outside the set."""


def mixture(readout: Readout) -> Mixture:
    """The nodes that integrate a read-out exactly (to rounding)."""
    others = readout.weights.shape[1] - 1
    if readout.keep_rate is not None:
        rates, weights = _nodes(readout.keep_rate, others)
        return Mixture(
            _complex([1.0 - rates + 0j]), _complex([rates + 0j]), _complex([readout.scale * weights[:, None] + 0j])
        )
    return _circles(readout.weights, others)


def _nodes(law: KeepRate, degree: int) -> tuple[Floats, Floats]:
    if law.point is not None:
        return np.array([law.point]), np.ones(1)
    x, weights = roots_jacobi(degree // 2 + 1, law.beta - 1.0, law.alpha - 1.0)
    return (np.asarray(x) + 1.0) / 2.0, np.asarray(weights) / np.sum(weights)


def _circles(columns: Floats, degree: int) -> Mixture:
    """Weights by context size, shape (r, degree + 1), as nodes: the empty and the full context directly, the others by circles."""
    absent, present = [np.array([1.0 + 0j, 0.0])], [np.array([0j, 1.0])]
    weights = [columns[:, [0, degree]].T + 0j] if degree else [np.stack([columns[:, 0], 0 * columns[:, 0]]) + 0j]
    left = np.flatnonzero((columns != 0).any(axis=0))
    left = left[(left > 0) & (left < degree)]
    while len(left):
        centre, served = _circle(left, degree)
        radius = centre / (degree - centre)
        nodes = _upper_half(degree + 1)
        x = radius * np.exp(1j * nodes[0])
        # prod (f(0) + x f(1)) / (1 + r)^N stays below one; the weights put the power of the radius back, in logs.
        log = degree * np.log1p(radius) - served * np.log(radius) - log_binomial(degree, served.astype(np.float64))
        phases = np.exp(-1j * nodes[0][:, None] * served) * nodes[1][:, None] / (degree + 1)
        absent.append(np.full(len(x), 1.0 / (1.0 + radius) + 0j))
        present.append(x / (1.0 + radius))
        weights.append((phases * np.exp(log)) @ columns[:, served].T)
        left = np.setdiff1d(left, served)
    return Mixture(_complex(absent), _complex(present), _complex(weights))


def _complex(parts: Sequence[npt.NDArray[np.complexfloating]]) -> Complexes:
    return np.concatenate(parts).astype(np.complex128)


def _circle(left: Ints, degree: int) -> tuple[float, Ints]:
    """The context size a circle is centred at, so that it still serves the smallest that is left, and all that it serves."""
    sizes = np.arange(degree + 1, dtype=np.float64)
    for centre in range(degree - 1, int(left[0]) - 1, -1):
        rate = centre / degree
        log = log_binomial(degree, sizes) + sizes * np.log(rate) + (degree - sizes) * np.log1p(-rate)
        good = log >= log.max() - np.log(MAGNIFICATION)
        if good[left[0]]:
            return float(centre), left[good[left]]
    raise AssertionError("a circle centred at a size serves it")


def _upper_half(count: int) -> tuple[Floats, Floats]:
    """Angles of the nodes with non-negative imaginary part, never at pi where a factor may vanish, and their multiplicities."""
    turn = 0.0 if count % 2 else 0.5
    angles = 2 * np.pi * (np.arange((count + 1) // 2) + turn) / count
    return angles, np.where(angles == 0.0, 1.0, 2.0)
