"""What a mean over rows takes of a Gaussian process on their common design: see `unshrunk`."""

from __future__ import annotations

import numpy as np

from xai_ray.estimators.gp_process import Process
from xai_ray.estimators.gp_system import Dense
from xai_ray.estimators.gp_torch import numbers
from xai_ray.estimators.readouts import asked_sets
from xai_ray.estimators.unshrunk import Unshrinking
from xai_ray.indices import Question, readouts
from xai_ray.types import Coalitions, Floats

LARGEST_READ = 1 << 25
"""Entries of a read-out, sets by columns by rows, up to which this is computed."""


def gp_over_rows(
    question: Question,
    process: Process,
    coalitions: Coalitions,
    stochastic: bool,
    parameters: int,
) -> tuple[Floats, Floats] | None:
    """See `RowEstimator`. `parameters` were fitted."""
    if not isinstance(process.system, Dense):
        return None
    n = coalitions.shape[1]
    inverse, alpha = numbers(process.system.inverse()), numbers(process.alpha)
    # The mean is free, and estimated: universal kriging takes it out.
    ones = inverse.sum(axis=1)
    precision = inverse - np.outer(ones, ones) / ones.sum()
    data = alpha - ones[:, None] * (alpha.sum(axis=0) / ones.sum())
    ready = Unshrinking(coalitions, precision, data, stochastic)
    found: list[tuple[Floats, Floats]] = []
    for readout in readouts(question, n):
        sets = asked_sets(question, n, readout.size)
        if len(sets) * len(readout.weights) * len(coalitions) > LARGEST_READ:
            return None
        covariance, prior = process.covariance(readout, sets, roughness=not stochastic)
        own = covariance @ inverse
        posterior = np.maximum(prior - (own * covariance).sum(axis=2), 0.0)
        # The process is conditioned on values less their mean.
        part = ready.read(readout, sets, own - own.mean(axis=2, keepdims=True), posterior)
        if part is None:
            return None
        found.append((part[0], part[1] * (1.0 + 2.0 * parameters / len(coalitions))))
    shifts, variances = zip(*found, strict=True)
    return np.concatenate(shifts), np.concatenate(variances)
