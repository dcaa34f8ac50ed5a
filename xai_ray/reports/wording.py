"""How players, sets and numbers are written."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xai_ray.indices.question import Question
from xai_ray.indices.table import INDICES
from xai_ray.types import Floats

if TYPE_CHECKING:
    from xai_ray.reports.result import Result


def names(result: Result) -> list[str]:
    """What a reader calls each of the n players; labels that occur twice carry their position."""
    labels = list(result.players if result.view is None else result.view.labels)
    times = Counter(labels)
    return [f"{label} ({i + 1})" if times[label] > 1 else label for i, label in enumerate(labels)]


def short_names(result: Result) -> list[str]:
    """`names` for crowded pictures: columns of a table without their values."""
    if result.view is not None and result.view.kind == "table":
        return list(result.players)
    return names(result)


def shorten(label: str, width: int = 28) -> str:
    """At most `width` characters, on one line."""
    flat = " ".join(label.split()) or repr(label)
    return flat if len(flat) <= width else flat[: width - 1].rstrip() + "…"


def set_name(labels: Sequence[str], coalition: Iterable[int], width: int = 28) -> str:
    """`a × b`; the empty set is ∅."""
    return " × ".join(shorten(labels[i], width) for i in coalition) or "∅"


def answer_name(labels: Sequence[str], question: Question, coalition: tuple[int, ...], width: int = 28) -> str:
    """`set_name`, or `all pairs` for an index of the game as a whole."""
    whole = question.index in INDICES and INDICES[question.index].sets == "none"
    return "all pairs" if whole and not coalition else set_name(labels, coalition, width)


def row_name(labels: Sequence[str], coalition: Iterable[int], context: int | None, width: int = 28) -> str:
    """`a × b` or `a × b, m = 3`."""
    name = set_name(labels, coalition, width)
    return name if context is None else f"{name}, m = {context}"


def parameters(question: Question) -> dict[str, object]:
    """The index's own parameters that are set."""
    known = {"p": question.p, "alpha": question.alpha, "beta": question.beta}
    known |= {"weights": question.weights, "groups": question.groups, "split": question.split}
    return {name: value for name, value in known.items() if value is not None}


def title(question: Question) -> str:
    """`STII (Shapley-Taylor interaction index), order 2`."""
    out = question.index
    if out in INDICES:
        out += f" ({INDICES[out].name})"
    if question.order is not None and question.order > 1:
        out += f", order {question.order}"
    set_to = [f"{name} = {value}" for name, value in parameters(question).items() if isinstance(value, float | str)]
    return ", ".join([out, *set_to])


def stop_words(stop: Mapping[str, Any]) -> list[str]:
    """Why a run ended and what was not reached, from `Ending.document()`; nothing when only a budget was asked for."""
    if not stop:
        return []
    asked = " and ".join(f"{name} = {value:g}" for name, value in stop["asked"].items() if name != "seconds")
    ended = {
        "rules": f"stopped early by {asked}",
        "seconds": f"stopped by the time limit of {stop['asked'].get('seconds', 0):g} s",
        "killer": "stopped before a unit that kills its workers",
        "budget": "the budget was spent",
    }[stop["by"]]
    reached = f"{asked} reached" if asked and stop["precise"] and stop["by"] != "rules" else None
    return [line for line in (ended, reached, *(f"not reached: {words}" for words in stop["open"])) if line]


def check_words(check: Mapping[str, Any]) -> list[str]:
    """The self-check of a run in a line, and a warning where a difference is beyond its tolerance; nothing where there was none."""
    if not check:
        return []
    each = [f"{name} {gap:.3g} (differs in {check['differ'][name]})" for name, gap in check["largest"].items()]
    line = f"self-check: {check['refitted']} of {check['of']:,} models fitted by the estimator itself"
    line += f"; largest difference: {', '.join(each)}" if check["refitted"] else ""
    if "unfitted" in check:
        line += f"; {check['unfitted']} more it cannot fit ({check['why']})"
    if not check["beyond"]:
        return [line]
    limits = check["tolerance"]
    if not isinstance(limits, Mapping):
        # Jobs of before had one tolerance for all outputs.
        limits = dict.fromkeys(check["largest"], limits)
    beyond = [f"{limits[name]:.3g} ({name})" for name, gap in check["largest"].items() if gap > limits[name]]
    return [
        line,
        f"WARNING: the self-check differs by more than {', '.join(beyond)}: these values are of models that the estimator does not "
        "fit. Let it converge (tol, max_iter), scale the features, or ask for refit = true",
    ]


def decimals(values: Floats, std_errors: Floats) -> int | None:
    """Digits after the point: two of the standard error, or about four of an exact value; None for 1e-05 notation."""
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if finite.size else 0.0
    if largest == 0.0:
        return 2
    errors = std_errors[np.isfinite(std_errors) & (std_errors > 0)]
    unit = float(np.median(errors)) if errors.size else largest * 1e-2
    unit = max(unit, largest * 1e-7)
    digits = max(0, 1 - math.floor(math.log10(unit)))
    return None if largest >= 1e7 or digits > 7 else digits


def number(value: float, digits: int | None, sign: bool = True) -> str:
    """One number; a missing one is a dash."""
    if math.isnan(value):
        return "-"
    plus = "+" if sign else ""
    if digits is None:
        return f"{value:{plus}.3e}"
    text = f"{value:{plus}.{digits}f}"
    return text.replace("-", "").replace("+", "") if float(text) == 0 else text
