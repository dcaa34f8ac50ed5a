"""Posterior variances of all sets from those of a sample.

What a process leaves of a variance is not one share of the prior for all sets: it knows sets of players with long length scales
better. Over sets the two follow a power law closely, so its exponent is fitted too, column by column.
"""

from __future__ import annotations

import numpy as np

from xai_ray.types import Floats


def extrapolated(prior: Floats, sampled: Floats, left: Floats) -> Floats:
    """Posterior variances (f, r) for prior variances (f, r), from the prior and posterior variances (c, r) of sampled sets.

    log posterior = a + b log prior by least squares, scaled so that the sampled variances add up.
    """
    out = np.zeros_like(prior)
    for column in range(prior.shape[1]):
        seen = left[:, column] > 0
        if not seen.any():
            continue
        x, y = np.log(sampled[seen, column]), np.log(left[seen, column])
        away = x - x.mean()
        slope = float(away @ y / (away @ away)) if away @ away > 1e-12 else 1.0
        scale = left[:, column].sum() / np.exp(slope * away).sum()
        out[:, column] = scale * np.exp(slope * (np.log(prior[:, column]) - x.mean()))
    return out
