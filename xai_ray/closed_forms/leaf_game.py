"""One row of a model with a closed form, as sums of conjunctions over the players, one sum an explained output.

A tree over background rows: where only the row meets a leaf's conditions on a player, the player must be in; where only the background
row does, it must be out; where neither does, the leaf is never reached. Interventional tree values: Lundberg et al. (Nature Machine
Intelligence 2, 2020), algorithm 3.
"""

from __future__ import annotations

import numpy as np

from xai_ray.closed_forms.forest import Forest
from xai_ray.estimators.leaves import Leaves, linear_leaves
from xai_ray.types import Floats, Ints, Mask


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
    for leaves in forest.blocks(len(fillings)):
        feature = forest.feature[leaves]
        owner = np.where(feature < 0, -1, labels[feature])
        mine, theirs = forest.met(row, leaves), forest.met(fillings, leaves)
        # Columns that always stay are the row's own.
        kept = (mine[:, 0] | (owner >= 0)).all(axis=1)
        parts.append(_conjunctions(owner[kept], mine[kept], theirs[kept], value[leaves][kept] / len(fillings)))
    return _joined(parts, n, value.shape[1])


def _conjunctions(owner: Ints, mine: Mask, theirs: Mask, value: Floats) -> tuple[Ints, Mask, Floats]:
    """Players (p, c) with -1 where none, whether each must be in, and weights (p, k), of l leaves with c conditions of `owner` (l, c),
    which the row (l, 1, c) and K fillings (l, K, c) meet or not.
    """
    owner, mine, theirs = _by_player(owner, mine, theirs)
    free = owner < 0
    leaf, filling = np.nonzero((theirs | mine | free[:, None]).all(axis=2))
    there = theirs[leaf, filling] | free[leaf]
    packed = np.packbits(there, axis=1)
    keys = np.concatenate([leaf[:, None].astype(">i8").view(np.uint8), packed], axis=1)
    _, first, counts = np.unique(keys.view(f"V{keys.shape[1]}").ravel(), return_index=True, return_counts=True)
    leaf, there = leaf[first], there[first]
    own = mine[leaf, 0]
    # A player that both rows are fine with plays no part in this leaf.
    return np.where(own & there, -1, owner[leaf]), own & ~there, counts[:, None] * value[leaf]


def _by_player(owner: Ints, mine: Mask, theirs: Mask) -> tuple[Ints, Mask, Mask]:
    """The same with one condition a player: all of its own."""
    same = (owner[:, :, None] == owner[:, None, :]) & (owner >= 0)[:, :, None]
    earlier = np.tril(np.ones(same.shape[1:], dtype=np.bool_), -1)
    again = (same & earlier).any(axis=2)
    if not again.any():
        return owner, mine | (owner < 0)[:, None], theirs
    of = same.astype(np.float32)
    mine, theirs = (~((~part).astype(np.float32) @ of > 0) for part in (mine, theirs))
    owner = np.where(again, -1, owner)
    return owner, mine | (owner < 0)[:, None], theirs


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
