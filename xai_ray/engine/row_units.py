"""Units of a dataset job: the rows of a block are evaluated in mixed batches, answered together, and stop one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from xai_ray.coalitions import RowBlocks, Unit
from xai_ray.coalitions.row_blocks import relabelled
from xai_ray.engine.non_finite import check_finite
from xai_ray.errors import ModelOutputError, NotEnoughSamples
from xai_ray.estimators import Ask, Stop, boundaries
from xai_ray.estimators.row_answers import Answered, RowAnswers, answer_rows, family
from xai_ray.estimators.row_pool import RowBlock, gathered
from xai_ray.estimators.row_sums import OverRows
from xai_ray.games.digest import fingerprint
from xai_ray.games.passes.numerics import Numerics
from xai_ray.games.view import View
from xai_ray.stores.canonical import canonical
from xai_ray.types import Coalitions, Ints, Values

_LAYOUT = 2
"""Of records; jobs of another one have other ids."""
_PAIRS = 4_096
"""Pairs of a row and a coalition between two looks at whether to stop, in whole batches."""


class RowGame(Protocol):
    """Games of many rows."""

    @property
    def n_players(self) -> int:
        """Players of a row."""
        ...

    @property
    def n_outputs(self) -> int:
        """Outputs of a row."""
        ...

    @property
    def n_rows(self) -> int:
        """Rows."""
        ...

    @property
    def player_names(self) -> tuple[str, ...]:
        """Names of the players."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        ...

    @property
    def digest(self) -> str:
        """Of all that decides the values, rows and all."""
        ...

    @property
    def stochastic(self) -> bool:
        """Whether values depend on contexts."""
        ...

    @property
    def block(self) -> int:
        """Pairs per batch."""
        ...

    @property
    def view(self) -> View:
        """How a report draws the players."""
        ...

    def row_values(self, rows: Ints, coalitions: Coalitions, context: Ints) -> Values:
        """Values (c, k) of pairs of a row (c,) and a coalition (c, n)."""
        ...


@dataclass(frozen=True)
class RowTask:
    """What a worker of a dataset job holds: the games, what is asked of each row, and when a row is precise enough.

    To the engine it is the job's game; it has no coalitions by themselves.
    """

    rows: Any
    """A RowGame."""
    asks: tuple[Ask, ...]
    stop: Stop
    """Its precisions hold for each row; `seconds` is left to the run."""

    @property
    def n_players(self) -> int:
        """Players of a row."""
        return self.rows.n_players

    @property
    def n_outputs(self) -> int:
        """Outputs of a row."""
        return self.rows.n_outputs

    @property
    def player_names(self) -> tuple[str, ...]:
        """Names of the players."""
        return self.rows.player_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self.rows.output_names

    @property
    def stochastic(self) -> bool:
        """Whether values depend on contexts."""
        return self.rows.stochastic

    @property
    def block(self) -> int:
        """Pairs per batch."""
        return self.rows.block

    @property
    def threads(self) -> int:
        """Threads of a forward pass."""
        return getattr(self.rows, "threads", 1)

    @property
    def numerics(self) -> Numerics | None:
        """How a forward pass is computed, where the games say so."""
        return getattr(self.rows, "numerics", None)

    @property
    def view(self) -> View:
        """How a report draws the players."""
        return self.rows.view

    @property
    def digest(self) -> str:
        """Of the games and of the precisions, which decide what each row takes, and of the layout of its records."""
        rules = {key: value for key, value in self.stop.document().items() if key != "seconds"}
        told = [canonical(rules, "the stop rules")] if rules else []
        return fingerprint([self.rows.digest, f"records {_LAYOUT}", *told])

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """See `RowsGame.values`."""
        return self.rows.values(coalitions, context)

    def halved(self) -> RowTask | None:
        """With half the batch; None if it is as small as can be."""
        halved = getattr(self.rows, "halved", None)
        smaller = None if halved is None else halved()
        return None if smaller is None else RowTask(smaller, self.asks, self.stop)


def row_block(unit: Unit, task: RowTask, design: RowBlocks, between: Callable[[], None]) -> tuple[RowBlock, int]:
    """The rows of a unit, and how many pairs were evaluated for them. Raises NonFiniteValue that names row and coalition."""
    work = _Block(unit, task, design, between)
    looks = list(boundaries(design.each, design.draws)) if task.stop.rules else [design.draws]
    for look, draws in enumerate(looks, start=1):
        work.evaluate(draws)
        if draws == design.draws:
            found = work.answers(draws)
            work.open = int((~work.precise(found, draws, look)).sum())
            work.settle(draws, found, np.ones(len(work.active), dtype=np.bool_))
            break
        try:
            found = work.answers(draws)
        except NotEnoughSamples:
            continue
        work.settle(draws, found, work.precise(found, draws, look))
        if not len(work.active):
            break
    return work.block(), work.evaluated


