"""How much wider than the posterior the intervals of the Gaussian process have to be.

Two things that the posterior takes for granted are measured: that the data are as rough at every size as the kernel says (the mean squared
standardised leave-one-out residual by size, Rasmussen, Williams 2006, eq. 5.12; only ever a widening), and that the parameters are known
(n + 3 of them, fitted to the same rows).
"""

from __future__ import annotations

from math import comb

import numpy as np

from xai_ray.estimators.gp_process import Process
from xai_ray.indices import Readout
from xai_ray.types import Coalitions, Floats

_PRIOR_ROWS = 4.0
"""The roughness of a size is averaged with this many pseudo-rows of the posterior's own."""


def roughness_by_size(process: Process, coalitions: Coalitions) -> Floats:
    """Mean squared standardised leave-one-out residual by size, shape (n + 1, k); one where the posterior is right."""
    squares = process.standardised() ** 2
    sizes, n = coalitions.sum(axis=1), coalitions.shape[1]
    count = np.bincount(sizes, minlength=n + 1)[:, None]
    sums = np.zeros((n + 1, squares.shape[1]))
    np.add.at(sums, sizes, squares)
    return (sums + _PRIOR_ROWS) / (count + _PRIOR_ROWS)


def widening(
    readout: Readout, roughness: Floats, coalitions: Coalitions, stochastic: bool, parameters: int | None = None
) -> Floats:
    """Factors of the standard errors of a read-out, shape (r, k), from the roughness by size (n + 1, k). `parameters` were fitted, n + 3
    if left out.

    Zero where every size that a column reads is exhausted: nothing is left to be uncertain of, unless values are noisy.
    """
    rows, n = coalitions.shape
    fitted = n + 3 if parameters is None else parameters
    times = np.array([comb(readout.size, w) for w in range(readout.size + 1)])[None, :, None]
    drawn = np.bincount(coalitions.sum(axis=1), minlength=n + 1)
    there = np.array([float(comb(n, t)) for t in range(n + 1)])
    open_share = np.ones(n + 1) if stochastic else np.maximum(1.0 - drawn / there, 0.0)
    felt = (times * readout.cells**2).sum(axis=1) * open_share / np.maximum(drawn, 1)
    total = felt.sum(axis=1, keepdims=True)
    mean = np.divide(felt @ roughness, total, out=np.ones((len(felt), roughness.shape[1])), where=total > 0)
    return np.sqrt(np.maximum(mean, 1.0) * (1.0 + 2.0 * fitted / rows)) * (total > 0)
