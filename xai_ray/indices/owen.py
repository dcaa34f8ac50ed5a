"""The Owen value: Shapley among groups, then Shapley inside a group. Owen (1977); groups of groups: Winter (1989)."""

from __future__ import annotations

from math import comb

import numpy as np

from xai_ray.indices.grouping import Group, members
from xai_ray.indices.sets import mask_of, unions
from xai_ray.indices.transforms import coalition_sizes, count_players
from xai_ray.types import Floats, Ints, Values


def owen_values(table: Values, groups: tuple[Group, ...]) -> Values:
    """Owen value of every player, shape (n, k); `groups` is a partition of the players, whose groups may be grouped in turn."""
    out = np.empty((count_players(table), table.shape[1]))
    _descend(table, groups, np.zeros(1, dtype=np.int64), np.ones(1), out)
    return out


def _descend(table: Values, parts: Group, before: Ints, weights: Floats, out: Values) -> None:
    """Players of `parts`, given who came before them from outside: rows and their probabilities, each of shape (b,)."""
    masks = [mask_of(members(part)) if isinstance(part, tuple) else 1 << part for part in parts]
    for part, own in zip(parts, masks, strict=True):
        others = [mask for mask in masks if mask != own]
        shapley = np.array([1 / ((len(others) + 1) * comb(len(others), r)) for r in range(len(others) + 1)])
        rows = (before[:, None] | unions(others)[None, :]).reshape(-1)
        chances = (weights[:, None] * shapley[coalition_sizes(len(others))][None, :]).reshape(-1)
        if isinstance(part, tuple):
            _descend(table, part, rows, chances, out)
        else:
            out[part] = chances @ (table[rows | own] - table[rows])
