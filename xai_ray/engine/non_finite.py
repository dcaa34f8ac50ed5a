"""Values that are not finite are never kept: the first is named, with its coalition and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xai_ray.errors import NonFiniteValue
from xai_ray.types import Coalitions, Values

_SHOWN = 20
"""Players of a coalition that a message lists."""
_REMEDY = "look at the model's output for this masked input (overflow, log of 0, division by 0), or take a behaviour of logits"


def check_finite(
    values: Values, game: Any, where: Callable[[int], str], coalition: Callable[[int], Coalitions]
) -> None:
    """NonFiniteValue for values (c, k) of a game's coalitions; `where` says whose value number i is. The game may say what to do
    (`non_finite_hint`).
    """
    finite = np.isfinite(values)
    if finite.all():
        return
    at, output = (int(i) for i in np.argwhere(~finite)[0])
    raise NonFiniteValue(
        f"{where(at)}: output {game.output_names[output]!r} is {values[at, output]} for the coalition of {_described(coalition(at))}; "
        f"{getattr(game, 'non_finite_hint', _REMEDY)}"
    )


def _described(coalition: Coalitions) -> str:
    present = np.flatnonzero(coalition).tolist()
    head = ", ".join(str(i) for i in present[:_SHOWN])
    if len(present) > _SHOWN:
        return f"{len(present)} of {len(coalition)} players (first {_SHOWN}: {{{head}}})"
    return f"players {{{head}}} of {len(coalition)}"
