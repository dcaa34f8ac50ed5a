"""How a stored job stands."""

from __future__ import annotations

import os
import socket
from typing import Any

from xai_ray.engine.job import design_of
from xai_ray.errors import StoreError
from xai_ray.reports.wording import stop_words
from xai_ray.stores import Store
from xai_ray.talk import say


def job_status(store: Store, job: str) -> dict[str, Any]:
    """State, evaluations, budget, units, players and questions of a job; a reason when it failed."""
    manifest = store.manifest(job)
    design = design_of(manifest)
    segments = store.segments(job)
    committed = store.committed(job)
    done = sum(design.evaluations(u.stop) - design.evaluations(u.start) for u in committed)
    events = store.events(job)
    last = next(
        (
            e
            for e in reversed(events)
            if e.get("event") in ("started", "done", "imprecise", "failed", "cancelled", "interrupted")
        ),
        {},
    )
    state = last.get("event", "new")
    if state == "started":
        state = "killed" if _dead(last) else "running"
    stop = "; ".join(stop_words(last.get("stop", {})))
    return (
        {
            "job": job,
            "state": state,
            "evaluations": done,
            "budget": design.evaluations(segments[-1].stop) if segments else 0,
            "units": len(committed),
            "players": len(manifest.document["players"]),
            "asks": [a["question"]["index"] for a in manifest.document["identity"]["asks"]],
        }
        | ({"reason": last["reason"]} if "reason" in last else {})
        | ({"stop": stop} if stop else {})
    )


def job_row(store: Store, job: str) -> dict[str, Any]:
    """The status of a job, even of one that cannot be read: a damaged job must not hide the others."""
    try:
        return job_status(store, job)
    except StoreError as error:
        say(f"xai-ray: {error}")
        nothing = {"evaluations": 0, "budget": 0, "units": 0, "players": 0, "asks": []}
        return {"job": job, "state": "damaged", **nothing, "reason": str(error)}


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
