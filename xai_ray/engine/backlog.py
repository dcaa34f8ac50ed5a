"""The units of a run as the ledger sees them: planned, leased or committed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

from xai_ray.coalitions import Unit
from xai_ray.engine.spans import Spans


@dataclass(slots=True)
class Open:
    """A unit that is not committed: planned while it has no holders."""

    holders: list[int] = field(default_factory=list[int])
    seen: list[int] = field(default_factory=list[int])
    """All workers that ever held it."""
    kills: int = 0
    failures: int = 0


@dataclass(slots=True)
class Backlog:
    """Memory: some hundred bytes a unit that is not committed, and two integers for each gap between those that are."""

    open: dict[Unit, Open] = field(default_factory=dict[Unit, Open])
    committed: Spans = field(default_factory=Spans)
    planned: list[tuple[int, Unit]] = field(default_factory=list[tuple[int, Unit]])
    """A heap, in canonical order; units that were delivered late meanwhile are passed over by `take`."""

    def repeated(self, units: tuple[Unit, ...]) -> list[Unit]:
        """Those of these units that are known already."""
        return [u for u in units if u in self.open or u in self.committed]

    def add(self, unit: Unit) -> None:
        """Plan a new unit."""
        self.open[unit] = Open()
        heappush(self.planned, (unit.start, unit))

    def take(self) -> Unit | None:
        """The first planned unit."""
        while self.planned:
            unit = heappop(self.planned)[1]
            opened = self.open.get(unit)
            if opened is not None and not opened.holders:
                return unit
        return None

    def hold(self, unit: Unit, worker: int) -> None:
        """Lease a unit to a worker."""
        opened = self.open[unit]
        opened.holders.append(worker)
        if worker not in opened.seen:
            opened.seen.append(worker)

    def unhold(self, unit: Unit, worker: int) -> None:
        """Take a unit back from a worker; nobody's is planned again, a committed one stays so."""
        opened = self.open.get(unit)
        if opened is not None:
            opened.holders.remove(worker)
            if not opened.holders:
                heappush(self.planned, (unit.start, unit))

    def commit(self, unit: Unit) -> list[int] | None:
        """Mark a unit as committed. Who held it, or None if it was committed before."""
        opened = self.open.pop(unit, None)
        if opened is None:
            return None
        self.committed.add(unit)
        return opened.holders

    def state(self, unit: Unit) -> str:
        """`planned`, `leased` or `committed`. Raises KeyError for a unit that was never added."""
        if unit in self.committed:
            return "committed"
        return "leased" if self.open[unit].holders else "planned"

    def given(self, unit: Unit, worker: int) -> bool:
        """Whether this worker may know of this unit."""
        opened = self.open.get(unit)
        return worker in opened.seen if opened is not None else unit in self.committed
