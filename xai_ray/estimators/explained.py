"""One input of a job whose inputs have players of their own: its values and answers, and the pool of the first of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from xai_ray.coalitions import Design, EachInput, from_description
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.plan import Ask, describe_question, described_question
from xai_ray.estimators.pool import Pool
from xai_ray.estimators.stop_rules import Verdict
from xai_ray.estimators.stopping import Stop
from xai_ray.indices import Question
from xai_ray.types import Values


@dataclass(frozen=True)
class Explained:
    """An input of n players and k outputs, explained."""

    at: int
    """Number of the input."""
    pool: Pool
    """What it took."""
    estimates: tuple[Estimate, ...]
    """One a question."""
    players: tuple[str, ...]
    outputs: tuple[str, ...]
    view: dict[str, Any] | None = None
    """How a report draws the players, a JSON object."""
    open: bool = False
    """Whether its budget ended before it was as precise as was asked."""

    @property
    def evaluations(self) -> int:
        """Evaluations of v."""
        return len(self.pool.values)

    def packed(self) -> tuple[Values, dict[str, Any]]:
        """As the values (r, k) and facts of a record: evaluations, then question by question values and standard errors."""
        k = len(self.outputs)
        said = [part.reshape(-1, k) for e in self.estimates for part in (e.values, e.std_errors)]
        answers = [
            {
                "question": describe_question(e.question),
                "estimator": e.estimator,
                "sets": [list(s) for s in e.coalitions],
                "shape": list(e.values.shape),
                "evaluations": e.evaluations,
                "freedom": float(e.degrees_of_freedom) if np.isfinite(e.degrees_of_freedom) else None,
            }
            for e in self.estimates
        ]
        facts = {
            "design": self.pool.design.describe(),
            "draws": self.pool.draws,
            "answers": answers,
            "players": list(self.players),
            "outputs": list(self.outputs),
            "view": self.view,
            **({"open": True} if self.open else {}),
        }
        return np.concatenate([self.pool.values, *said]), facts

    @classmethod
    def unpacked(cls, at: int, values: Values, facts: dict[str, Any]) -> Explained:
        """The inverse of `packed`."""
        design: Design = from_description(facts["design"])
        count = design.evaluations(facts["draws"])
        estimates, start = list[Estimate](), count
        for said in facts["answers"]:
            shape = tuple(said["shape"])
            size = int(np.prod(shape[:-1]))
            found, errors = (values[start + i * size : start + (i + 1) * size].reshape(shape) for i in (0, 1))
            start += 2 * size
            question = described_question(said["question"])
            free = np.inf if said["freedom"] is None else said["freedom"]
            sets = tuple(tuple(s) for s in said["sets"])
            estimates.append(Estimate(question, sets, found, errors, said["estimator"], said["evaluations"], free))
        return cls(
            at,
            Pool(design, facts["draws"], np.ascontiguousarray(values[:count])),
            tuple(estimates),
            tuple(facts["players"]),
            tuple(facts["outputs"]),
            facts["view"],
            bool(facts.get("open")),
        )

    def asked(self, ask: Ask) -> Explained:
        """With the answer to another question alone, from the same values."""
        return replace(self, estimates=(self.pool.answer(ask.question, ask.estimator),))


@dataclass(frozen=True)
class EachPool:
    """The first inputs of a stage, as `Pool` is of coalitions. Inputs share no players, so nothing is answered about all of them."""

    design: EachInput
    draws: int
    outputs: int
    """k."""
    inputs: Callable[[int], Iterator[Explained]] = field(repr=False)
    """Reads them from the store, in order, one at a time, from an input on."""

    @property
    def count(self) -> int:
        """How many inputs."""
        return self.draws - self.design.first(self.draws)

    @cached_property
    def _totals(self) -> tuple[int, int]:
        evaluations = still = 0
        for one in self.inputs(0):
            evaluations, still = evaluations + one.evaluations, still + one.open
        return evaluations, still

    @property
    def evaluations(self) -> int:
        """Evaluations of v that the inputs took."""
        return self._totals[0]

    @property
    def complete(self) -> bool:
        """There is no curve over growing numbers of inputs."""
        return True

    def prefix(self, draws: int) -> EachPool:
        """Fewer inputs of the same stage."""
        count = draws - self.design.first(self.draws)

        def inputs(start: int) -> Iterator[Explained]:
            return (one for one in self.inputs(start) if one.at < count)

        return replace(self, draws=draws, inputs=inputs)

    def answer(self, question: Question, estimator: str = "auto") -> Estimate:
        """Of no sets: which inputs there are and what each of them answers is in `inputs`."""
        empty = np.empty((0, self.outputs))
        return Estimate(question, (), empty, empty, estimator, self.draws)

    def ends(self) -> Values:
        """NaN, shape (2, k)."""
        return np.full((2, self.outputs), np.nan)

    def verdicts(self, stop: Stop) -> tuple[Verdict, ...]:
        """One, where precisions were asked of each input."""
        if not stop.rules:
            return ()
        still = self._totals[1]
        words = f"{still} of {self.count} texts are less precise than asked"
        return (Verdict("rows", not still, float(still), words),)
