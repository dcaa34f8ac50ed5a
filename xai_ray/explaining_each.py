"""The Python door of datasets whose inputs have players of their own: texts with their words, pictures with their own regions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Literal

from xai_ray.api import engine_of, explain
from xai_ray.engine import Engine
from xai_ray.errors import SpecError, XaiRayError
from xai_ray.estimators import Ask, Stop
from xai_ray.games import Game
from xai_ray.reports import Result
from xai_ray.stores import MemoryStore, Store


def explain_each(
    make: Callable[[Any], Game],
    inputs: Iterable[Any],
    index: str = "SV",
    *,
    budget: int | Literal["exact"],
    order: int | None = None,
    estimator: str = "auto",
    asks: Sequence[Ask] | None = None,
    seed: int = 0,
    stop: Stop | None = None,
    engine: Engine | Literal["inline", "ray"] = "inline",
    store: Store | str | None = None,
    name: str = "each",
) -> Iterator[Result]:
    """The result of every input, one at a time, in order; `make(input)` is its game, as `lambda text: ModelGame(model, text, ...)`.

    `budget` counts evaluations of v for each input: one of n players with 2^n or fewer of them is exact. `stop` holds for each input.
    With a `store` every input is a job of its own (`NAME-000017-...`), so the same call goes on where it ended, to the same bits.
    Where inputs share their players, `explain_rows` is quicker.

    What it raises names the input, and what was finished before stays: as `xai_ray.explain`, and what `make` raises.
    """
    if not callable(make):
        raise SpecError(f"make is a function from an input to its game, got {type(make).__name__}")
    place, rules, works = MemoryStore if store is None else (lambda: store), stop or Stop(), engine_of(engine)
    # Ray is started once for all inputs, or joined.
    with getattr(works, "held", nullcontext)():
        for row, one in enumerate(inputs):
            try:
                yield explain(
                    make(one),
                    index,
                    budget=budget,
                    order=order,
                    estimator=estimator,
                    asks=asks,
                    seed=seed,
                    std_error=rules.std_error,
                    relative_error=rules.relative_error,
                    top=rules.top,
                    ranking=rules.ranking,
                    seconds=rules.seconds,
                    bottom=rules.bottom,
                    signs=rules.signs,
                    engine=works,
                    store=place(),
                    name=f"{name}-{row:06d}",
                )
            except XaiRayError as error:
                raise type(error)(f"input {row}: {error}") from error
