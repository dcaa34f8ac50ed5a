"""How much an answer by cells would hold, known from the question alone."""

from __future__ import annotations

from math import comb

from xai_ray.errors import SpecError
from xai_ray.indices import Question, readouts

LARGEST_ANSWER = 100_000_000
"""Numbers an answer may hold at once (800 MB; a handful of such tables live at a time)."""


def check_workload(name: str, question: Question, n: int, outputs: int) -> None:
    """Raises SpecError when the sets of a resolved question, over contexts and outputs, are too many for the estimator `name`."""
    for readout in readouts(question, n):
        chosen = readout.size == 2 and question.pairs is not None
        sets = len(question.pairs or ()) if chosen else comb(n, readout.size)
        contexts = readout.weights.shape[0]
        # A set takes four moments for each number of its players in a coalition, and its answers.
        numbers = sets * max(contexts * outputs, 4 * (readout.size + 1))
        if numbers > LARGEST_ANSWER:
            raise SpecError(
                f"{name}: {question.index} of {n} players asks for {sets:,} sets of {readout.size} x {contexts:,} contexts x "
                f"{outputs:,} outputs, which takes tables of {numbers:,} numbers ({8 * numbers / 2**30:,.1f} GiB each); the limit is "
                f"{LARGEST_ANSWER:,}. {_remedy(readout.size, contexts, outputs)}"
            )


def _remedy(size: int, contexts: int, outputs: int) -> str:
    ways = ["name the pairs that matter (pairs = [[0, 1], ...])"] if size == 2 else []
    ways += ["a smaller order"] if size > 2 else []
    ways += ["fewer contexts"] if contexts > 1 else []
    ways += ["fewer outputs"] if outputs > 1 else []
    return f"Ask for less: {', or '.join(ways)}, or merge players into fewer groups"
