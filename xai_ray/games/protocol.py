"""What a game is: a set function with one or more outputs, evaluated for many coalitions at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from xai_ray.types import Coalitions, Floats, Ints, Values


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


class ChainGame(Game, Protocol):
    """A deterministic game that gives the values of all prefixes of permutations.

    Law: the bits of a chain do not depend on the other permutations. `xai_ray.testing.chain_games.check_chain_game` checks it.
    """

    @property
    def chains(self) -> bool:
        """Whether a chain costs less than its prefixes as coalitions; where it does, jobs on permutations use chains."""
        ...

    def chain_values(self, permutations: Ints, context: Ints) -> Floats:
        """Permutations of the players (p, n) -> values of their prefixes, shape (p, n + 1, k); entry 0 is the empty coalition."""
        ...


@runtime_checkable
class PieceGame(Game, Protocol):
    """A closed form whose answer is made of independent pieces; it has no coalitions, and its `values` raise SpecError.

    Law: the bits of a unit depend on its pieces and their places in a block alone.
    """

    def piece_sums(self, start: int, stop: int, between: Callable[[], None]) -> tuple[Floats, dict[str, Any]]:
        """Pieces [start, stop), which lie in one block -> sums as the `fold` of the design has them, shape (n, parts, k), of its
        `players` where a unit has some of them alone, and what there is to tell of them, a JSON object. `between` is called now and
        then; what it raises ends the call.
        """
        ...
