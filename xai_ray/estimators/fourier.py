"""Fourier coefficients of a sum of leaves: v = sum over T of beta_T chi_T, chi_T(S) = (-1)^|T n S|.

A leaf without size limits, with players D = A u R, has 2^|D| coefficients: c 2^-|D| (-1)^|T n A| for T within D.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from xai_ray.estimators.leaves import Leaves
from xai_ray.types import Coalitions, Floats, Ints


def spectrum(leaves: Leaves, size: int) -> tuple[Ints, Floats]:
    """Sets of `size` players, shape (c, size), that some leaf holds, and their coefficients, shape (c,); lexicographic order."""
    n, width = leaves.n_players, leaves.players.shape[1]
    held = (leaves.players >= 0).sum(axis=1)
    share = leaves.value * np.exp2(-held.astype(np.float64))
    sets: list[Ints] = []
    shares: list[Floats] = []
    for chosen in combinations(range(width), size):
        places = np.array(chosen, dtype=np.int64)
        used = np.flatnonzero(held > places[-1]) if size else np.arange(len(held))
        sign = np.where(leaves.needed[used[:, None], places].sum(axis=1) % 2 == 0, 1.0, -1.0)
        sets.append(leaves.players[used[:, None], places])
        shares.append(sign * share[used])
    if not sets:
        return np.zeros((0, size), dtype=np.int64), np.zeros(0)
    every = np.concatenate(sets)
    keys = every @ (n ** np.arange(size - 1, -1, -1, dtype=np.int64))
    _, first, where = np.unique(keys, return_index=True, return_inverse=True)
    total = np.zeros(len(first))
    total += np.bincount(where.reshape(-1), weights=np.concatenate(shares), minlength=len(first))
    return every[first], total


def characters(coalitions: Coalitions, sets: Ints) -> Floats:
    """chi_T of r coalitions for sets T of one size, shape (r, c)."""
    signs = np.where(coalitions, -1.0, 1.0)
    out = np.ones((len(coalitions), len(sets)))
    for column in sets.T:
        out *= signs[:, column]
    return out
