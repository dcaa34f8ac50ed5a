"""A design is an endless (or finite) sequence of draws, cheap and pure: a larger budget only appends to it.

    design.draw(0, d)       the coalitions of the first d draws, regenerated from the seed alone
    Unit(start, stop)       draws [start, stop): the atom of work, retry and replay; a few integers on the wire

A draw is what must stay together: a coalition and its complement, or a permutation and its reverse. A budget of m evaluations
is the longest prefix of draws that costs at most m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from xai_ray.types import Coalitions, Ints

FULL_EXPECTATION = -1
"""The context that asks a stochastic game for its expectation over the whole background instead of one exogenous draw."""


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """Draws [start, stop) of a job's design."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"a unit needs 0 <= start < stop, got [{self.start}, {self.stop})")


@dataclass(frozen=True, slots=True)
class Draw:
    """The coalitions of consecutive draws. r rows (evaluations), d draws, n players."""

    start: int
    """Number of the first draw in the design's sequence."""
    coalitions: Coalitions
    """Shape (r, n)."""
    context: Ints
    """Shape (r,): which exogenous draw a stochastic game uses; deterministic games ignore it."""
    owner: Ints
    """Shape (r,): the draw of each row, counted from `start`; ascending."""
    stratum: Ints
    """Shape (d,): the stratum of each draw."""
    index: Ints
    """Shape (d,): the draw's number within its stratum."""

    def __len__(self) -> int:
        return len(self.stratum)


class Design(Protocol):
    """Cheap and pure. `describe()` is its identity: it goes into the job's digest, and `from_description` rebuilds it."""

    @property
    def n_players(self) -> int:
        """Number of players."""
        ...

    @property
    def capacity(self) -> int | None:
        """Number of draws after which the design is exhausted; None when it never is."""
        ...

    def evaluations(self, draws: int) -> int:
        """Evaluations (rows) that the first `draws` draws cost."""
        ...

    def affordable(self, evaluations: int) -> int:
        """The largest number of draws that costs at most `evaluations`."""
        ...

    def draw(self, start: int, stop: int) -> Draw:
        """Draws [start, stop)."""
        ...

    def describe(self) -> dict[str, Any]:
        """A JSON object with the key `kind` and the arguments of the constructor."""
        ...


class AfterHead:
    """Sizes of a design whose draw 0 has rows of its own number, and all others have the same."""

    @property
    def first_rows(self) -> int:
        """Evaluations of draw 0."""
        raise NotImplementedError

    @property
    def rows_per_draw(self) -> int:
        """Evaluations of each other draw."""
        return 4

    @property
    def capacity(self) -> int | None:
        """See `Design`."""
        raise NotImplementedError

    def evaluations(self, draws: int) -> int:
        """Draw 0, then `rows_per_draw` a draw."""
        return 0 if draws == 0 else self.first_rows + self.rows_per_draw * (draws - 1)

    def affordable(self, evaluations: int) -> int:
        """Whole draws only."""
        if evaluations < self.first_rows:
            return 0
        draws = 1 + (evaluations - self.first_rows) // self.rows_per_draw
        return draws if self.capacity is None else min(draws, self.capacity)
