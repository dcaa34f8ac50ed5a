"""The table of estimators: what each answers, from which design, and from how many evaluations on. `auto` is `choose`."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

from xai_ray.coalitions import Design
from xai_ray.errors import NotEnoughSamples, SpecError, UnknownName
from xai_ray.estimators import (
    cells,
    cube,
    exact,
    faith,
    gp,
    gp_shared,
    iterated,
    kernel,
    kernel_iq,
    levelled,
    leverage,
    msr,
    odd,
    owen,
    paired,
    permutation,
    proxy,
    runs,
    sparse_proxy,
    stacked,
    star,
    strength,
    svarmiq,
)
from xai_ray.estimators.closed_sets import CLOSED_FORM
from xai_ray.estimators.exact import LARGEST_EXACT
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.protocol import Estimator
from xai_ray.indices import INDICES, Question

ESTIMATORS: dict[str, EstimatorInfo] = {
    row.name: row
    for row in (
        exact.INFO,
        leverage.INFO,
        permutation.INFO,
        levelled.INFO,
        iterated.INFO,
        kernel.INFO,
        msr.INFO,
        stacked.INFO,
        gp.INFO,
        gp_shared.INFO,
        odd.INFO,
        proxy.INFO,
        sparse_proxy.INFO,
        cells.INFO,
        svarmiq.INFO,
        star.INFO,
        cube.INFO,
        paired.INFO,
        faith.INFO,
        kernel_iq.INFO,
        strength.INFO,
        owen.INFO,
        runs.INFO,
    )
}
"""Every estimator by its name."""


def info(name: str, where: str = "") -> EstimatorInfo:
    """The row of this name, or UnknownName with the nearest."""
    if name == CLOSED_FORM:
        raise SpecError(
            f"{where + ': ' if where else ''}{CLOSED_FORM} reads a model and not values of coalitions: ask it of the game, in a job of "
            "its own"
        )
    if name not in ESTIMATORS:
        raise UnknownName("estimator", name, [*ESTIMATORS, "auto", CLOSED_FORM], where)
    return ESTIMATORS[name]


def answers(row: EstimatorInfo, question: Question) -> bool:
    """Whether this estimator answers this question."""
    return question.index in row.indices and (row.orders is None or question.order in row.orders)


def candidates(question: Question) -> list[str]:
    """Names of the estimators that answer a question, in the order of the table."""
    return [name for name, row in ESTIMATORS.items() if answers(row, question)]


def choose(question: Question, n: int, complete: bool, evaluations: int, design: str | None = None) -> str:
    """`auto`: `exact` when all coalitions are `complete`, else the first row of `AUTO` that answers the question and whose condition
    holds. With `design`, only estimators that read that kind of design.

    Raises SpecError when only `exact` knows the index and the budget does not reach it.
    """
    if complete:
        return "exact"
    for name, holds in AUTO.items():
        row = ESTIMATORS[name]
        fits = answers(row, question) and (row.largest is None or n <= row.largest)
        if fits and (design is None or design in row.designs) and holds(question, n, evaluations):
            return name
    raise SpecError(_no_estimator(question, n, design))


def _affordable(question: Question, n: int, evaluations: int) -> bool:
    """The system of `gp` grows with the square of the evaluations, its closed forms with sets x evaluations x players / 2; those of
    pairs are matrix products and cost a sixteenth.
    """
    gain = 16 if question.order == 2 else 1
    return evaluations <= 10_000 and _sets(question, n) * evaluations * n / 2 <= gain * 1e10


def _screened(question: Question, n: int, evaluations: int) -> bool:
    """Terms are worth screening from 20 evaluations a player on; what is grown and fitted is affordable up to these sizes."""
    return n <= 200 and 20 * n <= evaluations <= min(200 * n, 50_000)


def _few_sets(question: Question, n: int, evaluations: int) -> bool:
    """Trees read set by set; the quadratic surrogate of `cells` reads all pairs at once."""
    return _sets(question, n) <= 50_000


def _always(question: Question, n: int, evaluations: int) -> bool:
    return True


def _sets(question: Question, n: int) -> int:
    """Sets that a resolved question asks for, contexts counted apart."""
    sets = len(question.pairs) if question.pairs is not None else comb(n, question.order or 1)
    return sets * (len(question.contexts) if question.contexts is not None else 1)


AUTO: dict[str, Callable[[Question, int, int], bool]] = {
    "stacked": _affordable,
    "odd": _screened,
    "leverage": _always,
    "msr": _always,
    "levelled": _always,
    "permutation": _always,
    "proxy": _few_sets,
    "cells": _always,
    "strength": _always,
    "owen": _always,
    "runs": _always,
    "iterated": _always,
}
"""What `auto` takes, in this order, where the condition on (question, players, evaluations) holds."""


def _no_estimator(question: Question, n: int, design: str | None) -> str:
    others = [name for name in candidates(question) if name != "exact"]
    if others and design is not None:
        need = ESTIMATORS[others[0]].designs[0]
        return (
            f"{question.index} needs the design {need!r} (estimator {others[0]!r}), this job drew {design!r}; "
            f"run a job that asks for {question.index}"
        )
    cost = f"2^{n} = {1 << n:,} evaluations" if n <= LARGEST_EXACT else f"2^{n} evaluations, out of reach for n = {n}"
    order = f" of order {question.order}" if question.order not in (None, INDICES[question.index].order) else ""
    rows = [row for name, row in ESTIMATORS.items() if name != "exact"]
    orders = sorted({order for row in rows if question.index in row.indices for order in row.orders or ()})
    if orders:
        able = f"orders {', '.join(map(str, orders))} of {question.index} are sampled"
    else:
        able = f"sampled indices: {', '.join(sorted({tag for row in rows for tag in row.indices}))}"
    return f"{question.index}{order} has no sampled estimator: it needs estimator 'exact', {cost} ({able})"


def check(name: str, question: Question, n: int, where: str = "") -> None:
    """Raises SpecError when the named estimator cannot answer the question for n players, and names those that can."""
    row = info(name, where)
    prefix = f"{where}: " if where else ""
    if not answers(row, question):
        able = ", ".join(repr(c) for c in candidates(question)) or "none"
        raise SpecError(
            f"{prefix}estimator {name!r} does not answer {question.index} of order {question.order}; these do: {able}"
        )
    if row.largest is not None and n > row.largest:
        cost = (
            f"would cost 2^{n} = {float(2 ** min(n, 1000)):.3g} evaluations" if name == "exact" else "is out of reach"
        )
        raise SpecError(f"{prefix}{name} for n = {n} players {cost}; the limit is n = {row.largest}. {row.beyond}")


def build(name: str, question: Question, design: Design) -> Estimator[Any]:
    """The estimator of this name for a question and a design. `question` must be resolved for the design's players."""
    check(name, question, design.n_players)
    kind = design.describe()["kind"]
    if kind not in ESTIMATORS[name].designs and name != "exact":
        raise NotEnoughSamples(_no_estimator(question, design.n_players, kind))
    return ESTIMATORS[name].make(question, design)
