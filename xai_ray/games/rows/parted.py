"""A background in parts: each coalition meets one part of it, and the answer of a row is the mean over the parts.

The mean over K background rows is the mean over G parts of as many rows each, v = (v_1 + ... + v_G) / G, and every index is linear in v:
the mean of the parts' indices is the index of v. Each part is answered from coalitions of its own, an evaluation of which takes K / G
model rows, so a row sees G times as many coalitions for the same model rows, and what they leave unexplained averages out over the parts
(stratified sampling: Cochran, "Sampling techniques" (3rd ed., 1977), section 5.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import index
from typing import Any

import numpy as np

from xai_ray.errors import InputError, SpecError
from xai_ray.games.passes.averaging import Averaging
from xai_ray.games.removals import Marginal
from xai_ray.games.removals.filling import Array, Filling
from xai_ray.types import Ints


def whole_parts(parts: Any) -> int:
    """The number of parts as a plain int. Raises SpecError for what is no whole number of at least 1."""
    try:
        found = index(parts)
    except TypeError:
        found = None
    if found is None or isinstance(parts, (bool, np.bool_)):
        raise SpecError(f"background_parts = {parts!r}: a whole number")
    if found < 1:
        raise SpecError(f"background_parts = {found}: at least 1")
    return found


def check_parts(parts: int, filling: Filling, removal: Any, averaging: Averaging) -> None:
    """Raises SpecError and InputError where a background cannot be in so many parts, or the mean over parts is another game."""
    if not isinstance(removal, Marginal) or filling.draw is not None:
        drawn = " with samples" if filling.draw is not None else ""
        raise SpecError(
            f"background_parts = {parts}: only a whole background has parts, not the removal {type(removal).__name__}{drawn}; take "
            "Marginal(background)"
        )
    if averaging.order == "mean_then_behaviour" and not averaging.behaviour.linear(averaging.convention):
        raise SpecError(
            f"background_parts = {parts}: {type(averaging.behaviour).__name__} of the mean over the background is not the mean of its "
            'parts; take the order "behaviour_then_mean", a behaviour that is linear (Probability, Raw), or no parts'
        )
    size = filling.size
    if size % parts:
        fits = [p for p in range(2, min(size, 64) + 1) if size % p == 0]
        shown = f" ({', '.join(map(str, fits))})" if fits else ""
        raise InputError(
            f"background_parts = {parts} does not divide the {size} rows of the background; take a number that does{shown}, or another "
            "number of rows"
        )


def check_numbers(context: Ints, parts: int) -> None:
    """Raises SpecError for contexts (c,) that are no numbers of parts."""
    outside = np.flatnonzero((context < 0) | (context >= parts))
    if len(outside):
        raise SpecError(
            f"context {context[outside[0]]} of pair {outside[0]}: the background is in {parts} parts, so a context is a part, "
            f"0 to {parts - 1}"
        )


def by_part(context: Ints) -> Iterator[Ints]:
    """Places of each part's pairs, part by part."""
    order = np.argsort(context, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(context[order])) + 1)


def part_of(background: Array, part: int, parts: int) -> Array:
    """Every `parts`-th row: a background in some order has its order in every part."""
    return background[part::parts]
