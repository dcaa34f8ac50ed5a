"""Failures on the way home: what a worker tells of an exception, and what the caller of an engine is then shown."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from xai_ray import errors
from xai_ray.coalitions import Unit
from xai_ray.engine.events import Fail
from xai_ray.engine.ledger import TRIES
from xai_ray.errors import EngineError, XaiRayError


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as plain text, so that no foreign class has to be unpickled."""

    kind: str
    """Name of the class in `xai_ray.errors`; empty for an exception of any other kind."""
    message: str

    @property
    def final(self) -> bool:
        """Whether it would happen again anywhere: the unit decides our own errors, the worker may decide others."""
        return bool(self.kind)


def told(error: Exception) -> Failure:
    """What to tell of an exception; one that is not ours is named with the place that raised it."""
    for kind in type(error).__mro__:
        if issubclass(kind, XaiRayError) and getattr(errors, kind.__name__, None) is kind:
            return Failure(kind.__name__, str(error))
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})" if frames else ""
    return Failure("", f"{type(error).__name__}: {error}{where}")


def rebuilt(failure: Failure) -> XaiRayError:
    """The error itself, of its original class; constructors that take more than a message are passed by."""
    kind: type[XaiRayError] = getattr(errors, failure.kind) if failure.kind else XaiRayError
    return kind.__new__(kind, failure.message)


class KillerUnit(EngineError):
    """A unit killed its workers, one after the other."""

    def __init__(self, message: str, unit: Unit) -> None:
        super().__init__(message)
        self.unit = unit


def error_of(fail: Fail, failure: Failure | None) -> XaiRayError:
    """What the caller sees of a failed run; `failure` is the last one told of the unit to blame."""
    unit = _named(fail.unit) if fail.unit else ""
    if fail.cause == "error" and failure is not None and failure.final:
        named = not unit or failure.message.startswith("unit [")
        return rebuilt(failure if named else Failure(failure.kind, f"{unit}: {failure.message}"))
    if fail.cause == "error":
        return XaiRayError(
            f"{unit}: the game raised {fail.reason}, {TRIES} times on {TRIES} workers; "
            "mend the model or the input and resume: what was committed stays"
        )
    if fail.cause == "kills" and fail.unit:
        return KillerUnit(
            f"{unit} killed {TRIES} workers, one after the other (the last one: {fail.reason}); likely the model runs "
            f"out of memory or crashes on these coalitions: replay this unit alone to see it, or give each worker "
            "more memory, and resume",
            fail.unit,
        )
    return EngineError(
        f"workers die faster than they finish units (the last one: {fail.reason}); "
        "check memory, the installed packages and the nodes of the cluster, and resume"
    )


def _named(unit: Unit) -> str:
    return f"unit [{unit.start}, {unit.stop})"
