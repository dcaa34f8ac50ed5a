"""Games whose Shapley values are known in closed form, by the names a spec uses (`kind = "known"`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from xai_ray.errors import InputError, SpecError, UnknownName
from xai_ray.games.known.closed import ClosedFormGame, check_players
from xai_ray.games.known.unanimity import SumOfUnanimityGames, UnanimityGame
from xai_ray.games.known.voting import MajorityGame, WeightedVotingGame
from xai_ray.types import Coalitions, Floats


class GloveGame(ClosedFormGame):
    """Players 0..left-1 own a left glove, the others a right one; v(S) is the number of pairs in S."""

    citation = "Shapley and Shubik, Pure competition, coalitional power, and fair division (1969)"

    def __init__(self, left: int, right: int) -> None:
        if left < 0 or right < 0:
            raise InputError(f"glove: left and right are counts, got {left} and {right}")
        check_players(left + right)
        names = tuple(f"left {i}" for i in range(left)) + tuple(f"right {i}" for i in range(right))
        super().__init__(left + right, f"glove {left} {right}", names)
        self.left, self.right = left, right

    def worth(self, coalitions: Coalitions) -> Floats:
        """Shape (c,)."""
        lefts = coalitions[:, : self.left].sum(axis=1)
        return np.minimum(lefts, coalitions[:, self.left :].sum(axis=1)).astype(np.float64)

    def shapley_values(self) -> Floats:
        """A glove adds a pair when its side is the scarcer one among its predecessors: a hypergeometric sum, shape
        (n,).
        """
        out = np.zeros(self.n_players)
        out[: self.left] = _chance_scarcer(self.left, self.right) if self.left else 0.0
        out[self.left :] = _chance_scarcer(self.right, self.left) if self.right else 0.0
        return out


def _chance_scarcer(mine: int, other: int) -> float:
    """Chance that fewer of `mine - 1` than of `other` precede a player in a random order."""
    n = mine + other
    total = 0.0
    for a in range(mine):
        for b in range(a + 1, other + 1):
            total += comb(mine - 1, a) * comb(other, b) / comb(n - 1, a + b)
    return total / n


class AirportGame(ClosedFormGame):
    """v(S) = the largest cost in S (the runway that its largest aircraft needs).

    Littlechild and Owen, "A simple expression for the Shapley value in a special case" (1973): each piece of runway
    is shared equally by those who need it.
    """

    citation = "Littlechild and Owen, A simple expression for the Shapley value in a special case (1973)"

    def __init__(self, costs: Sequence[float]) -> None:
        self.costs = np.array(costs, dtype=np.float64)
        if self.costs.ndim != 1 or not np.isfinite(self.costs).all() or (self.costs < 0).any():
            raise InputError(f"airport: costs must be finite numbers >= 0, got {list(costs)}")
        super().__init__(len(self.costs), f"airport {self.costs.tolist()!r}")

    def worth(self, coalitions: Coalitions) -> Floats:
        """Shape (c,)."""
        return np.where(coalitions, self.costs, 0.0).max(axis=1)

    def shapley_values(self) -> Floats:
        """Shape (n,)."""
        order = np.argsort(self.costs, kind="stable")
        pieces = np.diff(self.costs[order], prepend=0.0) / np.arange(self.n_players, 0, -1)
        out = np.empty(self.n_players)
        out[order] = np.cumsum(pieces)
        return out


@dataclass(frozen=True, slots=True)
class KnownGame:
    """A row of the table of known games."""

    make: Callable[..., ClosedFormGame]
    """Constructor; its parameter names are the keys of the spec."""
    citation: str


KNOWN_GAMES: dict[str, KnownGame] = {
    "glove": KnownGame(GloveGame, GloveGame.citation),
    "airport": KnownGame(AirportGame, AirportGame.citation),
    "majority": KnownGame(MajorityGame, MajorityGame.citation),
    "weighted_voting": KnownGame(WeightedVotingGame, WeightedVotingGame.citation),
    "unanimity": KnownGame(UnanimityGame, UnanimityGame.citation),
    "sum_of_unanimity": KnownGame(SumOfUnanimityGames.from_lists, SumOfUnanimityGames.citation),
}
"""Name in a spec -> constructor and source."""


def known_game(name: str, arguments: Mapping[str, Any]) -> ClosedFormGame:
    """The known game `name`. Raises UnknownName for a name or an argument in no table, SpecError for a missing one."""
    if name not in KNOWN_GAMES:
        raise UnknownName("known game", name, KNOWN_GAMES)
    make = KNOWN_GAMES[name].make
    parameters = inspect.signature(make).parameters
    for key in arguments:
        if key not in parameters:
            raise UnknownName("argument", key, parameters, f"known game {name}")
    missing = [k for k, p in parameters.items() if p.default is p.empty and k not in arguments]
    if missing:
        raise SpecError(f"known game {name}: missing {', '.join(missing)}; it takes {', '.join(parameters)}")
    try:
        return make(**arguments)
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise SpecError(f"known game {name}: {error}") from error
