"""Variances of a read-out of held-out residuals: their second moments cell by cell (players of the set in the coalition, size).

A cell's moment is drawn towards the mean of its stratum where the cell was seen only a few times. Neighbouring strata of few pairs share
their moments: at n = 1,000 players a stratum has three pairs, and the moments of 500 strata are neither known nor affordable.
"""

from __future__ import annotations

from math import comb

import numpy as np

from xai_ray.estimators.cell_sums import pattern_shares, pattern_sums
from xai_ray.estimators.sized import SizedRows
from xai_ray.types import Coalitions, Floats, Ints, Values

_PRIOR_ROWS = 4.0
"""A cell's second moment is averaged with this many pseudo-rows of its stratum's mean."""
_POOLED_PAIRS = 48
"""Neighbouring strata are joined until they have this many pairs, in large games alone: half as many a stratum is enough to stand alone."""


def variance(rows: SizedRows, held_out: Values, weights: Floats, sets: Ints) -> Floats:
    """Variance of the correction of sets (c, s), shape (c, R, k).

    held_out: residuals (r, k); weights: (R, s + 1, n + 1) as `row_weights` gives them. Strata that ran out carry none.
    """
    size, outputs = sets.shape[1], held_out.shape[1]
    out = np.zeros((len(sets), weights.shape[0], outputs))
    count = len(rows.pairs.stratum)
    inside, outside = held_out[2 : 2 + count], held_out[2 + count :]
    for group in _groups(rows, weights):
        factors = _factors(rows, weights, group).reshape(len(weights), -1).T
        here = np.isin(rows.pairs.stratum, group)
        members, r, q, share = _either_side(rows, here, inside[here], outside[here])
        seen = np.maximum(pattern_sums(members, share[:, None], sets), 0.0) + _PRIOR_ROWS
        for k in range(outputs):
            products = np.stack([r[:, k] ** 2, r[:, k] * q[:, k], q[:, k] ** 2], axis=1) * share[:, None]
            moments = pattern_sums(members, products, sets)
            moments += _PRIOR_ROWS * products.sum(axis=0) / share.sum()
            moments /= seen
            # Rounding may leave a little below zero.
            flat = moments.transpose(1, 0, 2).reshape(len(sets), 3 * (size + 1))
            out[:, :, k] += np.maximum(flat @ factors, 0.0)
    return out


def _groups(rows: SizedRows, weights: Floats) -> list[Ints]:
    """Strata that are read and did not run out, ascending, joined where they have few pairs."""
    n = rows.n_players
    counts = np.bincount(rows.pairs.stratum, minlength=n // 2 + 1)
    read = (weights != 0).any(axis=(0, 1))
    used = [h for h in range(1, n // 2 + 1) if counts[h] and rows.share[h] < 1.0 and (read[h] or read[n - h])]
    groups: list[list[int]] = []
    for h in used:
        if groups and counts[h] < _POOLED_PAIRS // 2 and counts[groups[-1]].sum() < _POOLED_PAIRS:
            groups[-1].append(h)
        else:
            groups.append([h])
    return [np.array(group, dtype=np.int64) for group in groups]


def _factors(rows: SizedRows, weights: Floats, group: Ints) -> Floats:
    """What the moments of r r, r q and q q of a pair (in, complement) count for, shape (R, s + 1, 3), summed over strata.

    A pair with w players of the set in S has the other s - w in the complement of S.
    """
    n, size = rows.n_players, weights.shape[1] - 1
    counts = np.bincount(rows.pairs.stratum, minlength=n // 2 + 1)[group]
    times = np.array([comb(size, w) for w in range(size + 1)])[:, None]
    expected = (1.0 - rows.share[group]) * counts * times * pattern_shares(n, size)[:, group]
    a, b = weights[:, :, group] / rows.drawn[group], weights[:, ::-1, n - group] / rows.drawn[n - group]
    return np.stack([(expected * part).sum(axis=2) for part in (a * a, 2 * a * b, b * b)], axis=2)


def _either_side(rows: SizedRows, here: np.ndarray, r: Values, q: Values) -> tuple[Coalitions, Values, Values, Floats]:
    """Members, residuals of either side and weights of the pairs; one of the middle stratum counts half from either side, since
    which of its members comes first is a matter of player 0.
    """
    members, middle = rows.pairs.members[here], 2 * rows.pairs.stratum[here] == rows.n_players
    share = np.where(middle, 0.5, 1.0)
    return (
        np.concatenate([members, ~members[middle]]),
        np.concatenate([r, q[middle]]),
        np.concatenate([q, r[middle]]),
        np.concatenate([share, share[middle]]),
    )
