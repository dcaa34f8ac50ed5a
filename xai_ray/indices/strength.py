"""Interaction strength per order. Deng, Ren, Zhang, Zhang (ICLR 2022), eq. 3."""

from __future__ import annotations

import numpy as np

from xai_ray.types import Floats


def strength_per_order(profile: Floats) -> Floats:
    """J^(m) = mean over pairs of |I^(m)(i,j)|, shape (m, k), from a profile of shape (pairs, m, k). Not normalised."""
    return np.abs(profile).mean(axis=0)


def root_mean_square_strength(profile: Floats) -> Floats:
    """J_2^(m) = root of the mean over pairs of I^(m)(i,j)^2, shape (m, k), from a profile of shape (pairs, m, k)."""
    return np.sqrt((profile**2).mean(axis=0))


def normalised_strength(strength: Floats) -> Floats:
    """Strengths of shape (..., m, k) divided by their mean over the measured orders: the published form, with mean one.

    NaN for an output without any interaction: the shape of its curve is not defined.
    """
    scale = strength.mean(axis=-2, keepdims=True)
    return np.divide(strength, scale, out=np.full_like(strength, np.nan), where=scale > 0)
