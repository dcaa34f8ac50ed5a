"""The question that `result --ask` puts to stored values, from what stands on the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xai_ray.errors import SpecError

if TYPE_CHECKING:
    from xai_ray.reports import Result


@dataclass(frozen=True, slots=True)
class Asked:
    """The options beside --ask, as they were typed; None for those that were not."""

    order: int | None = None
    estimator: str | None = None
    contexts: str | None = None
    pairs: str | None = None
    groups: str | None = None
    weights: str | None = None
    players: str | None = None

    def given(self) -> list[str]:
        """Names of the options that were typed."""
        return [f"--{name}" for name in self.__slots__ if getattr(self, name) is not None]


def answered(found: Result, ask: str, asked: Asked) -> Result:
    """The answer from the values of a result. SpecError for an option that cannot be read, and as `Result.ask`."""
    from xai_ray.build import parse_ask

    question = parse_ask(ask)
    return found.ask(
        question.index,
        asked.order,
        asked.estimator or "auto",
        None if asked.contexts is None else _contexts(asked.contexts),
        pairs=None if asked.pairs is None else _pairs(asked.pairs),
        p=question.p,
        alpha=question.alpha,
        beta=question.beta,
        weights=None if asked.weights is None else _weights(asked.weights),
        groups=None if asked.groups is None else _groups(asked.groups),
        split=question.split,
        players=None if asked.players is None else _players(asked.players),
    )


def _contexts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(c) for c in text.split(","))
    except ValueError:
        raise SpecError(f"--contexts takes whole numbers with commas, as 0,12,24; got {text!r}") from None


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    example = "'[[0, 1], [0, 2]]'"
    found = _json("--pairs", text, f"pairs of player numbers as JSON, as {example}")
    if not all(isinstance(pair, list) and len(pair) == 2 and all(_whole(i) for i in pair) for pair in found):
        raise SpecError(f"--pairs takes two player numbers a pair, as {example}; got {text!r}")
    return tuple((i, j) for i, j in found)


def _players(text: str) -> tuple[int | str, ...]:
    found = _json("--players", text, "players by number or by name as JSON, as '[0, 3]'")
    return tuple(found)


def _weights(text: str) -> tuple[float, ...]:
    found = _json("--weights", text, "numbers as JSON, one for each size 0..n-1, as '[0.5, 0.25, 0.25]'")
    if not all(isinstance(weight, int | float) and not isinstance(weight, bool) for weight in found):
        raise SpecError(f"--weights takes numbers, as '[0.5, 0.25, 0.25]'; got {text!r}")
    return tuple(float(weight) for weight in found)


def _groups(text: str) -> tuple[Any, ...]:
    example = "'[[0, 1], [2, 3]]'"
    found = _json("--groups", text, f"lists of player numbers as JSON, as {example}")
    if not all(isinstance(group, list) and _nested(group) for group in found):
        raise SpecError(
            f"--groups takes lists of player numbers, which may be grouped in turn, as {example}; got {text!r}"
        )
    return _tupled(found)


def _json(option: str, text: str, form: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise SpecError(f"{option} takes {form}; got {text!r}")
    return found


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _nested(group: list[Any]) -> bool:
    return all(_nested(part) if isinstance(part, list) else _whole(part) for part in group)


def _tupled(value: Any) -> Any:
    return tuple(_tupled(part) for part in value) if isinstance(value, list) else value
