"""One question about many rows at once: rows are outputs of one pool on one design, so one fit or one read-out serves them all.

Row r saw the design through its relabelling sigma_r, so what the estimator says of design players T is said of sigma_r(T).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import comb

import numpy as np

from xai_ray.coalitions import Design
from xai_ray.errors import SpecError
from xai_ray.estimators import table
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.plan import Ask
from xai_ray.estimators.pool import Pool, Together
from xai_ray.estimators.row_sums import AnswerSums, OverRows
from xai_ray.indices import Question, resolve
from xai_ray.types import Floats, Ints

LARGEST_SHARED, LARGEST_CUBE = 5_000, 500
"""Evaluations a row, and players, up to which `auto` takes `gp_shared`: its system is factorised for each unit."""


@dataclass(frozen=True)
class RowAnswers:
    """What one question says of b rows: all sets of some sizes, m contexts (1 without), k outputs."""

    sizes: tuple[int, ...]
    """Sizes of the sets, which are in the order of `family`."""
    values: Floats
    """Shape (b, c, m, k)."""
    std_errors: Floats
    """Same shape."""
    freedom: Floats
    """Shape (b,): degrees of freedom of the standard errors."""
    contexts: bool = False
    """Whether the question has contexts, so that values keep their axis."""
    over_rows: OverRows | None = field(default=None, repr=False)
    """What a mean over rows takes instead; None where that is the values, with errors that are independent."""

    def sums(self) -> AnswerSums:
        """What a mean over rows takes of these."""
        return AnswerSums.of(self.values, self.std_errors, self.over_rows)

    def at(self, row: int, question: Question, sets: tuple[tuple[int, ...], ...], name: str, spent: int) -> Estimate:
        """The estimate of one row of these."""
        values, errors = self.values[row], self.std_errors[row]
        if not self.contexts:
            values, errors = values[:, 0], errors[:, 0]
        return Estimate(question, sets, values, errors, name, spent, float(self.freedom[row]))


@dataclass(frozen=True)
class Answered:
    """Answers of rows, some of which may go on: what a mean over rows takes is computed for those that do not."""

    answers: RowAnswers
    """Without `over_rows`."""
    over_rows: Callable[[], OverRows | None]

    def whole(self) -> RowAnswers:
        """With `over_rows`."""
        return replace(self.answers, over_rows=self.over_rows())


def answer_rows(design: Design, draws: int, values: Floats, relabellings: Ints, ask: Ask, parts: int = 1) -> Answered:
    """Answers from values (b, r, k) of the first draws of the design, seen through relabellings (b, n). With a background in parts these
    are those of each row's parts, one after the other, and a row's answer is the mean of its parts'.

    Raises NotEnoughSamples as `Pool.answer`, SpecError for a question that does not name all sets of its sizes.
    """
    b, r, k = values.shape
    pool = Pool(design, draws, np.ascontiguousarray(values.transpose(1, 0, 2)).reshape(r, b * k))
    found, together = pool.of_rows(ask.question, ask.estimator)
    sizes = _sizes(found, design.n_players)
    places = _places(design.n_players, sizes, relabellings)[:, :, None, None]
    freedom = np.full(b, found.degrees_of_freedom)
    own, errors = (_of_rows(part, b, k, places) for part in (found.values, found.std_errors))
    of_parts = errors
    if parts > 1:
        # Parts have relabellings of their own, so their errors are independent but for what `over_rows` takes out.
        own = _by_part(own, parts).mean(axis=1)
        errors = np.sqrt((_by_part(errors, parts) ** 2).sum(axis=1)) / parts
        freedom = freedom[::parts]
    answers = RowAnswers(sizes, own, errors, freedom, found.values.ndim == 3)
    return Answered(answers, lambda: _over_rows(together(), places, of_parts, parts))


def _over_rows(together: Together, places: Ints, errors: Floats, parts: int) -> OverRows | None:
    """What a mean over the rows takes, of whose parts the standard errors are `errors` (b, c, m, k)."""
    dependent, said = together
    if not dependent:
        return None
    if said is None:
        over = OverRows(np.zeros_like(errors), errors**2, common=True)
    else:
        shift, variance = (_of_rows(part, len(errors), errors.shape[3], places) for part in said)
        over = OverRows(shift, variance)
    return over if parts == 1 else _of_parts(over, parts)


def _of_parts(over: OverRows, parts: int) -> OverRows:
    shift, variance = _by_part(over.shift, parts).mean(axis=1), _by_part(over.variance, parts).sum(axis=1) / parts**2
    return OverRows(shift, variance * parts if over.common else variance, over.common)


def _by_part(lines: Floats, parts: int) -> Floats:
    return lines.reshape(-1, parts, *lines.shape[1:])


def family(n: int, sizes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """All sets of these sizes among n players, size by size, in lexicographic order."""
    return tuple(one for size in sizes for one in combinations(range(n), size))


def check_whole(question: Question) -> None:
    """SpecError for questions about chosen sets: each row numbers its players anew."""
    for name in ("pairs", "groups", "players"):
        if getattr(question, name) is not None:
            raise SpecError(
                f"{question.index} with {name}: a dataset job answers all sets of a size; leave {name} out and pick from the result"
            )


def row_ask(ask: Ask, n: int, budget: int, design: Design | None = None, parts: int = 1) -> Ask:
    """The ask resolved, with `auto` of a dataset job replaced by a name: what fits once for all rows of a unit. That is `gp_shared` up to
    5,000 evaluations a row, above it least squares for Shapley values, and for those of a background in parts wherever the budget is
    enough: a Gaussian process shrinks all parts alike, and that does not average out. `design` is the one that was drawn, if it was.
    Raises SpecError.
    """
    question = resolve(ask.question, n)
    kind = None if design is None else design.describe()["kind"]
    if ask.estimator != "auto":
        if table.info(ask.estimator).sparse:
            raise SpecError(
                f"{ask.estimator!r} lists the sets that it finds, others for each row; take another estimator"
            )
        return Ask(question, ask.estimator)
    if kind in (None, "strata"):
        if parts > 1 and question.index == "SV" and budget >= table.info("leverage").minimum(question, n):
            return Ask(question, "leverage")
        if budget <= LARGEST_SHARED and n <= LARGEST_CUBE and table.answers(table.info("gp_shared"), question):
            return Ask(question, "gp_shared")
        if question.index == "SV":
            return Ask(question, "leverage")
    return Ask(question, table.choose(question, n, kind == "exhaustive", budget, kind))


def _of_rows(part: Floats, b: int, k: int, places: Ints) -> Floats:
    """An estimate's array (c, b k) or (c, m, b k) as (b, c, m, k), every set at its own place."""
    shaped = np.ascontiguousarray(part.reshape(len(part), -1, b, k).transpose(2, 0, 1, 3))
    out = np.empty_like(shaped)
    np.put_along_axis(out, np.broadcast_to(places, shaped.shape), shaped, axis=1)
    return out


def _sizes(found: Estimate, n: int) -> tuple[int, ...]:
    sizes = tuple(dict.fromkeys(len(one) for one in found.coalitions))
    if len(found.coalitions) != sum(comb(n, size) for size in sizes) or found.coalitions != family(n, sizes):
        raise SpecError(
            f"{found.question.index} by {found.estimator!r} does not name all sets of its sizes, and each row of a dataset job numbers "
            "its players anew; take another estimator"
        )
    return sizes


def _places(n: int, sizes: Sequence[int], relabellings: Ints) -> Ints:
    """Where the sets of design players lie among the family, for relabellings (b, n): shape (b, c)."""
    b, parts, before = len(relabellings), list[Ints](), 0
    for size in sizes:
        sets = np.array(list(combinations(range(n), size)), dtype=np.int64).reshape(comb(n, size), size)
        powers = n ** np.arange(size - 1, -1, -1, dtype=np.int64)
        seen = np.sort(relabellings[:, sets], axis=2) @ powers if size else np.zeros((b, 1), dtype=np.int64)
        parts.append(before + np.searchsorted(sets @ powers, seen))
        before += len(sets)
    return np.concatenate(parts, axis=1)
