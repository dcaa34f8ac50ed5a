"""Groupings of players: a flat partition, or groups of groups to any depth."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, TypeAlias, cast

from xai_ray.errors import SpecError

Group: TypeAlias = "tuple[int | Group, ...]"
"""Players, and groups of them."""


def plain(groups: Any) -> tuple[Group, ...]:
    """Lists become tuples and NumPy numbers Python's own. Raises TypeError for what is neither group nor whole number."""
    return tuple(_plain(group) for group in groups)


def _plain(part: Any) -> Any:
    if not isinstance(part, list | tuple):
        return index(part)
    return tuple(_plain(inner) for inner in cast(Sequence[Any], part))


def members(group: Group) -> tuple[int, ...]:
    """Players of a group, at whatever depth, in the order in which they are named."""
    out: list[int] = []
    for part in group:
        out += members(part) if isinstance(part, tuple) else [part]
    return tuple(out)


def is_flat(group: Group) -> bool:
    """Whether a group holds players only."""
    return not any(isinstance(part, tuple) for part in group)


def check_filled(groups: tuple[Group, ...], tag: str) -> None:
    """Raises SpecError for a group without players, at any depth."""
    for group in groups:
        if not members(group):
            raise SpecError(f"{tag}: a group is empty; every group needs a player")
        check_filled(tuple(part for part in group if isinstance(part, tuple)), tag)


def levels(groups: tuple[Group, ...], n: int) -> tuple[tuple[int, ...], ...]:
    """For each level, coarsest first, the number of every player's group; a player without a group at a level is one by itself."""
    out: list[tuple[int, ...]] = []
    here: list[Group] = list(groups)
    while here:
        label, below = [-1] * n, list[Group]()
        for number, group in enumerate(here):
            for player in members(group):
                label[player] = number
            below += [part for part in group if isinstance(part, tuple)]
        alone = [player for player in range(n) if label[player] < 0]
        for number, player in enumerate(alone, start=len(here)):
            label[player] = number
        out.append(tuple(label))
        here = below
    return tuple(out)
