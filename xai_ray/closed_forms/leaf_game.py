"""One row of a model with a closed form, as sums of conjunctions over the players, one sum an explained output.

A tree over background rows: where only the row meets a leaf's conditions on a player, the player must be in; where only the background
row does, it must be out; where neither does, the leaf is never reached. Interventional tree values: Lundberg et al. (Nature Machine
Intelligence 2, 2020), algorithm 3.
"""

from __future__ import annotations

import numpy as np

from xai_ray.closed_forms.forest import Forest, Mask, by_player
from xai_ray.estimators.leaves import Leaves, linear_leaves
from xai_ray.types import Floats, Ints


def affine_leaves(slopes: Floats, row: Floats, fillings: Floats, labels: Ints, n: int) -> list[Leaves]:
    """Slopes (d, k), row (d,), fillings (K, d), the player of each column (d,): one sum of single players an output."""
    gains = slopes * (row - fillings.mean(axis=0))[:, None]
    taken = labels >= 0
    by_player = np.zeros((n, slopes.shape[1]))
    np.add.at(by_player, labels[taken], gains[taken])
    return [linear_leaves(n, by_player[:, k]) for k in range(slopes.shape[1])]


def forest_leaves(forest: Forest, value: Floats, row: Floats, fillings: Floats, labels: Ints, n: int) -> list[Leaves]:
    """Leaves of the game for value (l, k), the explained values of the forest's leaves."""
    row, fillings = forest.cast(row[None]), forest.cast(fillings)
    parts: list[tuple[Ints, Mask, Floats]] = []
    for leaf in range(len(value)):
        owner = labels[forest.feature[leaf][forest.feature[leaf] >= 0]]
        met = forest.inside(row, leaf)
        # Columns that always stay are the row's own.
        if not met[:, owner < 0].all():
            continue
        players = np.unique(owner[owner >= 0])
        mine = by_player(met, owner, players)[0]
        theirs = by_player(forest.inside(fillings, leaf), owner, players)
        codes, counts = np.unique(theirs, axis=0, return_counts=True)
        alive = (codes | mine).all(axis=1)
        codes, counts = codes[alive], counts[alive]
        # A player that both rows are fine with plays no part in this leaf.
        used = np.where(codes & mine, -1, players[None])
        weight = counts[:, None] / len(fillings) * value[leaf]
        parts.append((used, np.broadcast_to(mine, codes.shape) & ~codes, weight))
    return _joined(parts, n, value.shape[1])


def _joined(parts: list[tuple[Ints, Mask, Floats]], n: int, k: int) -> list[Leaves]:
    width = max((used.shape[1] for used, _, _ in parts), default=0)
    players = np.concatenate(
        [np.pad(used, ((0, 0), (0, width - used.shape[1])), constant_values=-1) for used, _, _ in parts]
        or [np.zeros((0, width), dtype=np.int64)]
    )
    needed = np.concatenate(
        [np.pad(own, ((0, 0), (0, width - own.shape[1]))) for _, own, _ in parts]
        or [np.zeros((0, width), dtype=np.bool_)]
    )
    weights = np.concatenate([weight for _, _, weight in parts] or [np.zeros((0, k))])
    ends = np.zeros(len(players), dtype=np.int64)
    return [Leaves.of(n, weights[:, at], players, needed & (players >= 0), ends, ends + n) for at in range(k)]
