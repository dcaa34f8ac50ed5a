"""What each input of a job may take: a budget and precisions, stage by stage, in the job's event log.

Of two processes that begin a stage at one time, the first in the log decides what it is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from xai_ray.coalitions import EachInput
from xai_ray.stores import Store

_EVENT = "stage"


def stages(store: Store, job: str) -> list[dict[str, Any]]:
    """The budgets of a job's stages: `evaluations` of each input and stop rules, without `seconds`."""
    found = list[dict[str, Any]]()
    for event in store.events(job):
        if event.get("event") == _EVENT and event["number"] == len(found):
            found.append(dict(event["budget"]))
    return found


def begun(store: Store, job: str, budget: Mapping[str, Any]) -> int:
    """The stage of a job with this budget: the newest that has it, or a new one."""
    while (there := stage_with(store, job, budget)) is None:
        number = len(stages(store, job))
        store.append(job, {"event": _EVENT, "at": time.time(), "number": number, "budget": _lasting(budget)})
    return there


def stage_with(store: Store, job: str, budget: Mapping[str, Any]) -> int | None:
    """The newest stage with this budget, None where there is none."""
    wanted = _lasting(budget)
    return next((s for s, had in reversed(list(enumerate(stages(store, job)))) if had == wanted), None)


def draws_of(store: Store, job: str, design: EachInput, budget: Mapping[str, Any]) -> int | None:
    """Draws up to the end of that stage."""
    stage = stage_with(store, job, budget)
    return None if stage is None else (stage + 1) * design.inputs


def _lasting(budget: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in budget.items() if value is not None and key != "seconds"}
