"""Independent pieces of an answer that is a mean over them: test points, bootstraps, permutations; no coalitions are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from xai_ray.coalitions.design import Draw
from xai_ray.errors import SpecError

Fold: TypeAlias = Literal["mean", "present", "share", "answer"]
"""What a unit holds for each of n players, and how that merges:

    mean     mean and sum of squared deviations over the unit's pieces
    present  the same over the pieces that say something of the player, and how many do
    share    how many pieces agree with the player, and how many say something of it: whole numbers, exact in any cut
    answer   values and standard errors, from one piece that is the whole answer
"""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Draw j is piece j. Sums are folded over blocks of `block` pieces at its multiples, whatever units they were computed in."""

    n_players: int
    outputs: int
    fold: Fold
    block: int
    """Pieces of a unit."""
    pieces: int | None = None
    """How many there are: an answer from all of them is exact. None for a sequence without end."""
    sets: int | None = None
    """Sets that one answer without evaluations holds, where they are not the players."""

    @property
    def capacity(self) -> int | None:
        """Pieces there are."""
        return self.pieces

    @property
    def rows(self) -> int:
        """Rows of numbers that a unit holds: one a player, or one a set."""
        return self.n_players if self.sets is None else self.sets

    @property
    def width(self) -> int:
        """Numbers that a unit holds for each row."""
        return self.outputs * (3 if self.fold == "present" else 2)

    def evaluations(self, draws: int) -> int:
        """A piece counts as one; an answer in closed form evaluates nothing."""
        return draws if self.sets is None else 0

    def affordable(self, evaluations: int) -> int:
        """Whole blocks, or all pieces: a sum that was cut elsewhere could not be continued to the same bits. Counts can."""
        if self.pieces is not None and (evaluations >= self.pieces or self.sets is not None):
            return self.pieces
        return evaluations if self.fold == "share" else evaluations // self.block * self.block

    def boundaries(self) -> list[int]:
        """Numbers of blocks at which a job is looked at: 1, 2, 3, 4, 6, 8, 11, ..., by factors of about the root of 2."""
        return list(dict.fromkeys(round(2 ** (step / 2)) for step in range(96)))

    def draw(self, start: int, stop: int) -> Draw:
        """Raises SpecError."""
        raise SpecError("this job is made of pieces of a closed form, it draws no coalitions")

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {
            "kind": "pieces",
            "n_players": self.n_players,
            "outputs": self.outputs,
            "fold": self.fold,
            "block": self.block,
            "pieces": self.pieces,
            **({} if self.sets is None else {"sets": self.sets}),
        }
