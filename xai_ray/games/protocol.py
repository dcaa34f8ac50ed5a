"""What a game is: a set function with one or more outputs, evaluated for many coalitions at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from xai_ray.types import Coalitions, Ints, Values


@runtime_checkable
class Game(Protocol):
    """Any object with these members is a game; `xai_ray.testing.check_game` says whether it keeps the laws.

    Law: a row's value depends on its (coalition, context) only, not on its neighbours or their order.
    """

    @property
    def n_players(self) -> int:
        """n, at least 1."""
        ...

    @property
    def n_outputs(self) -> int:
        """k, at least 1."""
        ...

    @property
    def player_names(self) -> Sequence[str]:
        """n names."""
        ...

    @property
    def output_names(self) -> Sequence[str]:
        """k names."""
        ...

    @property
    def digest(self) -> str:
        """Hexadecimal digest of everything that decides the values (model weights, input, removal, behaviour, background)."""
        ...

    @property
    def stochastic(self) -> bool:
        """Whether values depend on the context (sampled background rows, say). A deterministic game ignores the context."""
        ...

    @property
    def block(self) -> int:
        """Coalitions per batch. Callers pass rows in multiples of it, so that every forward pass has one shape; 1 if any will do."""
        ...

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values of c coalitions, float64 of shape (c, k).

        `context[r]` numbers the exogenous draw of row r; `xai_ray.coalitions.design.FULL_EXPECTATION` (-1) asks for the expectation.
        """
        ...
