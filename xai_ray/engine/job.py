"""The life of a job: open, pending units, rounds, stop decision, answers. Everything durable is in the store.

What a run decides depends on values and fixed boundaries alone, so a run that was killed, resumed, shared between processes or
spread over any number of workers ends with the same bits.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from xai_ray.coalitions import Design, EachInput, Pieces, RowBlocks, Unit
from xai_ray.engine.cancelling import CancelFlag
from xai_ray.engine.chains import free_rows
from xai_ray.engine.committing import Ack, Committer, Ties
from xai_ray.engine.failures import KillerUnit
from xai_ray.engine.finished import Finished
from xai_ray.engine.identity import FORMAT, manifest_of, versions
from xai_ray.engine.inline import InlineEngine
from xai_ray.engine.looked import Looked
from xai_ray.engine.protocol import Engine
from xai_ray.engine.reading import committed_prefix, convergence, design_of, pools_of, read_pool
from xai_ray.engine.rounds import Ending, Rounds
from xai_ray.engine.self_check import self_check
from xai_ray.engine.units import Units, segments_of, unit_draws
from xai_ray.engine.watching import Silent, Watcher
from xai_ray.errors import Cancelled, CorruptRecord, Fenced, MissingRecord, StoreError
from xai_ray.estimators import AnyPool, Ask, EachPool, Pool, RowPool, Stop
from xai_ray.estimators.device_setting import check_estimator_device
from xai_ray.games.protocol import Game
from xai_ray.stores import Manifest, Record, Store

__all__ = [
    "FORMAT",
    "Finished",
    "Run",
    "committed_prefix",
    "convergence",
    "design_of",
    "manifest_of",
    "read_pool",
    "unit_draws",
    "versions",
]

_LOSSES = 5
"""How often a store may lose records under one run before the run gives up."""

_TOLD = {"halved": "batch halved", "uncommitted": "values came home"}
"""Facts of records that the event log tells of, once a worker, and the names of these events."""


def _nothing(unit: Unit) -> None:
    pass


@dataclass
class Run:
    """One attempt to bring a job to its budget. `execute` may be called once."""

    manifest: Manifest
    game: Game
    asks: tuple[Ask, ...]
    draws: int
    store: Store
    engine: Engine
    stop: Stop = field(default_factory=Stop)
    watcher: Watcher = field(default_factory=Silent)
    recompute: bool = False
    """Whether damaged records are discarded and computed again instead of raising CorruptRecord."""
    anew: bool = False
    """Whether a boundary that the clock chose on an earlier run with the same limits is set aside."""
    skip_killers: bool = False
    """Whether a run that meets a unit which kills its workers ends at the last boundary before it, instead of failing."""
    landed: Callable[[Unit], None] = _nothing
    """Told of each unit that is in the store, whether it was before or came in this run; maybe more than once."""
    clock: Callable[[], float] = time.monotonic
    """Seconds; `stop.seconds` counts from the start of `execute`."""
    _epoch: int = 0
    _notes: list[str] = field(default_factory=list)
    _told: list[dict[str, Any]] = field(default_factory=list)

    def execute(self) -> Finished:
        """Evaluate what is missing and answer. Raises Cancelled when the job's cancel flag was set meanwhile, and whatever the engine
        or the store raises; what was committed stays. Records that the store loses on the way are evaluated again.
        """
        check_estimator_device()
        began = self.clock()
        self.manifest = self.store.open(self.manifest)
        job = self.manifest.job
        self.watcher = Looked(self.watcher, self.store, job)
        self._epoch = self.store.claim(job)
        self.store.cancel(job, False)
        design = design_of(self.manifest)
        progress = self._rounds(design, began)
        pending = self._pending(design, progress)
        done_before = progress.evaluations
        started = {
            "event": "started",
            "at": time.time(),
            "draws": self.draws,
            "evaluations": design.evaluations(self.draws),
            "done": done_before,
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        limits = {"limits": self._limits(), "anew": self.anew}
        self.store.append(job, {**started, **self.stop.document(), **limits, "pending": len(pending)})
        if (decided := self._decided()) is not None:
            progress.settle(decided)
        self.watcher.started(job, design.evaluations(self.draws) - self._began(design), done_before)
        cancel = CancelFlag(self.store, job)
        losses = 0
        try:
            while True:
                try:
                    progress.look()
                    if pending and not progress.stop_at:
                        self._evaluate(design, pending, progress, cancel)
                    if cancel.seen:
                        break
                    pool = read_pool(self.store, self.manifest, progress.stop_at or self.draws)
                    found = self._checked(design, pool, cancel)
                    if cancel.seen:
                        break
                    return self._finish(design, progress, progress.evaluations - done_before, pool, found)
                except MissingRecord as lost:
                    # A server that was killed may come back without its last seconds: what it lost is evaluated again.
                    if (losses := losses + 1) > _LOSSES:
                        raise
                    self.store.append(job, {"event": "records lost", "at": time.time(), "reason": str(lost)})
                    progress = self._rounds(design, began)
                    pending = self._pending(design, progress)
                    if (decided := self._decided()) is not None:
                        progress.settle(decided)
        except KeyboardInterrupt:
            self._broken_off("interrupted", progress.evaluations)
            raise
        except Fenced:
            # The job is another run's now, and so is its outcome.
            raise
        except Exception as error:
            self._broken_off("failed", progress.evaluations, str(error))
            raise
        self._close("cancelled", progress.evaluations)
        what = "texts" if isinstance(design, EachInput) else "evaluations"
        raise Cancelled(
            f"job {job} was cancelled with {progress.evaluations} {what} committed; xai-ray resume {job} goes on"
        )

    def _checked(self, design: Design, pool: AnyPool, cancel: CancelFlag) -> dict[str, Any] | None:
        if not isinstance(pool, Pool):
            return None
        return self_check(self.game, design, pool.values, self.store, self.manifest, cancel.check)

    def _rounds(self, design: Design, began: float) -> Rounds:
        # Where workers commit by themselves, values pass through here at boundaries only.
        read = pools_of(self.store, self.manifest)
        # Of a dataset job the workers keep the precisions, row by row or text by text; only the clock is looked at here.
        stop = Stop(seconds=self.stop.seconds) if isinstance(design, (EachInput, RowBlocks)) else self.stop
        return Rounds(
            design, self.draws, self.asks, stop, self.watcher, lambda: self.clock() - began, read, self._awaited
        )

    def _awaited(self) -> bool:
        """Whether anybody waits for running estimates: who watches, the log now and then, or an engine whose jobs share a cluster."""
        watched = not isinstance(self.watcher, Looked) or self.watcher.awaited
        return watched or not isinstance(self.engine, InlineEngine)

    def _pending(self, design: Design, progress: Rounds) -> Units:
        """Units without a record, after the plan's last segment is appended; records that are there go into `progress`."""
        job = self.manifest.job
        segments = self.store.segments(job)
        have = segments[-1].stop if segments else 0
        if have < self.draws:
            unit = unit_draws(design, free_rows(self.game, design), self.draws - have)
            for segment in segments_of(design, have, self.draws, unit):
                segments = self.store.extend(job, segment)
        units, began = Units(segments, self.draws), self._began(design)
        if began:
            # Whatever an earlier stage lacks, this one goes on without.
            progress.done.add(Unit(0, began))
            units = units.without(progress.done)
        committed = self.store.committed(job)
        there = [u for u in units if u in committed] if committed else []
        if (self.store.remote or isinstance(design, (EachInput, Pieces, RowBlocks))) and not self.recompute:
            for unit in there:
                progress.commit(unit)
                self.landed(unit)
        else:
            for record in self._records(there):
                progress.add(record)
                self.landed(record.unit)
        return units.without(progress.done)

    def _began(self, design: Design) -> int:
        """Draws of stages before this one."""
        return design.first(self.draws) if isinstance(design, EachInput) else 0

    def _records(self, units: list[Unit]) -> list[Record]:
        if not self.recompute:
            return list(self.store.records(self.manifest.job, units))
        whole: list[Record] = []
        for unit in units:
            try:
                whole += self.store.records(self.manifest.job, [unit])
            except CorruptRecord:
                self.store.discard(self.manifest.job, unit)
        return whole

    def _evaluate(self, design: Design, pending: Units, progress: Rounds, cancel: CancelFlag) -> None:
        job = self.manifest.job

        def commit(record: Record) -> None:
            self.store.commit(job, record, self._epoch)
            progress.add(record)
            told(record.unit, record.facts)

        def acknowledged(ack: Ack) -> None:
            progress.commit(ack.unit)
            told(ack.unit, ack.facts)

        def told(unit: Unit, facts: dict[str, Any]) -> None:
            self.landed(unit)
            for fact, event in _TOLD.items():
                if fact in facts:
                    self._note(unit, facts, fact, event)
            self.watcher.advanced(progress.evaluations)
            progress.look()

        def stopped() -> bool:
            self._watch_the_clock(design, progress)
            return progress.stop_at is not None or cancel.check()

        ties = Ties(
            job=job,
            committer=Committer(self.store, job, self._epoch) if self.store.remote else None,
            acknowledged=acknowledged,
            log=lambda entry: self.store.append(job, entry, "schedule"),
            half_width=lambda: progress.half_width,
        )
        while pending:
            try:
                self.engine.run(self.game, design, pending, commit, stopped, ties)
                return
            except KillerUnit as killer:
                pending = self._without(killer, progress)

    def _without(self, killer: KillerUnit, progress: Rounds) -> Units:
        """What is left to do when the run is to end before the unit that kills its workers; raises it otherwise."""
        job, unit = self.manifest.job, killer.unit
        segments = self.store.segments(job)
        number = Units(segments).index(unit)
        told = KillerUnit(f"{killer}: xai-ray replay {job} --unit {number}", unit)
        draws = progress.shorten(unit.start) if self.skip_killers else None
        if draws is None:
            raise told from None
        self._notes = [
            f"unit {number}, draws [{unit.start}, {unit.stop}), killed its workers and was left out: the answers are from "
            f"the first {draws} draws"
        ]
        event = {"event": "left out", "at": time.time(), "unit": number, "draws": draws, "reason": str(told)}
        self.store.append(job, event)
        progress.look()
        return Units(segments, draws).without(progress.done)

    def _note(self, unit: Unit, facts: dict[str, Any], fact: str, event: str) -> None:
        """Once for each worker and fact."""
        who = {key: facts[key] for key in ("host", "pid", fact) if key in facts}
        if who not in self._told:
            self._told.append(who)
            noted = {"event": event, "at": time.time(), "draws": [unit.start, unit.stop]}
            self.store.append(self.manifest.job, {**noted, **who})

    def _watch_the_clock(self, design: Design, progress: Rounds) -> None:
        draws = progress.overdue()
        if draws is None:
            return
        noted = {"event": "time over", "at": time.time(), "draws": draws, "evaluations": design.evaluations(draws)}
        self.store.append(self.manifest.job, {**noted, "limits": self._limits()})
        # Of two processes that work on one job, the first in the log decides for both.
        decided = self._decided()
        progress.settle(draws if decided is None else decided)

    def _limits(self) -> dict[str, Any]:
        return {"draws": self.draws, **self.stop.document()}

    def _decided(self) -> int | None:
        """The boundary that the clock chose for a run with these limits, or None."""
        decided: int | None = None
        for event in self.store.events(self.manifest.job):
            if event.get("limits") != self._limits():
                continue
            if event["event"] == "started" and event["anew"]:
                decided = None
            elif event["event"] == "time over" and decided is None:
                decided = int(event["draws"])
        return decided

    def _broken_off(self, state: str, evaluations: int, reason: str | None = None) -> None:
        # A store that is full or gone cannot note it; the error under way says why, not this one.
        with suppress(StoreError):
            self._close(state, evaluations, reason)

    def _close(
        self,
        state: str,
        evaluations: int,
        reason: str | None = None,
        stop: dict[str, Any] | None = None,
        notes: tuple[str, ...] = (),
        found: dict[str, Any] | None = None,
    ) -> None:
        said = ({"reason": reason} if reason else {}) | ({"stop": stop} if stop else {})
        said |= ({"notes": list(notes)} if notes else {}) | ({"self_check": found} if found else {})
        outcome = {"state": state, "evaluations": evaluations, "at": time.time()} | said
        # In this order: whoever reads in the log that the run has ended finds its outcome, and one that was overtaken adds nothing.
        self.store.close(self.manifest.job, outcome, self._epoch)
        self.store.append(self.manifest.job, {"event": state, **outcome})

    def _finish(
        self, design: Design, progress: Rounds, added: int, pool: AnyPool, found: dict[str, Any] | None
    ) -> Finished:
        draws = progress.stop_at or self.draws
        estimates = progress.estimates(draws)
        # Those that are missing raise what they lack.
        estimates = (*estimates, *(pool.answer(a.question, a.estimator) for a in self.asks[len(estimates) :]))
        ending = progress.ending(draws, estimates)
        if isinstance(pool, (EachPool, RowPool)):
            verdicts = pool.verdicts(self.stop)
            ending = Ending("rules" if verdicts and verdicts[0].met else progress.by, self.stop, verdicts)
        notes = tuple(self._notes)
        if any(e.get("event") == "batch halved" for e in self.store.events(self.manifest.job)):
            notes += (
                "batch halved: a device ran out of memory, and the last bits of values may differ from another run's",
            )
        state = "done" if ending.precise else "imprecise"
        self._close(state, design.evaluations(draws), None, ending.document(), notes, found)
        curve = convergence(pool, self.asks[0], {**progress.first, draws: estimates[0]})
        return Finished(self.manifest, pool, estimates, curve, ending.document(), added, notes, found)
