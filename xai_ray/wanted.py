"""What a submission asks of the cluster. It is an event in the job's store: no spec, path or number passes a shell."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from xai_ray.errors import CorruptRecord, SpecError
from xai_ray.stores import Store

EVENT = "submitted"
CANCEL = "cancel requested"
DRIVER_ENDED = "driver ended"
"""How the driver of a submitted job ended: `code`, and `kind` and `message` of an error."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How far the job shall go, and with what. Nothing of it is part of the answer, except how much is spent.

    Raises SpecError for a priority or a number of actors that is not positive.
    """

    budget: dict[str, Any]
    """`evaluations` and stop rules, as in a spec."""
    base: str = "."
    """The folder that relative paths of the spec start from, relative to the working directory."""
    actors: int | None = None
    priority: float = 1.0
    recompute: bool = False
    anew: bool = False
    skip_killers: bool = False
    """Whether to end before a unit that kills its workers, instead of failing."""
    working_dir: str | None = None
    """Where the submitter's folder was, so that a later attempt from there sends it again."""
    py_modules: tuple[str, ...] = ()
    pickle: str | None = None
    """SHA-256 of the trusted game that travels in the working directory, for a job from Python objects."""

    def __post_init__(self) -> None:
        if not 0 < self.priority < float("inf"):
            raise SpecError(
                f"priority {self.priority}: a positive number, 1 is the usual one, 2 gets twice the workers"
            )
        if self.actors is not None and self.actors < 1:
            raise SpecError(f"actors {self.actors}: at least 1; leave it out for as many as fit")

    def document(self) -> dict[str, Any]:
        """JSON object."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**found, "py_modules": list(self.py_modules)}


@dataclass(frozen=True, slots=True)
class Submission:
    """A `Wanted` and the attempt that was made at it."""

    attempt: int
    at: float
    """Seconds since 1970."""
    wanted: Wanted
    cancelled: bool = False
    """Whether it was cancelled since."""


def put(store: Store, job: str, attempt: int, wanted: Wanted) -> None:
    """Note a submission in the job's log, before the cluster hears of it."""
    store.append(job, {"event": EVENT, "at": time.time(), "attempt": attempt, "wanted": wanted.document()})


def put_cancel(store: Store, job: str) -> None:
    """Set the cancel flag, and note it: a run that starts later clears the flag, but sees the note."""
    store.append(job, {"event": CANCEL, "at": time.time()})
    store.cancel(job, True)


def submissions(store: Store, job: str) -> list[Submission]:
    """The submissions of a job, oldest first. Raises CorruptRecord for an event that is none."""
    out: list[Submission] = []
    for event in store.events(job):
        if event.get("event") == EVENT:
            out.append(_read(event, job))
        elif event.get("event") == CANCEL and out:
            last = out[-1]
            out[-1] = Submission(last.attempt, last.at, last.wanted, cancelled=True)
    return out


def _read(event: Mapping[str, Any], job: str) -> Submission:
    try:
        given = dict(event["wanted"])
        given["py_modules"] = tuple(given.get("py_modules", ()))
        return Submission(int(event["attempt"]), float(event["at"]), Wanted(**given))
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRecord(
            f"the event log of job {job} has a submission that cannot be read ({error}); submit the spec again"
        ) from None
