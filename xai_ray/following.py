"""Following a job that others run, from its store: running estimates at fixed boundaries, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xai_ray.api import asks_of, open_result, result_of
from xai_ray.engine.failures import Failure, rebuilt
from xai_ray.engine.job import Finished, committed_prefix, design_of, read_pool
from xai_ray.errors import Cancelled, EngineError, NotEnoughSamples, XaiRayError
from xai_ray.estimators import Estimate, boundaries
from xai_ray.estimators.agreement import rank_agreement
from xai_ray.standing import ENDED
from xai_ray.stores import Store
from xai_ray.wanted import DRIVER_ENDED

if TYPE_CHECKING:
    from xai_ray.reports import Result

_RESTING = 4.0


@dataclass(frozen=True, slots=True)
class Look:
    """How a job stands at one moment."""

    facts: dict[str, Any]
    """As `job_status`: state, evaluations, budget, ..."""
    result: Result | None
    """The estimates at a boundary that was not seen before, or the final ones; None where there is nothing new."""

    agreement: float | None = None
    """Of these estimates with those from half as many evaluations, see `rank_agreement`; None where this was not seen."""

    @property
    def ended(self) -> bool:
        """Whether nobody works on the job any more."""
        return self.facts["state"] in ENDED


def looks(store: Store, job: str, status: Callable[[], dict[str, Any]], every: float) -> Iterator[Look]:
    """A look whenever something changed, the last one at the job's end. `status` is asked every so many seconds, of a job so large
    that looking takes long less often: four fifths of the time nothing is asked.
    """
    seen, shown, earlier = 0, (), list[Estimate]()
    while True:
        began = time.monotonic()
        facts = status()
        ended = facts["state"] in ENDED
        draws = 0 if ended else _boundary(store, job)
        result = _final(store, job, facts["state"]) if ended else None
        if draws > seen:
            seen, result = draws, running_result(store, job, draws)
        key = (facts["state"], facts["evaluations"])
        if key != shown or result is not None:
            shown = key
            agreement = None if result is None else rank_agreement(result.estimates[0], earlier)
            earlier += [] if result is None else [result.estimates[0]]
            yield Look(facts, result, agreement)
        if ended:
            return
        time.sleep(max(every, _RESTING * (time.monotonic() - began)))


def running_result(store: Store, job: str, draws: int) -> Result | None:
    """The estimates of the first `draws` draws of a job; None where they are too few."""
    manifest = store.manifest(job)
    try:
        pool = read_pool(store, manifest, draws)
        estimates = tuple(pool.answer(a.question, a.estimator) for a in asks_of(manifest))
    except NotEnoughSamples:
        return None
    return result_of(Finished(manifest, pool, estimates, (), {}, 0), store=store.url)


def ended_as(store: Store, job: str, facts: dict[str, Any]) -> XaiRayError | None:
    """The error of a job that ended without an answer, as `run` would have raised it; None if it has one."""
    state, reason = facts["state"], facts.get("reason", "")
    if state in ("done", "imprecise"):
        return None
    if state in ("cancelled", "interrupted"):
        return Cancelled(reason or f"job {job} was {state}; xai-ray resume {job} goes on")
    if state in ("lost", "killed", "new"):
        return EngineError(f"job {job} is {state}" + (f": {reason}" if reason else f"; xai-ray resume {job} goes on"))
    return _failure(store, job) or XaiRayError(f"job {job} failed: {reason}")


def _failure(store: Store, job: str) -> XaiRayError | None:
    for event in reversed(store.events(job)):
        if event.get("event") == "started":
            return None
        if event.get("event") == DRIVER_ENDED and event.get("kind"):
            return rebuilt(Failure(str(event["kind"]), str(event.get("message", ""))))
    return None


def _boundary(store: Store, job: str) -> int:
    """The newest boundary within the committed prefix, in draws; 0 if there is none yet. The last one is the answer itself."""
    manifest = store.manifest(job)
    segments = store.segments(job)
    if not segments:
        return 0
    prefix, last = committed_prefix(store, manifest), segments[-1].stop
    return max((b for b in boundaries(design_of(manifest), last) if b <= prefix and b < last), default=0)


def _final(store: Store, job: str, state: str) -> Result | None:
    return open_result(job, store) if state in ("done", "imprecise") else None
