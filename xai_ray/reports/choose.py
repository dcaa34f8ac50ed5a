"""Which estimate a plot or a conversion uses; what is lacking is said together with the question that would add it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xai_ray.errors import InputError, NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.reports.rows import is_first_order

if TYPE_CHECKING:
    from xai_ray.reports.result import Result


def first_order(result: Result, index: str | None = None) -> Estimate:
    """The first estimate with one value a player."""
    for estimate in _named(result, index):
        if is_first_order(estimate, len(result.players)) and estimate.values.ndim == 2:
            return estimate
    raise _lacking(result, "one value a player", index or "SV")


def asked_players(result: Result, index: str | None = None) -> Estimate:
    """`first_order`, or else the first estimate with one value for each of the players that were asked."""
    for estimate in _named(result, index):
        if is_first_order(estimate, len(result.players)) and estimate.values.ndim == 2:
            return estimate
    for estimate in _named(result, index):
        if estimate.values.ndim == 2 and all(len(members) == 1 for members in estimate.coalitions):
            return estimate
    raise _lacking(result, "one value a player", index or "SV")


def pairwise(result: Result, index: str | None = None) -> Estimate:
    """The first estimate with values of pairs and no contexts."""
    for estimate in _named(result, index):
        if estimate.values.ndim == 2 and any(len(s) == 2 for s in estimate.coalitions):
            return estimate
    raise _lacking(result, "values of pairs", index or "STII")


def profile(result: Result, index: str | None = None) -> Estimate:
    """The first estimate with values of pairs by context size."""
    for estimate in _named(result, index):
        if estimate.values.ndim == 3 and all(len(s) == 2 for s in estimate.coalitions):
            return estimate
    raise _lacking(result, "interactions of pairs by context size", index or "MOI")


def has(result: Result, what: str) -> bool:
    """Whether `what` (first_order, asked_players, pairwise, profile, convergence) can be drawn."""
    if what == "convergence":
        return len(result.convergence) > 1
    try:
        _CHOICES[what](result)
    except NotEnoughSamples:
        return False
    return True


_CHOICES = {
    "first_order": first_order,
    "asked_players": asked_players,
    "pairwise": pairwise,
    "profile": profile,
}


def output_position(result: Result, output: int | str) -> int:
    """Position of an output given by position or name."""
    known = ", ".join(f"{i}: {name}" for i, name in enumerate(result.outputs[:12]))
    if isinstance(output, str):
        if output not in result.outputs:
            raise InputError(f"no output {output!r}; outputs are {known}")
        return result.outputs.index(output)
    if not 0 <= output < len(result.outputs):
        raise InputError(f"no output {output}; outputs are {known}")
    return output


def _named(result: Result, index: str | None) -> list[Estimate]:
    return [e for e in result.estimates if index is None or e.question.index == index]


def _lacking(result: Result, what: str, index: str) -> NotEnoughSamples:
    have = ", ".join(e.question.index for e in result.estimates)
    return NotEnoughSamples(
        f"job {result.job}: this needs an estimate with {what}, and the result has only {have}; "
        f'add `[[ask]] index = "{index}"` to the spec, or use result.ask("{index}")'
    )
