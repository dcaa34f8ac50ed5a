"""Players of interest by number or by name."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from operator import index

import numpy as np

from xai_ray.errors import SpecError


def player_numbers(players: Sequence[int | str] | None, names: Sequence[str], where: str) -> tuple[int, ...] | None:
    """Numbers of players that are given by number or by name; None stays None, and `resolve` checks the range. `where` begins messages.

    Raises SpecError for a name that no player has, or several, and for what is neither.
    """
    if players is None:
        return None
    if isinstance(players, (str, bytes)) or not hasattr(players, "__iter__"):
        raise SpecError(f"{where} is a list of players by number or by name, as [0, 3]; got {players!r}")
    return tuple(_number(player, names, where) for player in players)


def _number(player: int | str, names: Sequence[str], where: str) -> int:
    if not isinstance(player, str):
        try:
            if not isinstance(player, (bool, np.bool_)):
                return index(player)
        except TypeError:
            pass
        raise SpecError(f"{where} names players by number or by name, got {player!r}")
    found = [at for at, name in enumerate(names) if name == player]
    if not found:
        near = get_close_matches(player, names, n=1, cutoff=0.5)
        known = ", ".join(names[:8]) + (f", ... {names[-1]}" if len(names) > 8 else "")
        raise SpecError(
            f"{where}: unknown player {player!r}; " + (f"did you mean {near[0]!r}?" if near else f"players are {known}")
        )
    if len(found) > 1:
        raise SpecError(f"{where}: {len(found)} players are called {player!r}; give their numbers, as {found[:3]}")
    return found[0]
