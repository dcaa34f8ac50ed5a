"""Independent pieces of an answer that is a mean over them: test points, bootstraps, permutations; no coalitions are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from xai_ray.coalitions.design import Draw
from xai_ray.errors import SpecError
from xai_ray.types import Floats

Fold: TypeAlias = Literal["mean", "present", "share", "contrast", "product", "answer", "own"]
"""What a unit holds for each of n players, and how that merges:

    mean     mean and sum of squared deviations over the unit's pieces
    present  the same over the pieces that say something of the player, and how many do
    share    how many pieces agree with the player, and how many say something of it: whole numbers, exact in any cut
    contrast what `present` holds, of the pieces with the player and then of those without: the answer is the difference of the means
    product  two numbers of its only piece: the answer is the product of their means
    answer   values and standard errors, from one piece that is the whole answer
    own      values, of the unit's players alone: piece i is player i, and there is no answer before all of them
"""

_PARTS: dict[Fold, int] = {"mean": 2, "present": 3, "share": 2, "contrast": 6, "product": 2, "answer": 2, "own": 1}
"""Numbers that a unit holds for each player and output."""


def share_errors(right: Floats, count: Floats) -> Floats:
    """Of the Jeffreys posterior of a share, not 0 where all pieces agree: Brown, Cai, DasGupta (Statistical Science 2001)."""
    return np.sqrt((right + 0.5) * (count - right + 0.5) / (count + 2.0)) / (count + 1.0)


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
        return self.outputs * _PARTS[self.fold]

    @property
    def undivided(self) -> bool:
        """Whether there is no answer before all pieces are in."""
        return self.fold in ("answer", "own")

    def held(self, start: int, stop: int) -> range:
        """The rows that the unit of pieces [start, stop) has numbers of."""
        return range(start, stop) if self.fold == "own" else range(self.rows)

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
