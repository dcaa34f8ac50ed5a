"""`closed_form`: which sets an answer without evaluations holds, and in what order they lie in its one piece."""

from __future__ import annotations

from collections.abc import Sequence

from xai_ray.coalitions import Pieces
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.readouts import asked_sets
from xai_ray.indices import Question, readouts, resolve
from xai_ray.types import Floats

CLOSED_FORM = "closed_form"
"""Name of the estimator."""


def asked_coalitions(question: Question, n: int) -> tuple[tuple[int, ...], ...]:
    """The sets of a resolved question, by size."""
    return tuple(tuple(one) for out in readouts(question, n) for one in asked_sets(question, n, out.size).tolist())


def rows_of(question: Question, n: int) -> int:
    """Rows that a resolved question takes: one a set, or one a set and context."""
    contexts = len(question.contexts) if question.contexts is not None else 1
    return sum(len(asked_sets(question, n, out.size)) for out in readouts(question, n)) * contexts


def closed_answer(
    design: Pieces, held: Sequence[Question], question: Question, values: Floats, errors: Floats
) -> Estimate:
    """The answer to one of the questions whose rows lie in values and errors (sets, k). Raises NotEnoughSamples for any other."""
    n = design.n_players
    question, at = resolve(question, n), 0
    for one in held:
        rows = slice(at, at + rows_of(one, n))
        if one == question:
            sets = asked_coalitions(one, n)
            shape = (len(sets), -1) if one.contexts is None else (len(sets), len(one.contexts), design.outputs)
            return Estimate(one, sets, values[rows].reshape(shape), errors[rows].reshape(shape), CLOSED_FORM, 0)
        at = rows.stop
    raise NotEnoughSamples(
        f"this job answered {', '.join(one.index for one in held)} in closed form and keeps no values of coalitions; run a job that asks "
        f"{question.index}"
    )
