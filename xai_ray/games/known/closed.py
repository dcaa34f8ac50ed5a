"""What known games share: one output, no randomness, and a Shapley value in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod

from xai_ray.errors import InputError
from xai_ray.games.digest import fingerprint
from xai_ray.types import Coalitions, Floats, Ints, Values

LARGEST = 1_000_000
"""Players of a known game; more is a slip of the pen."""


def check_players(count: int) -> None:
    """Raise InputError unless a known game of so many players can be made."""
    if count < 1:
        raise InputError(f"a game needs at least one player, got {count}")
    if count > LARGEST:
        raise InputError(f"a known game has at most {LARGEST:,} players, got {count:,}")


class ClosedFormGame(ABC):
    """A deterministic game whose Shapley values are known. `identity` is everything that decides its values."""

    n_outputs = 1
    output_names = ("value",)
    stochastic = False
    block = 1
    citation: str

    def __init__(self, n_players: int, identity: str, player_names: tuple[str, ...] | None = None) -> None:
        check_players(n_players)
        self.n_players = n_players
        self.player_names = player_names or tuple(f"player {i}" for i in range(n_players))
        self.digest = fingerprint(["known", identity])

    @abstractmethod
    def worth(self, coalitions: Coalitions) -> Floats:
        """Value of each coalition, shape (c,)."""

    @abstractmethod
    def shapley_values(self) -> Floats:
        """The Shapley values in closed form, shape (n,)."""

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values of c coalitions, shape (c, 1)."""
        return self.worth(coalitions)[:, None]
