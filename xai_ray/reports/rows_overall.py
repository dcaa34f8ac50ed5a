"""What holds over all rows of a dataset job: means of values and of their absolute values, from one pass over the stored blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.row_answers import RowAnswers
from xai_ray.estimators.row_pool import RowBlock
from xai_ray.indices import Question
from xai_ray.overall import DatasetStrength, GlobalValues
from xai_ray.overall.local import LocalSums
from xai_ray.overall.strengths import StrengthSums
from xai_ray.types import Floats

if TYPE_CHECKING:
    from xai_ray.reports.rows_result import RowsResult


@dataclass(frozen=True)
class Overall:
    """One question over all rows: c sets, m contexts (1 without), k outputs."""

    question: Question
    estimator: str
    sets: tuple[tuple[int, ...], ...]
    found: GlobalValues
    """Arrays of shape (c, m, k). Standard errors are those of a mean over rows that were drawn, the noise of each row included."""
    strength: DatasetStrength | None
    """Of pairs with contexts: mean |I| over rows and pairs for each context, shape (m, k)."""

    def squeezed(self) -> GlobalValues:
        """Without the axes of contexts and outputs where these are one: (c,), (c, k), (c, m) or (c, m, k)."""

        def cut(array: Floats) -> Floats:
            array = array if self.question.contexts is not None else array[:, 0]
            return array[..., 0] if array.shape[-1] == 1 else array

        cuts = {f.name: cut(getattr(self.found, f.name)) for f in fields(self.found) if f.name != "rows"}
        return replace(self.found, **cuts)


def overall_of(result: RowsResult, at: Sequence[int] | None = None) -> tuple[Overall, ...]:
    """Of the questions `at` (all if left out), block by block: memory of one block and of one row's values.

    Raises NotEnoughSamples where a row has no value of some set.
    """
    numbers = tuple(range(len(result.asks))) if at is None else tuple(at)
    sums: list[LocalSums] = []
    common: list[Floats] = []
    strengths: list[StrengthSums | None] = []
    for block in result.blocks():
        own = [block.answers[number] for number in numbers]
        for number, answers in zip(numbers, own, strict=True):
            _check(result, block, answers, number)
        rows = len(block.draws)
        parts = [
            LocalSums.of(answers.values, answers.std_errors).with_mean(summed.values / rows, summed.spread)
            for answers, summed in zip(own, (block.sums[number] for number in numbers), strict=True)
        ]
        sums = [a.merge(b) for a, b in zip(sums, parts, strict=True)] if sums else parts
        shared = [block.sums[number].common for number in numbers]
        common = [a + b for a, b in zip(common, shared, strict=True)] if common else shared
        pairs = [_strength(result, answers, number) for answers, number in zip(own, numbers, strict=True)]
        strengths = [_merged(a, b) for a, b in zip(strengths, pairs, strict=True)] if strengths else pairs
    return tuple(
        Overall(
            result.asks[number].question,
            result.asks[number].estimator,
            result.sets(number),
            total.with_common(variances).finish(),
            None if strength is None else strength.finish(),
        )
        for number, total, variances, strength in zip(numbers, sums, common, strengths, strict=True)
    )


def sampled_rows(result: RowsResult, at: int, most: int) -> Iterator[tuple[int, Floats]]:
    """Number and values (c, m, k) of at most `most` rows, evenly spaced."""
    step = -(-result.n_rows // most)
    for block in result.blocks():
        for row in range(-block.start % step, len(block.draws), step):
            yield block.start + row, block.answers[at].values[row]


def _strength(result: RowsResult, answers: RowAnswers, number: int) -> StrengthSums | None:
    contexts = result.asks[number].question.contexts
    if contexts is None or answers.sizes != (2,):
        return None
    return StrengthSums.of(answers.values, answers.std_errors, contexts)


def _merged(a: StrengthSums | None, b: StrengthSums | None) -> StrengthSums | None:
    return None if a is None or b is None else a.merge(b)


def _check(result: RowsResult, block: RowBlock, answers: RowAnswers, number: int) -> None:
    known = np.isfinite(answers.values) & np.isfinite(answers.std_errors)
    if known.all():
        return
    row, at = (int(i) for i in np.argwhere(~known)[0][:2])
    names = " x ".join(result.players[i] for i in result.sets(number)[at])
    raise NotEnoughSamples(
        f"job {result.job}: row {block.start + row} has no value of {names}, so there is no mean over all rows; take more evaluations a "
        "row, or another estimator (--ask, ask)"
    )
