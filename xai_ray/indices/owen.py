"""The Owen value: Shapley among groups, then Shapley among the players of a group. Owen (1977)."""

from __future__ import annotations

from math import comb

import numpy as np

from xai_ray.indices.profile import player_profile
from xai_ray.indices.sets import mask_of, unions
from xai_ray.indices.transforms import coalition_sizes, count_players
from xai_ray.types import Values


def owen_values(table: Values, groups: tuple[tuple[int, ...], ...]) -> Values:
    """Owen value of every player, shape (n, k); `groups` is a partition of the players."""
    out = np.empty((count_players(table), table.shape[1]))
    for group in groups:
        others = [mask_of(other) for other in groups if other is not group]
        out[list(group)] = player_profile(_game_within(table, group, others)).mean(axis=1)
    return out


def _game_within(table: Values, group: tuple[int, ...], others: list[int]) -> Values:
    # The game of the group's own players, averaged over which other groups came before with Shapley's weights.
    weights = np.array([1 / ((len(others) + 1) * comb(len(others), r)) for r in range(len(others) + 1)])
    before = unions(others)
    inside = unions(1 << player for player in group)
    values = table[before[:, None] | inside[None, :]]
    return np.einsum("r,rtk->tk", weights[coalition_sizes(len(others))], values)
