"""From questions and a budget to one design that serves them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from xai_ray.coalitions import Design, Exhaustive, PlayerContexts, Strata
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import BudgetTooSmall, SpecError
from xai_ray.estimators import table
from xai_ray.estimators.exact import LARGEST_EXACT
from xai_ray.estimators.iterated import least
from xai_ray.estimators.workload import check_workload
from xai_ray.indices import READ_OUT, Question, resolve


@dataclass(frozen=True, slots=True)
class Ask:
    """A question with the name of the estimator that answers it."""

    question: Question
    estimator: str = "auto"


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be drawn, and how much of it."""

    asks: tuple[Ask, ...]
    """Resolved: defaults filled in, `auto` replaced by a name."""
    design: Design
    draws: int
    """Draws that the budget affords."""

    @property
    def evaluations(self) -> int:
        """Evaluations of those draws; never more than the budget."""
        return self.design.evaluations(self.draws)


def plan(asks: Sequence[Ask], n: int, evaluations: int | None, seed: int, stochastic: bool = False) -> Plan:
    """Resolve the asks, choose estimators, build the design. `evaluations` None asks for all 2^n.

    A budget of 2^n or more is spent on the complete table, from which every estimator's limit is known exactly.
    Raises SpecError (combinations that do not go together) and BudgetTooSmall (says how many evaluations are needed).
    """
    if not asks:
        raise SpecError('nothing asked: add an [[ask]] with an index, for example index = "SV"')
    if evaluations is not None and evaluations < 2:
        raise BudgetTooSmall(
            f"budget of {evaluations} evaluations: at least 2 are needed (the empty and the grand coalition)"
        )
    if not 0 <= seed < 1 << 63:
        raise SpecError(f"seed {seed}: a whole number from 0 to 2^63 - 1")
    questions = [resolve(ask.question, n) for ask in asks]
    covered = not stochastic and (evaluations is None or (n <= LARGEST_EXACT and evaluations >= 1 << n))
    if evaluations is None and stochastic:
        raise SpecError(
            "exact needs a deterministic game: use every background row (samples = none) instead of sampled ones"
        )
    names = [
        _name(ask.estimator, question, n, None if covered else evaluations, f"ask[{i}]", stochastic)
        for i, (ask, question) in enumerate(zip(asks, questions, strict=True))
    ]
    resolved = tuple(Ask(q, name) for q, name in zip(questions, names, strict=True))
    if covered:
        return Plan(resolved, Exhaustive(n), 1 << n)
    assert evaluations is not None
    for ask in resolved:
        need = table.info(ask.estimator).minimum(ask.question, n, stochastic)
        if evaluations < need:
            raise BudgetTooSmall(
                f"budget of {evaluations} evaluations: {ask.estimator!r} needs at least {need} for {ask.question.index} of {n} players"
            )
        if ask.question.index in READ_OUT and not table.info(ask.estimator).sparse:
            check_workload(ask.estimator, ask.question, n, outputs=1)
    design = _design(resolved, n, seed, stochastic)
    draws = design.affordable(evaluations)
    if isinstance(design, Strata):
        _check_reach(design, draws, resolved)
    if isinstance(design, PlayerContexts) and evaluations < (need := least(design)):
        raise BudgetTooSmall(
            f"budget of {evaluations} evaluations: 'iterated' needs at least {need} for the {len(design.player_list)} players of "
            "all questions together"
        )
    return Plan(resolved, design, draws)


def _check_reach(design: Strata, draws: int, asks: Sequence[Ask]) -> None:
    """Every size that an interaction reads must be drawn, or its answer would be missing after the budget is spent."""
    for ask in asks:
        reads = table.info(ask.estimator).reads
        if reads is None:
            continue
        n = design.n_players
        needed = reads(ask.question, n)
        stretch = draws
        while not np.isin(needed, design.dealt(stretch)).all():
            stretch *= 2
        enough = 1 + max((int(np.argmax(design.dealt(stretch) == h)) for h in needed), default=0)
        if enough > draws:
            raise BudgetTooSmall(
                f"budget of {design.evaluations(draws)} evaluations: {ask.estimator!r} needs at least "
                f"{design.evaluations(enough)} to draw every size that {ask.question.index} of {n} players reads "
                f"together with the other questions"
            )


def _name(asked: str, question: Question, n: int, evaluations: int | None, where: str, stochastic: bool) -> str:
    if asked != "auto":
        table.check(asked, question, n, where)
        if asked == "exact" and (evaluations is not None or stochastic):
            raise BudgetTooSmall(
                f"{where}: estimator 'exact' needs all 2^{n} = {1 << n:,} coalitions of a deterministic game, "
                f'the budget is {evaluations}; set [budget] evaluations = "exact"'
            )
    if evaluations is None:
        # Whatever answers, all 2^n values are held in memory.
        table.check("exact", question, n, where)
        return "exact" if asked == "auto" else asked
    if asked != "auto":
        return asked
    return table.choose(question, n, complete=False, evaluations=evaluations)


def _design(asks: Sequence[Ask], n: int, seed: int, stochastic: bool) -> Design:
    rows = [table.info(ask.estimator) for ask in asks]
    kinds = {row.designs[0]: row.name for row in rows}
    if len(kinds) > 1:
        names = ", ".join(f"{name!r} draws {kind}" for kind, name in kinds.items())
        raise SpecError(
            f"one job draws one design, and these need different ones: {names}; choose estimators of one design or run two jobs"
        )
    if rows[0].design is not None:
        return rows[0].design([ask.question for ask in asks], n, seed, stochastic)
    even = np.array(uniform_law(n)) / max(sum(uniform_law(n)), 1.0)
    laws = [even if r.law is None else r.law(a.question, n) for r, a in zip(rows, asks, strict=True)]
    # Every stratum keeps a little weight, so that a finished job can be asked for another index.
    law = 0.9 * np.mean(laws, axis=0) + 0.1 * even
    edges = 0 if stochastic or n == 1 else max(r.exhausted(a.question, n) for r, a in zip(rows, asks, strict=True))
    return Strata(n, seed, tuple(float(f"{w:.12g}") for w in law), edges, stochastic)


def describe_question(question: Question) -> dict[str, Any]:
    """The fields that are set, as a JSON object."""
    return {k: v for k in question.__slots__ if (v := getattr(question, k)) is not None}


def described_question(document: Mapping[str, Any]) -> Question:
    """The inverse of `describe_question`, of what JSON makes of it."""
    return Question(**{key: _tupled(value) for key, value in document.items()})


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in cast("list[Any]", value)) if isinstance(value, list) else value
