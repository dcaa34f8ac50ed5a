"""Several valuations of the same players side by side: the questions of a result, and what else is put beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from xai_ray.errors import InputError
from xai_ray.estimators.agreement import rank_correlation
from xai_ray.indices.question import Question
from xai_ray.reports.rows import is_first_order
from xai_ray.types import Floats, Ints
from xai_ray.valuation.result import Valuation

if TYPE_CHECKING:
    from xai_ray.reports.result import Result

ENDS = 0.1
"""Share of the players at each end whose overlap is told."""


@dataclass(frozen=True, eq=False)
class Method:
    """One valuation of n players for one output."""

    name: str
    values: Floats
    """Shape (n,); NaN where missing."""
    std_errors: Floats | None
    """Shape (n,); None where they are not known."""
    estimator: str = ""
    evaluations: int | None = None

    @property
    def complete(self) -> bool:
        """Whether every player has a value."""
        return bool(np.isfinite(self.values).all())


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two methods agree."""

    names: tuple[str, str]
    spearman: float
    """Rank correlation; NaN where one of them gives all players the same value."""
    count: int
    """Players at each end."""
    lowest: float
    """Share of the `count` players with the lowest values by one that are among those by the other; ties by number."""
    highest: float


def methods_of(result: Result, beside: Mapping[str, Any] | None = None, output: int = 0) -> list[Method]:
    """The estimates of a result with one value a player, then what is beside them: name -> Result, Valuation or (n,) array.

    Raises InputError for something of other players.
    """
    n = len(result.players)
    found = list(_estimates(result, output))
    repeated = {name for name, times in Counter(m.name for m in found).items() if times > 1}
    found = [replace(m, name=f"{m.name}, {m.estimator}") if m.name in repeated else m for m in found]
    for name, other in (beside or {}).items():
        found.append(_beside(name, other, result, n, output))
    names = [m.name for m in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two methods are called {twice!r}; give what is beside the result another name")
    return found


def question_name(question: Question) -> str:
    """What data valuation calls an index: `Shapley`, `Beta(4,1)`, `Banzhaf`, `leave-one-out`."""
    if question.index == "BETA" and question.alpha is not None and question.beta is not None:
        return f"Beta({question.alpha:g},{question.beta:g})"
    if question.index == "WBV" and question.p is not None:
        return f"weighted Banzhaf({question.p:g})"
    if question.index == "SEMI" and question.weights is not None:
        return "leave-one-out" if not any(question.weights[:-1]) else "semivalue"
    return {"SV": "Shapley", "BV": "Banzhaf"}.get(question.index, question.index)


def agreements(methods: Sequence[Method]) -> list[Agreement]:
    """All pairs of complete methods."""
    out = []
    for one, other in combinations([m for m in methods if m.complete], 2):
        n = len(one.values)
        count = max(1, round(ENDS * n))
        rho = float(rank_correlation(one.values[:, None], other.values[:, None])[0])
        low, high = (_overlap(one.values * sign, other.values * sign, count) for sign in (1.0, -1.0))
        out.append(Agreement((one.name, other.name), rho, count, low, high))
    return out


def lowest_first(values: Floats) -> Ints:
    """Players that have a value by rising value, equal ones by number."""
    order = np.argsort(values, kind="stable").astype(np.int64)
    return order[: int(np.isfinite(values).sum())]


def _overlap(one: Floats, other: Floats, count: int) -> float:
    return len(set(lowest_first(one)[:count].tolist()) & set(lowest_first(other)[:count].tolist())) / count


def _estimates(result: Result, output: int) -> Iterator[Method]:
    for e in result.estimates:
        if is_first_order(e, len(result.players)) and e.values.ndim == 2:
            name = question_name(e.question)
            yield Method(name, e.values[:, output], e.std_errors[:, output], e.estimator, e.evaluations)


def _beside(name: str, other: Any, result: Result, n: int, output: int) -> Method:
    if hasattr(other, "estimates") and hasattr(other, "players"):
        if other.players != result.players:
            raise InputError(
                f"{name!r} values {len(other.players)} other players than job {result.job} ({n}); put results of the same points "
                "side by side"
            )
        first = next(_estimates(other, min(output, len(other.outputs) - 1)), None)
        if first is None:
            raise InputError(f"{name!r} has no estimate with one value a player")
        return replace(first, name=name)
    errors = other.std_errors if isinstance(other, Valuation) else None
    try:
        values = np.asarray(other.values if isinstance(other, Valuation) else other, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name!r} is no Result, Valuation or array of {n} numbers") from None
    if values.ndim == 2:
        values, errors = values[:, 0], None if errors is None else errors[:, 0]
    if values.shape != (n,):
        raise InputError(f"{name!r} has values of shape {values.shape}; job {result.job} values {n} players")
    said = other.method.split(":")[0] if isinstance(other, Valuation) else ""
    return Method(name, values, errors, said)
