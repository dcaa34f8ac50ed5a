"""Units that take no time are evaluated several in a row.

A unit has a price: its draws are made, calls of the game begin, and blocks that it shares with its neighbours are evaluated on both
sides. Where rows may be cut anywhere (see `worker`) a row of units gives the bits of each by itself, so only the time is another one. A
row that is not ended, because the job stops, a unit fails or the game has become slow, is given up: that is a few hundredths of a second,
or one call of such a game.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence

from xai_ray.coalitions import Design, EachInput, Pieces, RowBlocks, Unit
from xai_ray.engine import pace
from xai_ray.engine.halving import Bench
from xai_ray.engine.pace import Pace
from xai_ray.stores.protocol import Record

_MOST = 64
"""Units of a row."""


class _Slow(Exception):
    """Raised between two calls of a game that was quick."""


class Ahead:
    """The units of a job, asked for in their order or in another one."""

    def __init__(self, bench: Bench, design: Design, units: Sequence[Unit]) -> None:
        self._bench, self._design, self._units = bench, design, units
        self._ready: dict[Unit, Record] = {}
        self._pace = Pace(1, 1 if isinstance(design, (Pieces, RowBlocks, EachInput)) else _MOST)

    def evaluate(self, unit: Unit, between: Callable[[], None]) -> Record:
        """See `Bench.evaluate`."""
        if unit not in self._ready:
            began = time.perf_counter()
            self._ready = {one.unit: one for one in self._row(self._following(unit), between)}
            self._pace.took(time.perf_counter() - began)
        return self._ready.pop(unit)

    def _following(self, unit: Unit) -> list[Unit]:
        """The unit, and those behind it without a gap."""
        row, count = [unit], self._pace.size
        at = bisect_left(self._units, unit.start, key=lambda one: one.start) if count > 1 else len(self._units)
        for after in self._units[at + 1 : at + count]:
            if after.start != row[-1].stop:
                break
            row.append(after)
        return row

    def _row(self, row: list[Unit], between: Callable[[], None]) -> list[Record]:
        if len(row) == 1:
            return [self._bench.evaluate(row[0], between)]
        latest = time.perf_counter() + 2 * pace.QUICK

        def in_time() -> None:
            between()
            if time.perf_counter() > latest:
                raise _Slow

        try:
            whole = self._bench.evaluate(Unit(row[0].start, row[-1].stop), in_time)
        except Exception:
            # By itself each is told what is wrong with it, and those before the one that fails are kept.
            self._pace.size = 1
            return [self._bench.evaluate(row[0], between)]
        ends = [self._design.evaluations(one.stop) for one in row]
        first = self._design.evaluations(row[0].start)
        cuts = [slice(a - first, b - first) for a, b in zip([first, *ends], ends, strict=False)]
        return [Record(one, whole.values[cut], _share(whole, cut)) for one, cut in zip(row, cuts, strict=True)]


def _share(whole: Record, cut: slice) -> dict[str, object]:
    count = cut.stop - cut.start
    return whole.facts | {"seconds": whole.facts["seconds"] * count / len(whole.values), "evaluations": count}
