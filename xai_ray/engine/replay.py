"""Replay of a job's event log through the ledger: what was decided, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xai_ray.engine.events import Action, Commit, Event, Fail, Finish, Tick, UnitDone
from xai_ray.engine.journal import ENTRY, decoded
from xai_ray.engine.ledger import IllegalEvent, Ledger
from xai_ray.errors import StoreError


@dataclass
class Replayed:
    """One run of a job, replayed."""

    run: str
    workers: int
    """Target at the start."""
    events: Counter[str] = field(default_factory=Counter[str])
    """How many of each kind."""
    actions: Counter[str] = field(default_factory=Counter[str])
    duplicates: int = 0
    """Deliveries of a unit that was committed already."""
    seconds: float = 0.0
    ended: str = "open"
    """`finished`, `failed: why`, or `open` for a run that was killed."""
    steps: list[tuple[float, Event, list[Action]]] = field(default_factory=list)
    """Seconds since the start, event and actions; Ticks that led to nothing are left out."""

    def document(self) -> dict[str, Any]:
        """JSON object without the steps."""
        return {
            "run": self.run,
            "workers": self.workers,
            "seconds": self.seconds,
            "ended": self.ended,
            "duplicates": self.duplicates,
            "events": dict(sorted(self.events.items())),
            "actions": dict(sorted(self.actions.items())),
        }


def replay_log(events: Iterable[Mapping[str, Any]]) -> list[Replayed]:
    """The runs in a job's log of the scheduler (`Store.events(job, "schedule")`), oldest first; other entries are passed over.

    Raises StoreError where the log has a gap or holds what no ledger was ever told.
    """
    found: dict[str, _Replay] = {}
    for entry in events:
        if entry.get("event") != ENTRY:
            continue
        run = str(entry["run"])
        replay = found.setdefault(run, _Replay(Replayed(run, int(entry["workers"])), Ledger(int(entry["workers"]))))
        replay.take(entry)
    return [replay.told for replay in found.values()]


@dataclass
class _Replay:
    told: Replayed
    ledger: Ledger
    count: int = 0

    def take(self, entry: Mapping[str, Any]) -> None:
        if entry["from"] != self.count:
            raise StoreError(
                f"the event log of run {self.told.run} has a gap: event {entry['from']} follows {self.count - 1}; "
                "it was cut, and can be replayed up to there only"
            )
        try:
            for event in _events(entry["log"]):
                self._step(event)
        except (ValueError, IllegalEvent) as error:
            raise StoreError(
                f"the event log of run {self.told.run} is damaged at event {self.count}: {error}"
            ) from None

    def _step(self, event: Event) -> None:
        self.count += 1
        actions = self.ledger.handle(event)
        told = self.told
        told.events[type(event).__name__] += 1
        told.actions.update(type(action).__name__ for action in actions)
        if isinstance(event, Tick):
            told.seconds = event.now
        if isinstance(event, UnitDone) and not any(isinstance(action, Commit) for action in actions):
            told.duplicates += 1
        if actions or not isinstance(event, Tick):
            told.steps.append((told.seconds, event, actions))
        for action in actions:
            if isinstance(action, Finish):
                told.ended = "finished"
            elif isinstance(action, Fail):
                told.ended = f"failed: {action.reason}"


def _events(lines: Iterable[list[Any]]) -> Iterator[Event]:
    return (decoded(line) for line in lines)
