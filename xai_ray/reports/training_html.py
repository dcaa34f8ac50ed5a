"""The training part of a report as the template takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from xai_ray.reports.plot_points import SHOWN, inspected, point_curve, roc
from xai_ray.reports.point_cards import Card
from xai_ray.reports.training import TrainingPart, auroc_ends
from xai_ray.valuation.detection import Detection


@dataclass(frozen=True)
class Figure:
    """One picture with its words."""

    heading: str
    source: str
    """A data URL."""
    caption: str


@dataclass(frozen=True)
class Laid:
    """What `training.html` shows."""

    noun: str
    methods: tuple[Any, ...]
    ends: tuple[tuple[str, list[Card]], ...]
    flags: bool
    """Whether some points are known to be bad."""
    labels: bool
    """Whether it is known what the points were given as labels, and shown."""
    seen: bool
    """Whether there are texts or pictures."""
    pictures: bool
    """Whether points are shown as a gallery of pictures."""
    figures: list[Figure]
    summary: list[dict[str, str]]
    legend: str
    auroc: bool
    drops: bool
    agreements: list[dict[str, str]]
    notes: list[str]


def laid(part: TrainingPart, drawn: Callable[[Axes], str]) -> Laid:
    """The part laid out; `drawn` turns axes into a data URL."""
    lowest, highest = part.cards
    whole = len(lowest) + len(highest) == len(part.result.players)
    heads = ("Lower half" if whole else "Lowest values", "Upper half" if whole else "Highest values")
    found = part.detections
    seen = part.shown.texts is not None or part.shown.images is not None
    return Laid(
        noun=part.noun,
        methods=part.methods,
        ends=tuple(zip(heads, (lowest, highest), strict=True)),
        flags=part.shown.flagged is not None and bool(part.shown.flagged.any()),
        labels=part.labels is not None and (part.noun == "points" or seen),
        seen=seen,
        pictures=part.noun == "points" and part.shown.images is not None and part.shown.texts is None,
        figures=[*_curves(part, drawn), *_detection(part, found, drawn)],
        summary=part.summary(),
        legend=_legend(part, found),
        auroc=bool(found),
        drops=part.curves is not None,
        agreements=part.agreements(),
        notes=part.notes(),
    )


def _curves(part: TrainingPart, drawn: Callable[[Axes], str]) -> list[Figure]:
    if part.curves is None:
        return []
    names, noun = [m.name for m in part.methods if m.complete], part.noun
    score = part.curves.scores[0]
    told = f"Scores ({score}) are on {judged(part)}. All curves: {part.curves.models:,} models."
    left = len(names) - SHOWN
    more = f" {left} more method{'s' * (left > 1)} in the table." if left > 0 else ""
    return [
        Figure(
            f"Removing {noun}",
            drawn(point_curve(part.curves, names, "remove", noun=noun)),
            f"Good values: a fast fall when the highest go first, none or a rise when the lowest do. {told}{more}",
        ),
        Figure(
            f"Adding {noun}",
            drawn(point_curve(part.curves, names, "add", noun=noun)),
            f"Good values: a fast rise when the highest come first. {told}{more}",
        ),
    ]


def judged(part: TrainingPart) -> str:
    """What the models of the curves are scored on, in words."""
    if part.judges:
        return f"{part.judges:,} rows that took no part in the valuation"
    return "the job's own test points, which most methods value points by, so that they flatter the values"


def _detection(part: TrainingPart, found: dict[str, Detection], drawn: Callable[[Axes], str]) -> list[Figure]:
    if not found:
        return []
    name, first = next(iter(found.items()))
    n, twice = len(part.result.players), min(2 * first.bad, len(part.result.players))
    what = f"{part.noun} with a known bad point" if part.noun == "groups" else "known bad points"
    caption = (
        f"{first.bad:,} of {n:,} are {what}. Among the {first.bad:,} with the lowest values by {name}, "
        f"{first.precision_at(first.bad / n):.0%} are; the lowest {twice:,} hold {first.recall_at(twice / n):.0%} of them."
    )
    return [
        Figure(
            f"Finding known bad {part.noun}",
            drawn(inspected(found, noun=part.noun)),
            caption,
        ),
        Figure(
            "The same as ROC",
            drawn(roc(found, noun=part.noun)),
            "AUROC is the chance that a known bad one has a lower value than another, ties one half: 1 is perfect, 0.5 a guess. "
            f"In brackets its 95 % interval; by {name} it is {first.auroc:.3f}, {auroc_ends(first)}.",
        ),
    ]


def _legend(part: TrainingPart, found: dict[str, Detection]) -> str:
    out = []
    if found:
        bad = next(iter(found.values())).bad
        out.append(
            "Intervals of AUROC (DeLong et al. 1988) speak of other points drawn alike; methods share the points, so that a difference "
            f"of two is known better than either. Precision: known bad ones among the {bad:,} lowest values. F1: of the lower of two "
            "clusters of values."
        )
    if part.curves is not None:
        out.append(
            f"Drop: weighted fall of {part.curves.scores[0]} as {part.noun} are removed, early ones counting most (Schoch et al. 2022), in "
            f"{len(part.curves.counts) - 1} steps, on {judged(part)}; large is good for the highest first, small for the lowest first."
        )
    return " ".join(out)
