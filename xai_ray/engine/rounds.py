"""The rounds of a run: values by unit, the committed prefix, the looks at its boundaries, and where it stops.

A precision decides from the values at fixed boundaries, so it decides the same on every run. The clock cannot: the boundary that it
chose goes into the job's event log, and a run with the same limits stops there again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from xai_ray.coalitions import Design, EachInput, Unit
from xai_ray.engine.spans import Spans
from xai_ray.engine.watching import Watcher
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import AnyPool, Ask, Estimate, Pool, Stop, Verdict, boundaries
from xai_ray.stores import Record
from xai_ray.types import Values

By = Literal["budget", "rules", "seconds", "killer"]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run ended where it did."""

    by: By
    stop: Stop
    verdicts: tuple[Verdict, ...] = ()

    @property
    def precise(self) -> bool:
        """False when a precision was asked for and not reached."""
        return all(v.met for v in self.verdicts)

    def document(self) -> dict[str, Any]:
        """JSON object; empty when nothing but the budget was asked for."""
        if self.stop == Stop():
            return {}
        left = [v.words for v in self.verdicts if not v.met]
        # In the order in which a store returns it, so that a result read back has the same bytes.
        return {"asked": self.stop.document(), "by": self.by, "open": left, "precise": self.precise}


class Rounds:
    """`clock` is asked for seconds since the run began. `read` gives the pool of the first draws of the job, of units
    that were told by `commit` alone: those that workers committed are in the store, and read at a boundary. `awaited` says whether
    running estimates are worth computing where no rule needs them.
    """

    def __init__(
        self,
        design: Design,
        draws: int,
        asks: Sequence[Ask],
        stop: Stop,
        watcher: Watcher,
        clock: Callable[[], float],
        read: Callable[[int], AnyPool] | None = None,
        awaited: Callable[[], bool] = lambda: True,
    ) -> None:
        self.evaluations = 0
        self.stop_at: int | None = None
        self.by: By = "budget"
        self.first: dict[int, Estimate] = {}
        """The first question's estimates, by number of draws."""
        self._design, self._asks, self._stop, self._watcher, self._clock = design, tuple(asks), stop, watcher, clock
        self._looks = {draws: look for look, draws in enumerate(boundaries(design, draws), start=1)}
        self._ahead = list(self._looks)
        self._passed: list[int] = []
        self._values: dict[int, Values] = {}
        self.done = Spans()
        """Draws of the units that are in the store."""
        self._read, self._awaited = read, awaited
        self._latest: tuple[int, list[Estimate]] = (0, [])
        self._late: int | None = None
        self._why_late: By = "seconds"

    def add(self, record: Record) -> None:
        """Takes the values of a unit, once."""
        if record.unit not in self.done:
            if self._read is None:
                self._values[record.unit.start] = record.values
            self.commit(record.unit)

    def commit(self, unit: Unit) -> None:
        """A unit is in the store, whoever put it there."""
        if unit not in self.done:
            self.done.add(unit)
            self.evaluations += self._design.evaluations(unit.stop) - self._design.evaluations(unit.start)

    @property
    def half_width(self) -> float | None:
        """The largest half width of a 95 % interval of the first question at the newest boundary, if there is one."""
        return 1.96 * self._latest[1][0].largest_std_error if self._latest[1] else None

    def shorten(self, draws: int) -> int | None:
        """Nothing from this draw on will come: where the run ends now, the last boundary before it that can be answered.
        None if there is none. That boundary is final, whether or not its values are there yet.
        """
        within = [b for b in self._looks if b <= draws and (self._late is None or b <= self._late)]
        if not within:
            return None
        self._why_late = "killer"
        self.settle(within[-1])
        return self._late

    def look(self) -> None:
        """Estimate at each boundary that the prefix has passed; stop at the first where every rule holds.

        Without a rule only the newest boundary is looked at, for the running standard error, while somebody waits for it.
        """
        passed = [b for b in self._ahead if b <= self.done.prefix and (self._late is None or b <= self._late)]
        self._ahead = self._ahead[len(passed) :]
        self._passed += passed
        ruled = bool(self._stop.rules)
        newest = passed[-1:] if self._ahead and not ruled and self._awaited() else []
        for draws in passed if ruled else newest:
            verdicts = self._judge(draws)
            if ruled and len(self._latest[1]) == len(self._asks) and all(v.met for v in verdicts):
                self._end(draws, "rules")
                return
        if self._late is not None and self._late <= self.done.prefix:
            self._end(self._late, self._why_late)

    def overdue(self) -> int | None:
        """When the time is over and nothing is decided yet: the newest boundary whose estimates are all there (of a job whose
        inputs have players of their own, the last of the inputs that are all there), else None."""
        over = self._stop.seconds is not None and self._clock() >= self._stop.seconds
        if not over or self.stop_at is not None or self._late is not None:
            return None
        if isinstance(self._design, EachInput) and self.done.prefix > self._design.first(max(self._looks)):
            # Inputs answer for themselves, so the run may end after any of them.
            return self.done.prefix
        while self._passed:
            draws = self._passed[-1]
            if len(self.estimates(draws)) == len(self._asks):
                return draws
            self._passed.pop()
        return None

    def settle(self, draws: int) -> None:
        """The clock decided for this boundary, here or in another process: stop there, once its values are there."""
        self._late = draws
        if draws <= self.done.prefix and draws not in self._ahead:
            self._end(draws, self._why_late)

    def estimates(self, draws: int) -> list[Estimate]:
        """The questions' estimates of the first `draws` draws in order, up to the first that cannot be answered."""
        self._go_on(draws, lambda _: False)
        return self._latest[1]

    def ending(self, draws: int, estimates: Sequence[Estimate]) -> Ending:
        """How these final estimates stand."""
        look = self._looks.get(draws, len(self._looks))
        verdicts = tuple(v for e in estimates for v in self._stop.judge(e, look))
        return Ending(self.by, self._stop, verdicts)

    def _end(self, draws: int, by: By) -> None:
        self.stop_at, self.by = draws, by if draws < max(self._looks) else "budget"

    def _judge(self, draws: int) -> list[Verdict]:
        """Verdicts in the order of the questions, as far as the rules hold (of the first question always)."""
        verdicts: list[Verdict] = []

        def enough(estimate: Estimate) -> bool:
            verdicts.extend(self._stop.judge(estimate, self._looks[draws]))
            return not self._stop.rules or not all(v.met for v in verdicts)

        self._go_on(draws, enough)
        if self._latest[1]:
            self._watcher.estimated(self._latest[1])
        if verdicts:
            self._watcher.judged(verdicts)
        return verdicts

    def _go_on(self, draws: int, enough: Callable[[Estimate], bool]) -> None:
        """Answer questions at a boundary until `enough`; what was answered there before is not answered again."""
        if self._latest[0] != draws:
            self._latest = (draws, [])
        found = self._latest[1]
        pool: AnyPool | None = None
        while len(found) < len(self._asks):
            pool = pool or self._pool(draws)
            estimate = answer(pool, self._asks[len(found)])
            if estimate is None:
                return
            found.append(estimate)
            self.first.setdefault(draws, found[0])
            if enough(estimate):
                return

    def _pool(self, draws: int) -> AnyPool:
        if self._read is not None:
            return self._read(draws)
        parts = [values for start, values in sorted(self._values.items()) if start < draws]
        return Pool(self._design, draws, np.concatenate(parts)[: self._design.evaluations(draws)])


def answer(pool: AnyPool, ask: Ask) -> Estimate | None:
    """The answer, or None where the pool is too small for it."""
    try:
        return pool.answer(ask.question, ask.estimator)
    except NotEnoughSamples:
        return None
