"""The contract of a surrogate: its indices in closed form are those of the table of its own predictions."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from xai_ray.coalitions.exhaustive import unpack
from xai_ray.estimators.surrogate import Surrogate
from xai_ray.indices import INDICES, READ_OUT, Question, exact, readouts, resolve
from xai_ray.types import Ints

TOLERANCE = 1e-9
LARGEST_SET = 3


def check_surrogate(surrogate: Surrogate, n: int, tolerance: float = TOLERANCE) -> None:
    """Compare `read` with enumeration: every read-out index, sets of up to three players, contexts, derivatives and blocks.

    n: players, at most 12. Raises AssertionError that names the index; `tolerance` is relative to the largest prediction.
    """
    table = surrogate.predict(unpack(np.arange(1 << n, dtype=np.int64), n))
    assert table.shape[0] == 1 << n, f"predict must give one row a coalition, gave {table.shape} for {1 << n}"
    scale = max(1.0, float(np.abs(table).max()))
    for question in read_out_questions(n):
        truth = exact(table, question).values
        truth = truth if truth.ndim == 3 else truth[:, None]
        at = 0
        for readout in readouts(question, n):
            sets = sets_of(n, readout.size)
            found = surrogate.read(readout, sets)
            asked = f"{question.index} of order {question.order}, sets of {readout.size}"
            expected = (len(sets), readout.weights.shape[0], table.shape[1])
            assert found.shape == expected, f"{asked}: read must have shape {expected}, has {found.shape}"
            error = float(np.abs(found - truth[at : at + len(sets)]).max(initial=0.0))
            assert error <= tolerance * scale, f"{asked}: read is off by {error:.3g} from the enumerated predictions"
            at += len(sets)


def read_out_questions(n: int, largest: int = LARGEST_SET) -> list[Question]:
    """Resolved questions that between them use every read-out index in orders 1 to `largest`."""
    found: list[Question] = []
    for tag in READ_OUT:
        fixed = INDICES[tag].sets in ("players", "pairs")
        orders = (None,) if fixed else range(1, min(largest, n) + 1)
        if n >= (INDICES[tag].order or 1):
            found += [resolve(_question(tag, n, order), n) for order in orders]
    return found


def _question(tag: str, n: int, order: int | None) -> Question:
    match tag:
        case "WBV":
            return Question(tag, p=0.3)
        case "BETA":
            return Question(tag, alpha=3.0, beta=1.0)
        case "SEMI":
            return Question(tag, weights=tuple(2.0 * (t + 1) / (n * (n + 1)) for t in range(n)))
        case _:
            return Question(tag, order=order)


def sets_of(n: int, size: int) -> Ints:
    """All sets of a size, shape (c, size), in lexicographic order."""
    return np.array(list(combinations(range(n), size)), dtype=np.int64).reshape(comb(n, size), size)
