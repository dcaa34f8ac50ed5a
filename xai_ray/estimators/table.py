"""The table of estimators: what each answers, from which design, and from how many evaluations on. `auto` is `choose`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from xai_ray.coalitions import Design, Permutations, Strata
from xai_ray.errors import NotEnoughSamples, SpecError, UnknownName
from xai_ray.estimators import cells, leverage, permutation
from xai_ray.estimators.cells import Cells
from xai_ray.estimators.exact import Exact
from xai_ray.estimators.leverage import Leverage
from xai_ray.estimators.permutation import Permutation
from xai_ray.estimators.protocol import Estimator
from xai_ray.estimators.readouts import PAIR_INDICES
from xai_ray.indices import INDICES, Question

LARGEST_EXACT = 24
"""Above this many players 2^n values no longer fit into memory with room for the transforms."""

LARGEST_DENSE = 5_000
"""Above this many players an n x n system is too large for `leverage`."""


class Minimum(Protocol):
    """Evaluations that an estimator needs."""

    def __call__(self, question: Question, n: int, stochastic: bool = False) -> int:
        """For a question about n players of a deterministic or a stochastic game."""
        ...


@dataclass(frozen=True, slots=True)
class EstimatorInfo:
    """One row of the table."""

    name: str
    indices: tuple[str, ...]
    """Tags it answers."""
    orders: tuple[int, ...] | None
    """Orders it answers; None for every order."""
    designs: tuple[str, ...]
    """Kinds of design it reads; the first is the one it asks for."""
    minimum: Minimum
    """Evaluations it needs for n players."""
    summary: str
    source: str


ESTIMATORS: dict[str, EstimatorInfo] = {
    "exact": EstimatorInfo(
        "exact",
        tuple(INDICES),
        None,
        ("exhaustive", "strata"),
        lambda question, n, stochastic=False: 1 << n,
        "every index from all 2^n values, by butterfly transforms",
        "Harsanyi 1963; Grabisch & Roubens 1999",
    ),
    "leverage": EstimatorInfo(
        "leverage",
        ("SV",),
        (1,),
        ("strata",),
        lambda question, n, stochastic=False: leverage.minimum(n),
        "weighted least squares on paired strata drawn without replacement",
        "Musco & Witter, ICLR 2025",
    ),
    "permutation": EstimatorInfo(
        "permutation",
        ("SV",),
        (1,),
        ("permutations",),
        lambda question, n, stochastic=False: permutation.minimum(n, stochastic),
        "mean marginal contribution over antithetic pairs of orders",
        "Castro et al. 2009; Mitchell et al., JMLR 2022",
    ),
    "cells": EstimatorInfo(
        "cells",
        PAIR_INDICES,
        (2,),
        ("strata",),
        lambda question, n, stochastic=False: cells.minimum(n),
        "all pairs and all context sizes from one pool, cross-fitted quadratic surrogate with residual correction",
        "after Kolpaczki et al., AISTATS 2024 (SVARM-IQ)",
    ),
}


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


def choose(question: Question, n: int, complete: bool, design: str | None = None) -> str:
    """`auto`: `exact` when all coalitions are `complete`, else `leverage` for Shapley values (`permutation` above
    5,000 players), `cells` for pairs. With `design`, only estimators that read that kind of design.

    Raises SpecError when only `exact` knows the index and the budget does not reach it.
    """
    if complete:
        return "exact"
    for name in ("leverage", "permutation", "cells"):
        row = ESTIMATORS[name]
        if answers(row, question) and (design is None or design in row.designs):
            if name == "leverage" and n > LARGEST_DENSE and design is None:
                continue
            return name
    raise SpecError(_no_estimator(question, n, design))


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
    sampled = sorted({tag for row in ESTIMATORS.values() if row.name != "exact" for tag in row.indices})
    return (
        f"{question.index}{order} has no sampled estimator: it needs estimator 'exact', {cost} "
        f"(sampled indices: {', '.join(sampled)})"
    )


def check(name: str, question: Question, n: int, where: str = "") -> None:
    """Raises SpecError when the named estimator cannot answer the question for n players, and names those that can."""
    row = info(name, where)
    prefix = f"{where}: " if where else ""
    if not answers(row, question):
        able = ", ".join(repr(c) for c in candidates(question)) or "none"
        raise SpecError(
            f"{prefix}estimator {name!r} does not answer {question.index} of order {question.order}; these do: {able}"
        )
    if name == "exact" and n > LARGEST_EXACT:
        raise SpecError(
            f"{prefix}exact for n = {n} players would cost 2^{n} = {float(2 ** min(n, 1000)):.3g} evaluations, all in memory; "
            f"the limit is n = {LARGEST_EXACT}. Use a sampled estimator, or fewer players (a coarser grid, column groups)"
        )
    if name == "leverage" and n > LARGEST_DENSE:
        raise SpecError(
            f"{prefix}leverage solves an n x n system and stops at n = {LARGEST_DENSE}; use 'permutation' for n = {n}"
        )


def build(name: str, question: Question, design: Design) -> Estimator[Any]:
    """The estimator of this name for a question and a design. `question` must be resolved for the design's players."""
    check(name, question, design.n_players)
    kind = design.describe()["kind"]
    if kind not in ESTIMATORS[name].designs and name != "exact":
        raise NotEnoughSamples(_no_estimator(question, design.n_players, kind))
    if name == "leverage" and isinstance(design, Strata):
        return Leverage(question, design)
    if name == "cells" and isinstance(design, Strata):
        return Cells(question, design)
    if name == "permutation" and isinstance(design, Permutations):
        return Permutation(question, design)
    return Exact(question, design)
