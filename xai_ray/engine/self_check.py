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
_EVENT = "self-check"


@runtime_checkable
class Checkable(Protocol):
    """A game whose values can be computed another way."""

    @property
    def check_tolerance(self) -> float | None:
        """The difference from which on a check warns, in units of v; None where nothing is checked."""
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
    if not isinstance(game, Checkable) or game.check_tolerance is None:
        return None
    job, total = manifest.job, len(values)
    done = [e for e in store.events(job) if e.get("event") == _EVENT and e.get("evaluations") == total]
    found: list[list[float | None]] = [row for event in done for row in event["differences"]]
    why = next((event["why"] for event in done if event["why"]), "")
    rows = checked_rows(total, manifest.digest)
    while len(found) < len(rows):
        if stopped():
            return None
        some = rows[len(found) : len(found) + _AT_ONCE]
        gaps, reason = game.refit_differences(coalitions_of_rows(design, some), values[some])
        noted = [[None if np.isnan(gap) else float(gap) for gap in row] for row in gaps]
        why = why or reason
        event = {"event": _EVENT, "at": time.time(), "evaluations": total, "differences": noted, "why": reason}
        store.append(job, event)
        found += noted
    gaps = np.array(found, dtype=np.float64)
    return document(gaps, list(game.output_names), total, game.check_tolerance, why)


def document(differences: Floats, names: list[str], total: int, tolerance: float, why: str) -> dict[str, Any]:
    """JSON object of differences (r, k): how many rows were checked, `of` how many, how many could not be (and why), and for each
    output the largest difference, how many rows differ, and whether that is `beyond` the tolerance.
    """
    told = ~np.isnan(differences).any(axis=1)
    compared = differences[told]
    largest = compared.max(axis=0) if len(compared) else np.zeros(len(names))
    return {
        "refitted": int(told.sum()),
        "of": total,
        "largest": dict(zip(names, largest.tolist(), strict=True)),
        "differ": dict(zip(names, (compared > 1e-9).sum(axis=0).tolist(), strict=True)),
        "tolerance": tolerance,
        "beyond": bool((largest > tolerance).any()),
        **({"unfitted": int((~told).sum()), "why": why} if not told.all() else {}),
    }
