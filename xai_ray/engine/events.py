"""What happens to a run (events) and what is to be done about it (actions): the alphabet of the ledger.

Every event is a JSON object on the wire (`to_document`, `from_document`): a recorded log replays to the same actions.
Workers are numbered by the ledger in the order in which it asks for them; a number is never used twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from xai_ray.coalitions import Unit


@dataclass(frozen=True, slots=True)
class AddUnits:
    """More units to evaluate, none of them seen before."""

    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """No more units will be added: finish when all are committed."""


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker that was asked for can take units; `node` is the machine it runs on, where that is known."""

    worker: int
    node: str = ""


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker is gone, or could not start. `blame`: it died by itself, so the unit it was at may have killed it."""

    worker: int
    reason: str
    blame: bool = True


@dataclass(frozen=True, slots=True)
class WorkerDoubtful:
    """A worker is out of reach: what became of its units is unknown, and it may come back."""

    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerBack:
    """A worker that was out of reach answers again."""

    worker: int


@dataclass(frozen=True, slots=True)
class Resize:
    """From now on up to `target` workers, 0 or more: nodes joined or left, or other jobs want their share."""

    target: int


@dataclass(frozen=True, slots=True)
class UnitDone:
    """A worker delivered the values of a unit; late or second deliveries are harmless."""

    unit: Unit
    worker: int


@dataclass(frozen=True, slots=True)
class UnitFailed:
    """A unit raised. `final`: it would raise again anywhere (a non-finite value, say), so there is no second try."""

    unit: Unit
    worker: int
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class UnitLeft:
    """A worker gives a unit back unfinished."""

    unit: Unit
    worker: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; `now` in seconds since any fixed moment, never decreasing."""

    now: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop: release everything and leave the rest undone."""


Event: TypeAlias = (
    AddUnits
    | Close
    | WorkerReady
    | WorkerLost
    | WorkerDoubtful
    | WorkerBack
    | Resize
    | UnitDone
    | UnitFailed
    | UnitLeft
    | Tick
    | Cancel
)


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a worker under this number, on none of the nodes in `avoid`; answered by WorkerReady or WorkerLost."""

    worker: int
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assign:
    """Give a unit to a worker; workers take their units in the order assigned."""

    unit: Unit
    worker: int


@dataclass(frozen=True, slots=True)
class Leave:
    """This unit is not wanted from this worker any more; answered by UnitLeft, or UnitDone if it was too late."""

    unit: Unit
    worker: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask this worker for a sign of life until it is released; answered by WorkerBack or WorkerLost."""

    worker: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit what this worker delivered for this unit."""

    unit: Unit
    worker: int


@dataclass(frozen=True, slots=True)
class Release:
    """Stop this worker at once; nothing more is wanted from it."""

    worker: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do: all units are committed, or the run was cancelled."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The run has failed. `unit` is the one to blame, None if no worker could be kept alive."""

    unit: Unit | None
    reason: str
    cause: Literal["error", "kills", "workers"]


Action: TypeAlias = StartWorker | Assign | Leave | Probe | Commit | Release | Finish | Fail

EVENTS: tuple[type[Event], ...] = (
    AddUnits,
    Close,
    WorkerReady,
    WorkerLost,
    WorkerDoubtful,
    WorkerBack,
    Resize,
    UnitDone,
    UnitFailed,
    UnitLeft,
    Tick,
    Cancel,
)
"""Every kind of event. Logs name a kind by its place here: new ones go to the end."""

_EVENTS = {kind.__name__: kind for kind in EVENTS}


def to_document(event: Event) -> dict[str, Any]:
    """The event as a JSON object: its name under `event`, its fields beside it, a unit as [start, stop]."""
    document: dict[str, Any] = {"event": type(event).__name__}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, Unit):
            value = [value.start, value.stop]
        elif field.name == "units":
            value = [[unit.start, unit.stop] for unit in value]
        document[field.name] = value
    return document


def from_document(document: Mapping[str, Any]) -> Event:
    """The inverse of `to_document`. Raises ValueError for an unknown event, TypeError for wrong fields."""
    values = dict(document)
    name = values.pop("event", None)
    if name not in _EVENTS:
        raise ValueError(f"unknown event {name!r}; known: {', '.join(sorted(_EVENTS))}")
    if "unit" in values:
        values["unit"] = Unit(*values["unit"])
    if "units" in values:
        values["units"] = tuple(Unit(*pair) for pair in values["units"])
    return _EVENTS[name](**values)
