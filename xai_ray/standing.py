"""How a stored job stands, by the store and, where there is one, by the cluster that runs it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any

from xai_ray.coalitions import EachInput
from xai_ray.engine.job import design_of
from xai_ray.engine.looked import LOOKED
from xai_ray.errors import StoreError
from xai_ray.estimators.agreement import agreement_words
from xai_ray.jobs_api import RayJob
from xai_ray.progress import clock_text
from xai_ray.reports.wording import stop_words
from xai_ray.stores import Store
from xai_ray.talk import say

SAID = ("done", "imprecise", "failed", "cancelled", "interrupted")
"""How a run may say that it ended."""
ENDED = (*SAID, "killed", "lost", "damaged", "new")
"""States in which nobody works on a job: `killed` and `lost` never said goodbye, `new` was never started."""

_TURNS = ("submitted", "started", *SAID)


def job_state(store: Store, job: str) -> str:
    """One of ENDED, `submitted` or `running`, as the store has it."""
    return _state(_last(store.events(job)))


def job_status(store: Store, job: str) -> dict[str, Any]:
    """State, evaluations, budget, units, players and questions of a job; a reason when it failed."""
    manifest = store.manifest(job)
    design = design_of(manifest)
    segments = store.segments(job)
    committed = store.committed(job)
    done = sum(design.evaluations(u.stop) - design.evaluations(u.start) for u in committed)
    events = store.events(job)
    last = _last(events)
    budget = design.evaluations(segments[-1].stop) if segments else 0
    texts = isinstance(design, EachInput)
    if texts and segments:
        begun = design.first(segments[-1].stop)
        done, budget = sum(u.start >= begun for u in committed), design.inputs
    stop = "; ".join(stop_words(last.get("stop", {})))
    return (
        {
            "job": job,
            "state": _state(last),
            "evaluations": done,
            "budget": budget,
            "units": len(committed),
            **({"texts": f"{done} of {budget}"} if texts else {"players": len(manifest.document["players"])}),
            "asks": [a["question"]["index"] for a in manifest.document["identity"]["asks"]],
        }
        | ({"reason": last["reason"]} if "reason" in last else {})
        | ({"stop": stop} if stop else {})
        | (_course(events, done, budget) if _state(last) == "running" else {})
    )


def _course(events: list[dict[str, Any]], done: int, budget: int) -> dict[str, Any]:
    """How a running job goes: evaluations a second since the run began, the time that the rest of the budget takes at that rate, and
    the newest estimates that the run has noted.
    """
    out: dict[str, Any] = {}
    started = next((e for e in reversed(events) if e.get("event") == "started"), {})
    since = events[events.index(started) :] if started else []
    spent, new = time.time() - started.get("at", time.time()), done - started.get("done", done)
    if spent > 0 and new > 0:
        out |= {"rate": f"{new / spent:.3g}/s", "eta": clock_text((budget - done) * spent / new)}
    looked = next((e for e in reversed(since) if e.get("event") == LOOKED), None)
    if looked is not None:
        error = looked["std_error"]
        said = [
            f"largest standard error {error:.3g}" if error is not None else "",
            agreement_words(looked["agreement"]),
        ]
        out["estimate"] = f"after {looked['evaluations']} evaluations: {', '.join(word for word in said if word)}"
    return out


def job_row(store: Store, job: str) -> dict[str, Any]:
    """The status of a job, even of one that cannot be read: a damaged job must not hide the others."""
    try:
        return job_status(store, job)
    except StoreError as error:
        say(f"xai-ray: {error}")
        nothing = {"evaluations": 0, "budget": 0, "units": 0, "players": 0, "asks": []}
        return {"job": job, "state": "damaged", **nothing, "reason": str(error)}


def on_cluster(
    facts: dict[str, Any], attempt: RayJob | None, submitted: bool, words: Callable[[RayJob], str] | None = None
) -> dict[str, Any]:
    """The status of a job with what Ray says of its newest attempt; ask Ray first, and the store afterwards.

    A driver writes how it ended before it ends, so a job that still runs by the store and has no driver by Ray is `lost`.
    `submitted`: whether the job was ever submitted; one that runs elsewhere is no business of the cluster. `words` finds out what a
    driver said last.
    """
    said = {} if attempt is None else {"submission": attempt.submission_id, "cluster": attempt.state.lower()}
    if facts["state"] == "killed" and attempt is not None:
        # Guessed from a process number, which means little across containers; Ray knows.
        facts = facts | {"state": "running"}
    if facts["state"] in ENDED or (attempt is None and not submitted):
        return facts | said
    if attempt is not None and not attempt.ended:
        return facts | said | {"state": "starting" if facts["state"] == "submitted" else facts["state"]}
    if attempt is None:
        why = "the cluster knows nothing of it: it was started anew, or is another one"
    else:
        last = (words(attempt) if words is not None else "") or attempt.message.split(", last available")[0][:300]
        why = f"its driver ended as {attempt.state}" + (f": {last}" if last else "")
    return facts | said | {"state": "lost", "reason": f"{why}; xai-ray resume {facts['job']} --address goes on"}


def _last(events: list[dict[str, Any]]) -> dict[str, Any]:
    return next((e for e in reversed(events) if e.get("event") in _TURNS), {})


def _state(last: dict[str, Any]) -> str:
    state = last.get("event", "new")
    if state == "started":
        return "killed" if _dead(last) else "running"
    return state


def _dead(started: dict[str, Any]) -> bool:
    """Whether a run that never ended is known to be dead: its process was on this host and is gone."""
    if started.get("host") != socket.gethostname() or not isinstance(started.get("pid"), int):
        return False
    try:
        os.kill(started["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
