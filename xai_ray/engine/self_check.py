"""The self-check of a run: some of its values computed another way, by what its game is to reproduce.

Which rows is a function of the job and of how many evaluations it has; what is found goes into the event log some rows at a time, so
a run that is killed goes on with the check where it was. A difference is no error: it is said in the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from xai_ray.coalitions import Design
from xai_ray.coalitions.rows import coalitions_of_rows
from xai_ray.games.protocol import Game
from xai_ray.stores import Manifest, Store
from xai_ray.types import Coalitions, Floats, Ints, Values

SHARE, LEAST, MOST = 0.01, 8, 200
"""Rows of a check: a share of the evaluations, between two bounds."""
_AT_ONCE = 8
_LAST_BITS = 1e-9
_EVENT = "self-check"


@runtime_checkable
class Checkable(Protocol):
    """A game whose values can be computed another way."""

    def check_limits(self) -> tuple[Floats, Floats] | None:
        """Of each output, in its units: the difference from which on a check warns, and the largest that is rounding, shapes (k,); None
        where nothing is checked.
        """
        ...

    def refit_differences(self, coalitions: Coalitions, values: Values) -> tuple[Floats, str]:
        """Absolute differences of values (r, k), NaN where there is no other way for a coalition, and why for the first of these."""
        ...


def checked_rows(total: int, digest: str) -> Ints:
    """The rows of `total` evaluations that are checked, ascending; of the job's digest alone."""
    count = min(total, MOST, max(LEAST, round(SHARE * total)))
    generator = np.random.Generator(np.random.Philox(key=int(digest[:16], 16)))
    return np.sort(generator.choice(total, count, replace=False)).astype(np.int64)


def self_check(
    game: Game, design: Design, values: Values, store: Store, manifest: Manifest, stopped: Callable[[], bool]
) -> dict[str, Any] | None:
    """What a result says of its check, see `document`; None for a game that has none, and when `stopped` says so meanwhile."""
    limits = game.check_limits() if isinstance(game, Checkable) else None
    if not isinstance(game, Checkable) or limits is None:
        return None
    job, total = manifest.job, len(values)
    found, why = _noted(store, job, total)
    rows = checked_rows(total, manifest.digest)
    while len(found) < len(rows):
        if stopped():
            return None
        some = rows[len(found) : len(found) + _AT_ONCE]
        gaps, reason = game.refit_differences(coalitions_of_rows(design, some), values[some])
        noted = [[None if np.isnan(gap) else float(gap) for gap in row] for row in gaps]
        why = why or reason
        place = {"evaluations": total, "first": len(found)}
        store.append(job, {"event": _EVENT, "at": time.time(), **place, "differences": noted, "why": reason})
        found += noted
    gaps = np.array(found, dtype=np.float64)
    return document(gaps, values[rows], list(game.output_names), total, limits, why)


def _noted(store: Store, job: str, total: int) -> tuple[list[list[float | None]], str]:
    """Differences that the log holds, in the order of the rows, and why the first of the rows that could not be checked could not.

    Appending is not fenced: a run that was overtaken may have noted rows that its successor noted too, and only what goes on from the
    rows before it counts.
    """
    found, why = list[list[float | None]](), ""
    for event in store.events(job):
        if (event.get("event"), event.get("evaluations"), event.get("first")) == (_EVENT, total, len(found)):
            found += event["differences"]
            why = why or event["why"]
    return found, why


def document(
    differences: Floats, values: Values, names: list[str], total: int, limits: tuple[Floats, Floats], why: str
) -> dict[str, Any]:
    """JSON object of differences of values (r, k), and limits as of `Checkable`: how many rows were checked, `of` how many, how many
    could not be (and why), and for each output the largest difference, how many rows differ, and the tolerance; whether one is `beyond` it.
    """
    tolerance, rounding = limits
    told = ~np.isnan(differences).any(axis=1)
    compared = differences[told]
    largest = compared.max(axis=0) if len(compared) else np.zeros(len(names))
    # Scores without a lower bound may be so large that their last bits alone are.
    counted = compared - _LAST_BITS * np.abs(values[told])
    return {
        "refitted": int(told.sum()),
        "of": total,
        "largest": dict(zip(names, largest.tolist(), strict=True)),
        "differ": dict(zip(names, (counted > rounding).sum(axis=0).tolist(), strict=True)),
        "tolerance": dict(zip(names, tolerance.tolist(), strict=True)),
        "beyond": bool((counted > tolerance).any()),
        **({"unfitted": int((~told).sum()), "why": why} if not told.all() else {}),
    }
