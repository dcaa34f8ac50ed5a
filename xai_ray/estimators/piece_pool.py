"""A pool of the pieces of a closed form: sums over units, folded in the order of the units, and the mean they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xai_ray.coalitions.pieces import Pieces
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.closed_sets import closed_answer
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.piece_folds import FOLDS, Folded
from xai_ray.indices import Question
from xai_ray.types import Floats, Values


class PieceSums:
    """Sums over the first pieces of a design, one unit after the other. Memory: those of one unit, of `product` four times as many."""

    def __init__(self, design: Pieces) -> None:
        self.design = design
        self.draws = 0
        self.facts: dict[str, Any] = {}
        """What the newest unit says of itself."""
        self.told: dict[str, Any] = {}
        """What the units tell."""
        self._folded: Folded = FOLDS[design.fold](design)

    def add(self, start: int, stop: int, values: Values, facts: dict[str, Any]) -> None:
        """The record of the next unit, pieces [start, stop), values (n, width)."""
        if start != self.draws:
            raise ValueError(f"unit [{start}, {stop}) does not follow piece {self.draws}")
        rows = len(self.design.held(start, stop))
        self._folded = self._folded.add(values.reshape(rows, -1, self.design.outputs), start, stop)
        self.draws, self.facts = stop, facts
        told = facts.get("told", {})
        # What is told of pieces are lists with an entry for each, or for each unit.
        self.told = told if self.design.fold == "answer" else {k: [*self.told.get(k, []), *v] for k, v in told.items()}

    def copy(self) -> PieceSums:
        """As it is now."""
        other = PieceSums(self.design)
        other.draws, other.facts, other.told, other._folded = self.draws, self.facts, self.told, self._folded
        return other

    def answer(self) -> tuple[Floats, Floats, float]:
        """Values and standard errors, each (n, k), and the degrees of freedom of the errors.

        Raises NotEnoughSamples where a player has too few pieces for a standard error.
        """
        design = self.design
        whole = design.pieces is not None and self.draws >= design.pieces
        if design.undivided and not whole:
            raise NotEnoughSamples(
                f"{self.draws} of {design.pieces} parts are computed, and there is no answer before all are; resume the job"
            )
        counts = self._folded.counts()
        least = 0 if counts is None else int(counts.min())
        if counts is not None and least < 2 and not whole:
            player = int(counts.min(axis=1).argmin())
            raise NotEnoughSamples(
                f"training point {player} has {least} of the {self.draws} pieces computed (bootstraps, test points, permutations, "
                "coalitions with it or without) and needs two for a standard error; extend the budget"
            )
        # Of a sample of all pieces, what is left shrinks its errors to 0.
        left = 1.0 if design.pieces is None else 1.0 - self.draws / design.pieces
        values, errors = self._folded.answer(left)
        certain = counts is None or whole or design.fold == "share"
        return values, errors, np.inf if certain else float(least - 1)


@dataclass(frozen=True)
class PiecePool:
    """The first `draws` pieces of a job, as `Pool` is of coalitions. It answers the question of its job alone."""

    sums: PieceSums
    question: Question
    method: str
    read: Callable[[int], PiecePool] = field(repr=False)
    """The pool of fewer draws, from the store."""
    questions: tuple[Question, ...] = ()
    """All questions of the job, of an answer in closed form."""

    @property
    def design(self) -> Pieces:
        """What the pieces are."""
        return self.sums.design

    @property
    def draws(self) -> int:
        """Pieces folded."""
        return self.sums.draws

    @property
    def evaluations(self) -> int:
        """A piece counts as one; an answer in closed form evaluates nothing."""
        return self.design.evaluations(self.sums.draws)

    @property
    def complete(self) -> bool:
        """Whether there is nothing to look at on the way."""
        return self.design.undivided

    def prefix(self, draws: int) -> PiecePool:
        """The first draws."""
        return self.read(draws)

    def answer(self, question: Question, name: str = "auto") -> Estimate:
        """The mean over the pieces with its standard errors. Raises NotEnoughSamples, also for any other question."""
        if self.design.sets is not None:
            return closed_answer(self.design, self.questions, question, *self.sums.answer()[:2])
        if (question.index, question.p) != (self.question.index, self.question.p):
            own, other = (q.index if q.p is None else f"{q.index} of p = {q.p:g}" for q in (self.question, question))
            raise NotEnoughSamples(
                f"this job holds {own} by {self.method!r}, no scores of coalitions, so {other} cannot be computed from it; run a job of "
                'method "shapley" and ask that one'
            )
        values, errors, freedom = self.sums.answer()
        sets = tuple((player,) for player in range(self.design.n_players))
        return Estimate(self.question, sets, values, errors, self.method, self.draws, freedom)

    def ends(self) -> Values:
        """What the method says of nobody and of all, shape (2, k); else 0 and the sum of the values."""
        if "ends" in self.sums.facts:
            return np.array(self.sums.facts["ends"], dtype=np.float64)
        values = self.sums.answer()[0]
        start = np.zeros(values.shape[1]) + np.array(self.sums.facts.get("empty", 0.0), dtype=np.float64)
        return np.stack([start, start + values.sum(axis=0)])

    def told(self) -> dict[str, Any]:
        """What the method tells beside its values."""
        return dict(self.sums.told)
