"""Small real-valued tables that tests share."""

from __future__ import annotations

import numpy as np

from xai_ray.coalitions.exhaustive import unpack


def smooth_table(n: int, outputs: int = 1, seed: int = 0, roughness: float = 0.1) -> np.ndarray:
    """(2^n, k): a saturating function of main and pair effects, plus roughness of every order; v(empty) is not 0."""
    rng = np.random.default_rng(seed)
    z = unpack(np.arange(1 << n), n).astype(float)
    columns = []
    for _ in range(outputs):
        pairs = rng.normal(size=(n, n)) / n
        inner = z @ rng.normal(size=n) + np.einsum("ri,ij,rj->r", z, pairs, z)
        columns.append(3 * np.tanh(inner / 2) + roughness * rng.normal(size=1 << n) + 1)
    return np.stack(columns, axis=1)
