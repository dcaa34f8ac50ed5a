"""Inputs that have players of their own, texts say, and so a design of their own: a draw is an input with all that it takes.

A larger budget is another stage: draw `s * inputs + i` is input i in stage s. What an input takes in a stage is no part of the design, so
a job can be extended; the store's log says it, see `xai_ray.engine.stages`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xai_ray.coalitions.design import Draw
from xai_ray.errors import SpecError

_LOOKS = 64
"""Boundaries of a stage."""


@dataclass(frozen=True, slots=True)
class EachInput:
    """`inputs` inputs, each a unit."""

    inputs: int
    seed: int

    @property
    def n_players(self) -> int:
        """None that inputs share."""
        return 0

    @property
    def capacity(self) -> int | None:
        """Stages have no end."""
        return None

    def first(self, draws: int) -> int:
        """Where the stage begins that the last of the first `draws` draws, at least one, is in."""
        return self.stage(draws) * self.inputs

    def stage(self, draws: int) -> int:
        """Number of that stage."""
        return (draws - 1) // self.inputs

    def boundaries(self, draws: int) -> list[int]:
        """Where a stage is looked at, its end last."""
        step = -(-self.inputs // _LOOKS)
        return [*range(self.first(draws) + step, draws, step), draws]

    def evaluations(self, draws: int) -> int:
        """An input counts as one: how many evaluations of v it takes hangs on its players and its precision."""
        return draws

    def affordable(self, evaluations: int) -> int:
        """Whole inputs."""
        return evaluations

    def draw(self, start: int, stop: int) -> Draw:
        """Raises SpecError."""
        raise SpecError("each input of this job draws coalitions of its own players")

    def describe(self) -> dict[str, Any]:
        """Kind and arguments."""
        return {"kind": "each", "inputs": self.inputs, "seed": self.seed}
