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
from xai_ray.indices import Question
from xai_ray.types import Floats, Values


class PieceSums:
    """Sums over the first pieces of a design, one unit after the other. Memory: those of one unit."""

    def __init__(self, design: Pieces) -> None:
        self.design = design
        self.draws = 0
        self.facts: dict[str, Any] = {}
        """What the newest unit says of itself."""
        self.told: dict[str, Any] = {}
        """What the units tell."""
        shape = (design.rows, design.outputs)
        self._first: Floats = np.zeros(shape)
        self._second: Floats = np.zeros(shape)
        self._counts: Floats = np.zeros(shape)

    def add(self, start: int, stop: int, values: Values, facts: dict[str, Any]) -> None:
        """The record of the next unit, pieces [start, stop), values (n, width)."""
        if start != self.draws:
            raise ValueError(f"unit [{start}, {stop}) does not follow piece {self.draws}")
        n, k = self._first.shape
        parts = values.reshape(n, -1, k)
        match self.design.fold:
            case "share":
                self._first, self._counts = self._first + parts[:, 0], self._counts + parts[:, 1]
            case "answer":
                self._first, self._second = parts[:, 0].copy(), parts[:, 1].copy()
            case "mean":
                self._merge(parts[:, 0], parts[:, 1], np.full((n, k), float(stop - start)))
            case "present":
                self._merge(parts[:, 0], parts[:, 1], parts[:, 2])
        self.draws, self.facts = stop, facts
        told = facts.get("told", {})
        # What is told of pieces are lists with an entry for each, or for each unit.
        self.told = told if self.design.fold == "answer" else {k: [*self.told.get(k, []), *v] for k, v in told.items()}

    def copy(self) -> PieceSums:
        """As it is now."""
        other = PieceSums(self.design)
        other.draws, other.facts, other.told = self.draws, self.facts, self.told
        other._first, other._second, other._counts = self._first, self._second, self._counts
        return other

    def answer(self) -> tuple[Floats, Floats, float]:
        """Values and standard errors, each (n, k), and the degrees of freedom of the errors.

        Raises NotEnoughSamples where a player has too few pieces for a standard error.
        """
        if self.design.fold == "answer":
            return self._first, self._second, np.inf
        least = int(self._counts.min())
        if least < 2 and not self._whole:
            player = int(self._counts.min(axis=1).argmin())
            raise NotEnoughSamples(
                f"training point {player} has {least} of the {self.draws} pieces computed (bootstraps, test points, permutations) "
                "and needs two for a standard error; extend the budget"
            )
        if self.design.fold == "share":
            share = self._first / self._counts
            return share, _share_errors(self._first, self._counts), np.inf
        if self._whole:
            return self._first, np.zeros_like(self._first), np.inf
        left = 1.0 if self.design.pieces is None else 1.0 - self.draws / self.design.pieces
        errors = np.sqrt(self._second / (self._counts - 1) / self._counts * left)
        return self._first, errors, float(least - 1)

    @property
    def _whole(self) -> bool:
        return self.design.pieces is not None and self.draws >= self.design.pieces

    def _merge(self, mean: Floats, spread: Floats, count: Floats) -> None:
        # Chan, Golub and LeVeque (1983): large means lose no digits of the spread.
        total = self._counts + count
        gap = np.where(count > 0, mean - self._first, 0.0)
        part = count / np.maximum(total, 1.0)
        self._second = self._second + spread + gap * gap * self._counts * part
        self._first = self._first + gap * part
        self._counts = total


def _share_errors(right: Floats, count: Floats) -> Floats:
    """Of the Jeffreys posterior of a share, not 0 where all pieces agree: Brown, Cai, DasGupta (Statistical Science 2001)."""
    return np.sqrt((right + 0.5) * (count - right + 0.5) / (count + 2.0)) / (count + 1.0)


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
        return self.design.fold == "answer"

    def prefix(self, draws: int) -> PiecePool:
        """The first draws."""
        return self.read(draws)

    def answer(self, question: Question, name: str = "auto") -> Estimate:
        """The mean over the pieces with its standard errors. Raises NotEnoughSamples, also for any other question."""
        if self.design.sets is not None:
            return closed_answer(self.design, self.questions, question, *self.sums.answer()[:2])
        if question.index != self.question.index:
            raise NotEnoughSamples(
                f"this job holds {self.question.index} by {self.method!r}, no scores of coalitions, so {question.index} cannot be computed "
                'from it; run a job of method "shapley" and ask that one'
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
