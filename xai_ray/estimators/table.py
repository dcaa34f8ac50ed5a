"""The table of estimators: what each answers, from which design, and from how many evaluations on. `auto` is `choose`."""

from __future__ import annotations

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
    kernel,
    kernel_iq,
    leverage,
    msr,
    odd,
    owen,
    paired,
    permutation,
    proxy,
    runs,
    stacked,
    star,
    strength,
    svarmiq,
)
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
        kernel.INFO,
        msr.INFO,
        stacked.INFO,
        gp.INFO,
        odd.INFO,
        proxy.INFO,
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
    if name not in ESTIMATORS:
        raise UnknownName("estimator", name, [*ESTIMATORS, "auto"], where)
    return ESTIMATORS[name]


def answers(row: EstimatorInfo, question: Question) -> bool:
    """Whether this estimator answers this question."""
    return question.index in row.indices and (row.orders is None or question.order in row.orders)


def candidates(question: Question) -> list[str]:
    """Names of the estimators that answer a question, in the order of the table."""
    return [name for name, row in ESTIMATORS.items() if answers(row, question)]


LARGEST_STACK = 10_000
"""Evaluations above which `auto` leaves the Gaussian process: its system grows with their square."""

LARGEST_READ = 1e10
"""Sets x evaluations x players / 2 above which `auto` leaves it: what its closed forms cost; pairs, by matrix products, a sixteenth."""

LARGEST_ODD = (200, 50_000)
"""Players and evaluations up to which `auto` takes the odd regression for Shapley values."""

LARGEST_PROXY = 50_000
"""Sets above which `auto` takes the cells of a quadratic surrogate instead of trees."""


def choose(question: Question, n: int, complete: bool, evaluations: int, design: str | None = None) -> str:
    """`auto`, by the first line that fits:

    exact                       all coalitions are `complete`
    stacked                     every read-out of order 1-3, while its work is affordable (the limits above, n <= 1,000)
    odd                         Shapley values beyond that, at 20 to 200 evaluations a player, up to 200 players and 50,000 evaluations
    leverage, permutation       Shapley values beyond that, up to and above 20,000 players
    msr                         other first-order values
    proxy, cells                sets of two or three players beyond that, up to and above 50,000 sets
    strength, owen              J and J2, Owen values
    runs                        multivariate interactions

    With `design`, only estimators that read that kind of design. Raises SpecError when only `exact` knows the index and the budget
    does not reach it.
    """
    if complete:
        return "exact"
    for name in _AUTO:
        row = ESTIMATORS[name]
        if answers(row, question) and (design is None or design in row.designs):
            if name == "stacked" and not _affordable(question, n, evaluations):
                continue
            if name == "odd" and not (20 * n <= evaluations <= min(200 * n, LARGEST_ODD[1]) and n <= LARGEST_ODD[0]):
                continue
            if name == "proxy" and _sets(question, n) > LARGEST_PROXY:
                continue
            if row.largest is not None and n > row.largest and (design is None or name == "stacked"):
                continue
            return name
    raise SpecError(_no_estimator(question, n, design))


_AUTO = ("stacked", "odd", "leverage", "permutation", "msr", "proxy", "cells", "strength", "owen", "runs")


def _affordable(question: Question, n: int, evaluations: int) -> bool:
    gain = 16 if question.order == 2 else 1
    return evaluations <= LARGEST_STACK and _sets(question, n) * evaluations * n / 2 <= gain * LARGEST_READ


def _sets(question: Question, n: int) -> int:
    """Sets that a resolved question asks for, contexts counted apart."""
    sets = len(question.pairs) if question.pairs is not None else comb(n, question.order or 1)
    return sets * (len(question.contexts) if question.contexts is not None else 1)


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
