"""Closed forms and one-run methods as jobs: a game without coalitions whose answer is made of independent pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from xai_ray.coalitions import Pieces
from xai_ray.errors import SpecError
from xai_ray.indices import Question
from xai_ray.library_threads import library_threads
from xai_ray.types import Coalitions, Floats, Ints, Values

if TYPE_CHECKING:
    from xai_ray.valuation.asked import Asked

Sums = tuple[Floats, dict[str, Any]]
"""Sums (n, parts, k) of some pieces and what there is to tell of them, a JSON object: `ends` (2, k), `empty`, `told`."""


class Source(Protocol):
    """Computes pieces. It travels to workers once a run; what it can make from its data it makes there."""

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Of pieces [start, stop) of one block, see `PieceGame.piece_sums`."""
        ...


@dataclass(frozen=True)
class ValuationGame:
    """The values of n points by a method without coalitions, see `xai_ray.games.protocol.PieceGame`."""

    method: str
    question: Question
    player_names: tuple[str, ...]
    output_names: tuple[str, ...]
    digest: str
    design: Pieces
    source: Source
    threads: int = 1
    stochastic: bool = False
    view: None = None
    asked: Asked | None = field(default=None, compare=False, repr=False)
    """What it was made from, for the process that reports."""

    def __getstate__(self) -> dict[str, Any]:
        # Workers have what they need in the source.
        return {**self.__dict__, "asked": None}

    @property
    def n_players(self) -> int:
        """Points, or groups of them."""
        return self.design.n_players

    @property
    def n_outputs(self) -> int:
        """Scores."""
        return self.design.outputs

    @property
    def block(self) -> int:
        """Pieces of a unit."""
        return self.design.block

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Raises SpecError."""
        raise SpecError(
            f"{self.method} has no scores of coalitions; take xai_ray.value(..., method={self.method!r}), or TrainingGame to ask indices"
        )

    def piece_sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Sums of pieces [start, stop)."""
        with library_threads(self.threads):
            return self.source.sums(start, stop, between)
