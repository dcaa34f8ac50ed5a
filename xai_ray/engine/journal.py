"""The events of a run on their way into the job's event log, some hundred at a time, a dozen bytes each.

An entry is `{"event": "ledger", "run": id, "from": number of its first event, "workers": target at the start, "log":
[[code, field, ...], ...]}`. The code is the place of the event's class in `events.EVENTS`; a unit is two integers;
units of AddUnits are runs `start, stop, draws a unit`. `replay` reads it back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from xai_ray.coalitions import Unit
from xai_ray.engine.events import EVENTS, AddUnits, Event

ENTRY = "ledger"
"""Name of these entries in the event log of a job."""
_MOST = 2000
_SECONDS = 5.0
_CODES = {kind: code for code, kind in enumerate(EVENTS)}


@dataclass
class Journal:
    """Collects the events of one run; writes them when there are many, or every five seconds of their own time."""

    write: Callable[[dict[str, Any]], None]
    workers: int
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    _lines: list[list[Any]] = field(default_factory=list)
    _written: int = 0
    _since: float = 0.0

    def note(self, event: Event, now: float) -> None:
        """One event, at this moment of the run in seconds."""
        self._lines.append(encoded(event))
        if len(self._lines) >= _MOST or now - self._since >= _SECONDS:
            self.flush()
            self._since = now

    def flush(self) -> None:
        """Write what is there."""
        if self._lines:
            entry = {"event": ENTRY, "run": self.run, "from": self._written, "workers": self.workers}
            self.write({**entry, "log": self._lines})
            self._written += len(self._lines)
            self._lines = []


def encoded(event: Event) -> list[Any]:
    """The event as a flat JSON array."""
    line: list[Any] = [_CODES[type(event)]]
    if isinstance(event, AddUnits):
        return line + _runs(event.units)
    for part in fields(event):
        value = getattr(event, part.name)
        line += [value.start, value.stop] if isinstance(value, Unit) else [value]
    return line


def decoded(line: list[Any]) -> Event:
    """The inverse of `encoded`. Raises ValueError for anything else."""
    try:
        kind, rest = EVENTS[line[0]], list(line[1:])
        if kind is AddUnits:
            return AddUnits(tuple(_expanded(rest)))
        names = [part.name for part in fields(kind)]
        values = [Unit(rest.pop(0), rest.pop(0)) if name == "unit" else rest.pop(0) for name in names]
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{line} is no event of a ledger: {error}") from None
    if rest:
        raise ValueError(f"{line} is no event of a ledger: {len(rest)} fields too many")
    return kind(*values)


def _runs(units: tuple[Unit, ...]) -> list[int]:
    """Units as start, stop and size of each run of adjacent units of one size; the last of a run may be shorter."""
    out: list[int] = []
    for unit in units:
        size = unit.stop - unit.start
        whole = len(out) >= 3 and (out[-2] - out[-3]) % out[-1] == 0
        if whole and out[-2] == unit.start and size <= out[-1]:
            out[-2] = unit.stop
        else:
            out += [unit.start, unit.stop, size]
    return out


def _expanded(runs: list[int]) -> list[Unit]:
    if len(runs) % 3:
        raise ValueError("units come as start, stop and size")
    return [
        Unit(start, min(start + size, stop))
        for first, stop, size in zip(runs[::3], runs[1::3], runs[2::3], strict=True)
        for start in range(first, stop, size)
    ]