class _Block:
    """The rows of a unit under way; `active` are those that go on."""

    def __init__(self, unit: Unit, task: RowTask, design: RowBlocks, between: Callable[[], None]) -> None:
        self._task, self._design, self._between = task, design, between
        self._rows = np.arange(unit.start, unit.stop, dtype=np.int64)
        self._sigma = design.relabellings(self._rows)
        self._draws = np.zeros(len(self._rows), dtype=np.int64)
        self._done = 0
        # A line for each part of each row, those of a row one after the other.
        self._values = np.empty((len(self._rows) * design.parts, 0, task.n_outputs))
        self._parts: list[tuple[Ints, list[RowAnswers]]] = []
        self.active: Ints = np.arange(len(self._rows))
        self.evaluated = self.open = 0

    def evaluate(self, draws: int) -> None:
        """The draws up to `draws` of the active rows."""
        each, first, parts = self._design.each, self._values.shape[1], self._design.parts
        drawn = each.draw(self._done, draws)
        own = np.full((len(self._values), len(drawn.coalitions), self._task.n_outputs), np.nan)
        fresh, source = self._fresh(draws, first)
        # Part by part, so that passes are full.
        lines = self._lines(self.active).T.ravel()
        pairs = len(lines) * len(fresh)
        found = np.empty((pairs, self._task.n_outputs))
        at_once = self._task.block * max(1, _PAIRS // self._task.block)
        for start in range(0, pairs, at_once):
            self._between()
            at = np.arange(start, min(start + at_once, pairs))
            line, draw = lines[at // len(fresh)], fresh[at % len(fresh)]
            rows, coalitions = self._rows[line // parts], relabelled(drawn.coalitions[draw], self._sigma[line])
            context = self._design.contexts(rows, drawn.context[draw]) if parts == 1 else line % parts
            try:
                found[at] = self._task.rows.row_values(rows, coalitions, context)
            except ModelOutputError as error:
                raise self._named(error, np.unique(rows)) from error
            check_finite(found[at], self._task.rows, lambda i, rows=rows: f"row {rows[i]}", coalitions.__getitem__)
        own[lines[:, None], fresh] = found.reshape(len(lines), len(fresh), -1)
        self._values = np.concatenate([self._values, own], axis=1)
        self._values[:, first:] = self._values[:, source]
        self._done, self.evaluated = draws, self.evaluated + pairs // parts

    def _lines(self, rows: Ints) -> Ints:
        """Lines of the values that these of the unit's rows have, shape (b, parts)."""
        parts = self._design.parts
        return rows[:, None] * parts + np.arange(parts)

    def _fresh(self, draws: int, first: int) -> tuple[Ints, Ints]:
        """Which of the new evaluations are of coalitions that the row has not had, and whose value each of the new ones takes."""
        each = self._design.each
        count = each.evaluations(draws)
        if self._task.stochastic or each.describe()["kind"] in ("strata", "exhaustive"):
            return np.arange(count - first), np.arange(first, count)
        packed = np.packbits(each.draw(0, draws).coalitions, axis=1)
        _, where, inverse = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        source = where[inverse.reshape(-1)][first:].astype(np.int64)
        return np.flatnonzero(source == np.arange(first, count)), source

    def answers(self, draws: int) -> list[Answered]:
        """Of the active rows, one a question."""
        lines, parts = self._lines(self.active).ravel(), self._design.parts
        values, sigma = self._values[lines], self._sigma[lines]
        return [answer_rows(self._design.each, draws, values, sigma, ask, parts) for ask in self._task.asks]

    def precise(self, found: list[Answered], draws: int, look: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which of the active rows are precise enough in every question."""
        spent, n = self._design.each.evaluations(draws), self._design.n_players
        out = np.ones(len(self.active), dtype=np.bool_)
        if not self._task.stop.rules:
            return out
        for ask, one in zip(self._task.asks, found, strict=True):
            sets = family(n, one.answers.sizes)
            for at in np.flatnonzero(out):
                estimate = one.answers.at(int(at), ask.question, sets, ask.estimator, spent)
                out[at] = all(v.met for v in self._task.stop.judge(estimate, look))
        return out

    def settle(self, draws: int, found: list[Answered], ready: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        """These of the active rows are answered."""
        if not ready.any():
            return
        at = np.flatnonzero(ready)
        mine = self.active[at]
        self._draws[mine] = draws
        self._parts.append((mine, [_taken(one.whole(), at) for one in found]))
        self.active = self.active[~ready]

    def block(self) -> RowBlock:
        """All rows."""
        counts = [self._design.each.evaluations(int(d)) for d in self._draws]
        lines, k = self._lines(np.arange(len(counts))), self._task.n_outputs
        values = tuple(self._values[own, :count].reshape(-1, k) for own, count in zip(lines, counts, strict=True))
        answers = tuple(
            gathered(len(self._rows), [(mine, parts[a]) for mine, parts in self._parts])
            for a in range(len(self._task.asks))
        )
        grand = -1 if self._design.each.describe()["kind"] == "exhaustive" else 1
        ends = np.stack([self._values[:, 0], self._values[:, grand]], axis=1)
        ends = ends.reshape(len(self._rows), -1, 2, k).mean(axis=1)
        own = self._task.rows.row_targets(self._rows) if getattr(self._task.rows, "predicted", False) else None
        sums = tuple(a.sums() for a in answers)
        return RowBlock(
            int(self._rows[0]), self._draws, values, answers, sums, ends, own, self.open, self._design.parts
        )

    def _named(self, error: ModelOutputError, rows: Ints) -> ModelOutputError:
        """The error with the first of these rows that the model does not take even whole, where there is one."""
        everyone, context = np.ones((1, self._task.n_players), dtype=np.bool_), np.zeros(1, dtype=np.int64)
        for row in rows:
            try:
                self._task.rows.row_values(np.array([row]), everyone, context)
            except ModelOutputError as own:
                remedy = "bring the row into the form that the model takes, or leave it out"
                return ModelOutputError(f"row {row}, with all players present: {own}; {remedy}")
        return ModelOutputError(
            f"rows {rows[0]} to {rows[-1]}, with players removed: {error}; look at what the removal puts in"
        )


def _taken(answers: RowAnswers, at: Ints) -> RowAnswers:
    over = answers.over_rows
    mine = None if over is None else OverRows(over.shift[at], over.variance[at], over.common)
    values, errors, freedom = answers.values[at], answers.std_errors[at], answers.freedom[at]
    return RowAnswers(answers.sizes, values, errors, freedom, answers.contexts, mine)
