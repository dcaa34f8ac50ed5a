"""Profiles: mean marginal contributions and second differences by size of the context, from a table of all values."""

from __future__ import annotations

from math import comb

import numpy as np

from xai_ray.indices.transforms import coalition_sizes, count_players, halves
from xai_ray.types import Floats, Ints, Values


def player_profile(table: Values) -> Floats:
    """phi^(m)(i), shape (n, n, k): player, context size m = 0..n-1, output."""
    n = count_players(table)
    means = _ContextMeans(n - 1, table.shape[1])
    out = np.empty((n, n, table.shape[1]))
    for player in range(n):
        without, present = halves(table, player)
        out[player] = means(present - without)
    return out


def pair_profile(table: Values, pairs: tuple[tuple[int, ...], ...]) -> Floats:
    """I^(m)(i,j), shape (pairs, n-1, k): pair (i < j), context size m = 0..n-2, output. Deng et al. (ICLR 2022)."""
    n = count_players(table)
    means = _ContextMeans(n - 2, table.shape[1])
    out = np.empty((len(pairs), n - 1, table.shape[1]))
    for row, (i, j) in enumerate(pairs):
        cube = table.reshape(-1, 2, 1 << (j - i - 1), 2, 1 << i, table.shape[1])
        out[row] = means(cube[:, 1, :, 1] - cube[:, 1, :, 0] - cube[:, 0, :, 1] + cube[:, 0, :, 0])
    return out


class _ContextMeans:
    """Means over the 2^c contexts of each size; the bins are laid out once for all players or pairs."""

    def __init__(self, players: int, outputs: int) -> None:
        sizes = coalition_sizes(players)
        self._bins: Ints = (sizes[:, None] * outputs + np.arange(outputs)[None, :]).reshape(-1)
        self._counts: Floats = np.array([comb(players, m) for m in range(players + 1)], dtype=np.float64)
        self._outputs = outputs

    def __call__(self, differences: Floats) -> Floats:
        """Shape (c+1, k), from differences whose rows run through the contexts in order."""
        sums = np.bincount(self._bins, weights=differences.reshape(-1), minlength=len(self._counts) * self._outputs)
        return sums.reshape(-1, self._outputs) / self._counts[:, None]
