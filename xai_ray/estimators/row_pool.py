"""The first rows of a dataset job: running means over rows, and the blocks that they are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xai_ray.coalitions.row_blocks import RowBlocks
from xai_ray.errors import NotEnoughSamples, StoreError
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.plan import Ask
from xai_ray.estimators.row_answers import RowAnswers, answer_rows, check_whole, family, row_ask
from xai_ray.estimators.row_sums import AnswerSums, OverRows
from xai_ray.estimators.stop_rules import Verdict
from xai_ray.estimators.stopping import Stop
from xai_ray.indices import Question, resolve
from xai_ray.types import Floats, Ints, Values


@dataclass(frozen=True)
class RowBlock:
    """What a unit holds: the values of its b rows, and the answers from them. k outputs."""

    start: int
    """Number of its first row."""
    draws: Ints
    """Shape (b,): draws that each row took before it was precise enough, or its budget ended."""
    values: tuple[Values, ...]
    """Of each row (r, k), r evaluations of its draws; of a background in parts (parts r, k), part by part."""
    answers: tuple[RowAnswers, ...]
    """One a question."""
    sums: tuple[AnswerSums, ...]
    """Of the answers, one a question, for means over rows."""
    ends: Floats
    """Shape (b, 2, k): v(empty) and v(grand)."""
    targets: Ints | None = None
    """Shape (b, k): the explained classes, where they differ between rows."""
    open: int = 0
    """Rows whose budget ended before they were as precise as was asked."""
    parts: int = 1
    """Those of the background."""

    @property
    def evaluations(self) -> Ints:
        """Of v for each row, shape (b,)."""
        return np.array([len(own) // self.parts for own in self.values], dtype=np.int64)

    @property
    def rows(self) -> Ints:
        """Numbers of its rows, shape (b,)."""
        return np.arange(self.start, self.start + len(self.draws), dtype=np.int64)

    def packed(self) -> tuple[Values, dict[str, Any]]:
        """As the values (r, k) and facts of a record: row by row, then question by question values and standard errors, then
        question by question the sums.
        """
        k = self.values[0].shape[1]
        said = [part.reshape(-1, k) for a in self.answers for part in (a.values, a.std_errors)]
        said += [part.reshape(-1, k) for s in self.sums for part in (s.values, s.variances, s.common, s.spread)]
        freedom = [[float(f) if np.isfinite(f) else None for f in a.freedom] for a in self.answers]
        facts = {
            "draws": self.draws.tolist(),
            "answers": [[list(a.sizes), a.values.shape[1], a.values.shape[2], a.contexts] for a in self.answers],
            "freedom": freedom,
            **({"open": self.open} if self.open else {}),
            **({} if self.targets is None else {"targets": self.targets.tolist()}),
        }
        return np.concatenate([*self.values, self.ends.reshape(-1, k), *said]), facts

    @classmethod
    def unpacked(cls, design: RowBlocks, start: int, values: Values, facts: dict[str, Any]) -> RowBlock:
        """The inverse of `packed`. Raises StoreError for a record of another layout."""
        draws, k = np.array(facts["draws"], dtype=np.int64), values.shape[1]
        counts = [design.each.evaluations(int(d)) * design.parts for d in draws]
        cuts = np.cumsum([*counts, 2 * len(draws)])
        *own, ends, rest = np.split(values, cuts)
        answers, at = list[RowAnswers](), 0
        for (sizes, c, m, contexts), freedom in zip(facts["answers"], facts["freedom"], strict=True):
            size = len(draws) * c * m
            parts = [rest[at + i * size : at + (i + 1) * size].reshape(len(draws), c, m, k) for i in (0, 1)]
            free = np.array([np.inf if f is None else f for f in freedom])
            answers.append(RowAnswers(tuple(sizes), parts[0], parts[1], free, contexts))
            at += 2 * size
        if len(rest) != at + 4 * sum(c * m for _, c, m, _ in facts["answers"]):
            raise StoreError("the rows of this job were stored by another state of xai_ray; run its spec again")
        sums = list[AnswerSums]()
        for _, c, m, _ in facts["answers"]:
            sums.append(AnswerSums(*rest[at : at + 4 * c * m].reshape(4, c, m, k)))
            at += 4 * c * m
        targets = np.array(facts["targets"], dtype=np.int64) if "targets" in facts else None
        still = int(facts.get("open", 0))
        shaped = ends.reshape(len(draws), 2, k)
        return cls(start, draws, tuple(own), tuple(answers), tuple(sums), shaped, targets, still, design.parts)

    def asked(self, design: RowBlocks, ask: Ask) -> RowAnswers:
        """The answer to another question from the same values; rows that took as many draws are answered together."""
        sigma = design.relabellings(self.rows).reshape(len(self.draws), design.parts, -1)
        parts: list[tuple[Ints, RowAnswers]] = []
        for draws in np.unique(self.draws):
            mine = np.flatnonzero(self.draws == draws)
            own = np.stack([self.values[r] for r in mine])
            values = own.reshape(len(mine) * design.parts, -1, own.shape[-1])
            seen = sigma[mine].reshape(len(values), -1)
            parts.append((mine, answer_rows(design.each, int(draws), values, seen, ask, design.parts).whole()))
        return gathered(len(self.draws), parts)


def gathered(count: int, parts: Sequence[tuple[Ints, RowAnswers]]) -> RowAnswers:
    """Answers of `count` rows from those of some of them each."""
    first = parts[0][1]
    values, errors = (np.empty((count, *first.values.shape[1:])) for _ in range(2))
    freedom = np.empty(count)
    for mine, part in parts:
        values[mine], errors[mine], freedom[mine] = part.values, part.std_errors, part.freedom
    return RowAnswers(first.sizes, values, errors, freedom, first.contexts, _joined(values, errors, parts))


def _joined(values: Floats, errors: Floats, parts: Sequence[tuple[Ints, RowAnswers]]) -> OverRows | None:
    """What a mean over all rows takes; rows that are exact, at full budget, beside others that are not, stay as they are."""
    if all(part.over_rows is None for _, part in parts):
        return None
    shift, variance, common = np.zeros_like(values), errors**2, False
    for mine, part in parts:
        if part.over_rows is not None:
            shift[mine], variance[mine] = part.over_rows.shift, part.over_rows.variance
            common = common or part.over_rows.common
    return OverRows(shift, variance, common)


@dataclass
class RowSums:
    """Sums over the first rows, block by block. Memory: those of one row."""

    design: RowBlocks
    rows: int = 0
    evaluations: int = 0
    open: int = 0
    ends: Floats | float = 0.0
    """Sum of (2, k)."""
    values: list[Floats] = field(default_factory=list[Floats])
    """Sums of (c, m, k), one a question, see `AnswerSums`."""
    variances: list[Floats] = field(default_factory=list[Floats])
    common: list[Floats] = field(default_factory=list[Floats])
    shapes: list[tuple[tuple[int, ...], bool]] = field(default_factory=list[tuple[tuple[int, ...], bool]])

    def add(self, block: RowBlock) -> None:
        """The next block."""
        if block.start != self.rows:
            raise ValueError(f"rows from {block.start} on do not follow row {self.rows}")
        self.values = _added(self.values, [s.values for s in block.sums])
        self.variances = _added(self.variances, [s.variances for s in block.sums])
        self.common = _added(self.common, [s.common for s in block.sums])
        self.shapes = [(a.sizes, a.contexts) for a in block.answers]
        self.open += block.open
        self.ends = self.ends + block.ends.sum(axis=0)
        self.rows += len(block.draws)
        self.evaluations += int(block.evaluations.sum())

    def copy(self) -> RowSums:
        """As it is now."""
        lists = {"values": [*self.values], "variances": [*self.variances], "common": [*self.common]}
        return replace(self, **lists, shapes=[*self.shapes])


def _added(so_far: list[Floats], own: list[Floats]) -> list[Floats]:
    return [a + b for a, b in zip(so_far, own, strict=True)] if so_far else own


@dataclass(frozen=True)
class RowPool:
    """The first rows of a dataset job, as `Pool` is of coalitions. `answer` gives means over the rows; `blocks` the rows themselves."""

    sums: RowSums
    asks: tuple[Ask, ...]
    blocks: Callable[[], Iterator[RowBlock]] = field(repr=False)
    """Reads the blocks from the store, in order, one at a time."""

    @property
    def design(self) -> RowBlocks:
        """The rows and what each draws."""
        return self.sums.design

    @property
    def draws(self) -> int:
        """Rows."""
        return self.sums.rows

    @property
    def evaluations(self) -> int:
        """Evaluations of v that the rows took."""
        return self.sums.evaluations

    @property
    def complete(self) -> bool:
        """A curve of means over growing numbers of rows says nothing of convergence."""
        return True

    def prefix(self, draws: int) -> RowPool:
        """Raises NotEnoughSamples: sums of rows cannot be taken back."""
        raise NotEnoughSamples(f"the means are over {self.draws} rows, not {draws}; open the job at that row")

    def answer(self, question: Question, estimator: str = "auto") -> Estimate:
        """Mean over the rows, unbiased over relabellings of the design (see `OverRows`), with the standard error that the rows leave it.

        A question of the job, or another one, which reads all rows again. Raises NotEnoughSamples, SpecError.
        """
        question = resolve(question, self.design.n_players)
        at = next((i for i, ask in enumerate(self.asks) if ask.question == question), None)
        if at is not None and estimator in ("auto", self.asks[at].estimator):
            return self._mean(at)
        return self.asked(question, estimator)._mean(0)

    def asked(self, question: Question, estimator: str = "auto") -> RowPool:
        """The same rows with the answer to another question alone. Raises SpecError, NotEnoughSamples."""
        check_whole(question)
        design = self.design
        ask = row_ask(Ask(question, estimator), design.n_players, design.budget, design.each, design.parts)

        def blocks() -> Iterator[RowBlock]:
            for block in self.blocks():
                found = block.asked(self.design, ask)
                yield replace(block, answers=(found,), sums=(found.sums(),))

        sums = RowSums(self.design)
        for block in blocks():
            sums.add(block)
        return RowPool(sums, (ask,), blocks)

    def ends(self) -> Values:
        """Means of v(empty) and v(grand), shape (2, k)."""
        return np.asarray(self.sums.ends / self.draws)

    def verdicts(self, stop: Stop) -> tuple[Verdict, ...]:
        """One, where precisions were asked of each row."""
        if not stop.rules:
            return ()
        still = self.sums.open
        words = f"{still} of {self.draws} rows are less precise than asked"
        return (Verdict("rows", not still, float(still), words),)

    def _mean(self, at: int) -> Estimate:
        sums, ask = self.sums, self.asks[at]
        if not sums.rows:
            raise NotEnoughSamples("no row is finished yet")
        sizes, contexts = sums.shapes[at]
        values = sums.values[at] / sums.rows
        errors = np.sqrt(sums.variances[at] / sums.rows + sums.common[at]) / np.sqrt(sums.rows)
        if not contexts:
            values, errors = values[:, 0], errors[:, 0]
        sets = family(self.design.n_players, sizes)
        return Estimate(ask.question, sets, values, errors, ask.estimator, sums.evaluations)
