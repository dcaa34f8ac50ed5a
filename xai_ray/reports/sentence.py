"""The answer in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xai_ray.indices.table import INDICES
from xai_ray.reports.choose import has, is_first_order
from xai_ray.reports.rows import rows
from xai_ray.reports.wording import answer_name, decimals, names, number

if TYPE_CHECKING:
    from xai_ray.estimators.estimate import Estimate
    from xai_ray.reports.result import Result


def headline(result: Result) -> str:
    """The first output's value and the two strongest players (or sets), with standard errors."""
    estimate = next((e for e in result.estimates if _single(result, e)), result.estimates[0])
    flat, labels = rows(estimate), names(result)
    chosen = [int(r) for r in flat.strongest(0, 2)]
    if not chosen:
        return f"No value of {estimate.question.index} could be estimated yet; extend the budget."
    digits = decimals(estimate.values[..., 0].ravel(), estimate.std_errors[..., 0].ravel())
    digits = digits - 1 if digits else digits
    called = _called(result, labels)
    what = [answer_name(called, estimate.question, flat.coalition(r), 60) for r in chosen]
    if flat.contexts is not None:
        what = [f"{name} at m = {flat.context(r)}" for name, r in zip(what, chosen, strict=True)]
    much = [_amount(float(flat.values[r, 0]), float(flat.std_errors[r, 0]), digits) for r in chosen]
    if not estimate.question.shares_score:
        # A value of data points that is no share of a score.
        second = f", followed by {what[1]}, {much[1]}" if len(chosen) > 1 else ""
        sentence = f"The largest {estimate.question.index} value of {result.outputs[0]} is that of {what[0]}, {much[0]}{second}."
        return sentence.replace(" -", " −")
    start, end = (float(v) for v in result.ends[:, 0])
    whole = f"the {behaviour(result)} {number(end, digits)} of {result.outputs[0]}"
    info = INDICES.get(estimate.question.index)
    if has(result, "first_order") and info is not None and info.efficient:
        answer = f"Of {whole}, {what[0]} contributes {much[0]}"
        if len(chosen) > 1:
            answer += f", the strongest of {len(result.players)} players, followed by {what[1]} with {much[1]}"
    else:
        name = info.name if info else estimate.question.index
        among = f" of the {len(estimate.coalitions)} asked players" if estimate.question.players is not None else ""
        answer = f"For {whole}, the largest {name}{among} is that of {what[0]}, {much[0]}"
        if len(chosen) > 1:
            answer += f", followed by {what[1]}, {much[1]}"
    return f"{answer}. With every player removed it is {number(start, digits)}.".replace(" -", " −")


def behaviour(result: Result) -> str:
    """What v measures, from the spec where it says so: `log-odds`, `probability`, ..., `score` of training data, else `value`."""
    usual = "score" if _kind(result, "kind") == "training" else "value"
    return (_kind(result, "behaviour") or usual).replace("_", "-")


def _called(result: Result, labels: list[str]) -> list[str]:
    """Players as a sentence calls them: patch r3c4, “word”, column = value."""
    kind = "plain" if result.view is None else result.view.kind
    if kind == "image":
        noun = "patch" if _kind(result, "players") == "patches" else "region"
        return [label if label.startswith(noun) else f"{noun} {label}" for label in labels]
    return [f"“{label}”" for label in labels] if kind == "text" else labels


def _kind(result: Result, part: str) -> str | None:
    """Kind of a part of the game in the spec, if the provenance has one."""
    here: Any = result.provenance
    for key in ("spec", "game", part):
        here = here.get(key) if isinstance(here, dict) else None
    kind = here.get("kind") if isinstance(here, dict) else here
    return kind if isinstance(kind, str) else None


def _single(result: Result, estimate: Estimate) -> bool:
    return is_first_order(estimate, len(result.players)) and estimate.values.ndim == 2


def _amount(value: float, error: float, digits: int | None) -> str:
    shown = number(value, digits)
    return f"{shown} (exact)" if error == 0 else f"{shown}\u00a0±\u00a0{number(error, digits, sign=False)}"
