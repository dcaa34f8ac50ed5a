"""Every error a user can meet. Each says what was wrong, where, and what to do; the command line maps it to an exit code.

XaiRayError                1   the job failed
├─ NonFiniteValue          1   the game returned NaN or infinity
├─ ModelOutputError        1   the model returned something of the wrong shape
├─ SpecError               2   the spec or an argument is wrong
│  ├─ UnknownName          2   a name that is in no table
│  ├─ InputError           2   a file, table or array that cannot be used
│  └─ BudgetTooSmall       2   fewer evaluations than the estimator needs
├─ NotEnoughSamples        2   the values at hand do not answer the question
├─ StoreError              3   the store cannot be read or written
│  ├─ CorruptRecord        3   a record that fails its checksum
│  ├─ MissingRecord        3   a unit that has no record
│  ├─ DigestMismatch       3   the store belongs to another spec
│  └─ Fenced               3   another run took the job over
├─ EngineError             3   workers or cluster out of reach
└─ Cancelled             130   stopped on request; what was committed stays
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class XaiRayError(Exception):
    """Base of all errors; `exit_code` is what the command line returns."""

    exit_code = 1


class NonFiniteValue(XaiRayError):
    """The game returned NaN or infinity; the message names the coalition."""


class ModelOutputError(XaiRayError):
    """The model returned an output of the wrong shape or type."""


class SpecError(XaiRayError):
    """The spec or an argument is wrong."""

    exit_code = 2


class UnknownName(SpecError):
    """A name that is in no table; the message gives the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"{where + ': ' if where else ''}unknown {kind} {name!r}; {hint}")


class InputError(SpecError):
    """A file, table or array that cannot be used."""


class BudgetTooSmall(SpecError):
    """Fewer evaluations than the estimator needs; the message says how many it needs."""


class NotEnoughSamples(XaiRayError):
    """The values at hand do not answer the question; the message says what would."""

    exit_code = 2


class StoreError(XaiRayError):
    """The store cannot be read or written."""

    exit_code = 3


class CorruptRecord(StoreError):
    """A record that is truncated or fails its checksum; it is never read as data."""


class MissingRecord(StoreError):
    """A unit has no record: it was not computed yet, or the store lost it."""


class DigestMismatch(StoreError):
    """The store belongs to another spec."""


class Fenced(StoreError):
    """Another run took the job over; this one may commit no more, and what it committed stays."""


class EngineError(XaiRayError):
    """Workers or the cluster are out of reach."""

    exit_code = 3


class Cancelled(XaiRayError):
    """The job was stopped on request; everything committed stays and the job can be resumed."""

    exit_code = 130
