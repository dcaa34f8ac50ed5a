"""Training points as a reader sees them: the picture or the text itself beside its value."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from xai_ray.reports.choose import first_order
from xai_ray.reports.methods import lowest_first
from xai_ray.reports.wording import decimals, number, shorten
from xai_ray.types import Ints
from xai_ray.valuation.exhibits import Exhibits

if TYPE_CHECKING:
    from xai_ray.reports.result import Result

TOP = 12
"""Cards at each end."""
SAMPLE = 6
"""Points shown of a group; half as many where there are texts to read."""
WIDEST = 160
"""Pixels of the longer side of a picture; larger ones are made smaller."""
LONGEST = 320
"""Characters of a text; of a point of a group a third."""


@dataclass(frozen=True)
class Sample:
    """What is shown of one training point."""

    label: str = ""
    image: str = ""
    """A data URL."""
    text: str = ""
    flagged: bool = False


@dataclass(frozen=True)
class Card:
    """One player with its value."""

    rank: int
    """1 is the lowest value."""
    name: str
    value: str
    sign: str
    """`up` or `down`."""
    interval: str
    """95 % interval, or `exact`."""
    samples: tuple[Sample, ...]
    """The point itself, or some points of the group."""
    size: int
    """Points of the player."""
    flagged: int
    """How many of them are known to be bad."""


def cards(
    result: Result, shown: Exhibits, owner: Ints, labels: Sequence[str] | None, top: int = TOP
) -> tuple[list[Card], list[Card]]:
    """The players with the lowest values, lowest first, and those with the highest, highest first; none is in both.

    `owner` is the player of each point (n_points,), `labels` what it was given as target. Of the first estimate and output.
    """
    estimate = first_order(result)
    values, errors = estimate.values[:, 0], estimate.std_errors[:, 0]
    low, high = (a[:, 0] for a in estimate.intervals())
    order = lowest_first(values)
    count = min(top, -(-len(order) // 2))
    chosen = [*range(count), *range(len(order) - 1, max(count, len(order) - count) - 1, -1)]
    players = order[chosen]
    digits = decimals(values[players], errors[players])
    digits = digits - 1 if digits else digits
    members = _members(owner, players)
    out = []
    for place, player, points in zip(chosen, players.tolist(), members, strict=True):
        flagged = 0 if shown.flagged is None else int(shown.flagged[points].sum())
        grouped = len(points) > 1 or len(owner) != len(result.players)
        samples = _samples(shown, points, labels, LONGEST // 3 if grouped else LONGEST)
        ends = (number(float(a[player]), digits).replace("-", "−") for a in (low, high))
        out.append(
            Card(
                place + 1,
                _called(result.players[player], player, samples),
                number(float(values[player]), digits).replace("-", "−"),
                "up" if values[player] >= 0 else "down",
                "exact" if errors[player] == 0 else " … ".join(ends),
                samples,
                len(points),
                flagged,
            )
        )
    return out[:count], out[count:]


def _called(name: str, player: int, samples: tuple[Sample, ...]) -> str:
    """A name that begins the text beside it would say everything twice."""
    text = samples[0].text[:20] if len(samples) == 1 else ""
    return f"point {player}" if text and text in name else name


def _members(owner: Ints, players: Ints) -> list[Ints]:
    """Points of each of these players."""
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.stack([players, players + 1]))
    return [order[a:b] for a, b in bounds.T]


def _samples(shown: Exhibits, points: Ints, labels: Sequence[str] | None, longest: int) -> tuple[Sample, ...]:
    if len(points) > 1 and shown.texts is None and shown.images is None:
        return ()
    flagged = np.zeros(len(points), dtype=np.bool_) if shown.flagged is None else shown.flagged[points]
    # Known bad ones are what a reader looks for.
    count = SAMPLE if shown.texts is None else SAMPLE // 2
    bad = points[flagged][: -(-count // 2)]
    rest = _spread(points[~flagged], count - len(bad))
    return tuple(
        Sample(
            "" if labels is None else str(labels[i]),
            "" if shown.images is None else picture(shown.images[i]),
            "" if shown.texts is None else shorten(shown.texts[i], longest),
            shown.flagged is not None and bool(shown.flagged[i]),
        )
        for i in [*bad.tolist(), *rest.tolist()]
    )


def _spread(points: Ints, count: int) -> Ints:
    """At most `count` points, evenly over all of them."""
    return points[np.unique(np.linspace(0, len(points) - 1, min(count, len(points))).round().astype(int))]


def picture(pixels: npt.NDArray[np.uint8]) -> str:
    """A data URL of a picture (height, width) or (height, width, 3)."""
    image = Image.fromarray(pixels)
    image.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
