"""What is known of an estimator before it runs: one `EstimatorInfo` a file of this folder, gathered in `table`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xai_ray.coalitions import Design
from xai_ray.estimators.protocol import Estimator
from xai_ray.indices import Question
from xai_ray.types import Floats, Ints


class Minimum(Protocol):
    """Evaluations that an estimator needs."""

    def __call__(self, question: Question, n: int, stochastic: bool = False) -> int:
        """For a question about n players of a deterministic or a stochastic game."""
        ...


class OwnDesign(Protocol):
    """Makes the design of an estimator that does not read strata."""

    def __call__(self, questions: Sequence[Question], n: int, seed: int, stochastic: bool) -> Design:
        """One design for all the questions that this estimator is asked; raises SpecError when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class EstimatorInfo:
    """One row of the table."""

    name: str
    indices: tuple[str, ...]
    """Tags it answers."""
    orders: tuple[int, ...] | None
    """Orders it answers; None for every order."""
    designs: tuple[str, ...]
    """Kinds of design it reads; the first is the one it asks for."""
    minimum: Minimum
    """Evaluations it needs for n players."""
    make: Callable[[Question, Any], Estimator[Any]]
    """The estimator for a resolved question and a design of one of the kinds it reads."""
    summary: str
    source: str
    law: Callable[[Question, int], Floats] | None = None
    """Weights of the pair strata 1..n//2 that it wants drawn; None for equal weight of every size."""
    edges: int | Callable[[Question, int], int] = 0
    """Pair strata that it wants exhausted first, in a deterministic game; by question and players where they matter."""
    reads: Callable[[Question, int], Ints] | None = None
    """Pair strata of which it needs at least one draw; None where no single size is needed."""
    largest: int | None = None
    """Players above which it is out of reach."""
    beyond: str = ""
    """What to do above that."""
    sparse: bool = False
    """Whether it answers the sets that it finds, and not all that are asked."""
    design: OwnDesign | None = None
    """How its design is made, when the first of `designs` is not strata."""

    names_players: bool = False
    """Whether it reads `players` of a question itself; of others the asked players are picked from the answer for all."""

    def exhausted(self, question: Question, n: int) -> int:
        """Pair strata to exhaust for a question about n players."""
        return self.edges(question, n) if callable(self.edges) else self.edges
