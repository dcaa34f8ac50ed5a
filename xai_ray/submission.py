"""Handing a job to a cluster: what is sent, under which name, and what happens when it is there already."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xai_ray import wanted as w
from xai_ray.errors import DigestMismatch, EngineError, SpecError, XaiRayError
from xai_ray.jobs_api import AttemptExists, Cluster, RayJob, submission_id
from xai_ray.standing import SAID, job_state
from xai_ray.stores import Manifest, Store
from xai_ray.stores.addresses import has_password

How = Literal["submitted", "joined", "finished", "stored"]

_TRIES = 5
"""Attempts that others may take between our look and our submission."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What came of a submission."""

    job: str
    how: How
    """`submitted`: an attempt was started; `joined`: one is under way; `finished`: the answer is in the store already; `stored`:
    the store knows what is wanted, and whoever starts its driver begins it."""
    attempt: int
    """The newest attempt; 0 if none was ever needed."""

    @property
    def submission_id(self) -> str:
        """The name of the attempt on the cluster."""
        return submission_id(self.job, self.attempt)


def check_store(url: str) -> None:
    """Raises SpecError for a store that the cluster cannot reach, or whose address would carry a secret through a command line."""
    if url.lower().startswith("memory://"):
        raise SpecError(
            "--store memory:// ends with this process, so a cluster cannot write to it; give redis://HOST:6379/0, or a "
            "file:// folder that this machine and the head share"
        )
    if has_password(url):
        raise SpecError(
            "--store carries a password, which would stand in the process list and on the dashboard; give the address without "
            "it and set XAI_RAY_REDIS_PASSWORD here and on the nodes of the cluster"
        )


def submit(cluster: Cluster, store: Store, manifest: Manifest, wish: w.Wanted) -> Submitted:
    """Bring a job to what is wanted: answer at once when the store has it, join an attempt that is under way, else start the next.

    Two submitters of one job at one time end up with one attempt. Raises EngineError, DigestMismatch, StoreError.
    """
    check_store(store.url)
    there = store.open(manifest)
    for _ in range(_TRIES):
        attempts = cluster.jobs(there.job)
        # By Ray's count alone: of two submitters at once, both see the same next number, and the cluster takes one of them.
        number = max((a.attempt for a in attempts), default=0)
        if is_finished(store, there.job, wish):
            return Submitted(there.job, "finished", number)
        # One that writes to another store would never bring the answer here.
        running = next((a for a in reversed(attempts) if not a.ended and a.writes_to(store.url)), None)
        # A driver that has said how it ended is only winding down, and would do nothing more.
        if running is not None and job_state(store, there.job) not in SAID:
            _check_same(running, there)
            _check_same_wish(store, there.job, wish)
            return Submitted(there.job, "joined", running.attempt)
        w.put(store, there.job, number + 1, wish)
        try:
            _start(cluster, store, there, number + 1, wish)
        except AttemptExists:
            continue
        except XaiRayError as error:
            # Else it would look queued for ever.
            store.append(there.job, {"event": "failed", "at": time.time(), "reason": f"not started: {error}"})
            raise
        return Submitted(there.job, "submitted", number + 1)
    raise EngineError(
        f"others keep submitting job {there.job} to {cluster.address}; `xai-ray status {there.job}` says who won"
    )


def put(store: Store, manifest: Manifest, wish: w.Wanted) -> Submitted:
    """Put a job and what is wanted of it into the store, for a driver that others start."""
    check_store(store.url)
    there = store.open(manifest)
    number = max((s.attempt for s in w.submissions(store, there.job)), default=0)
    if is_finished(store, there.job, wish):
        return Submitted(there.job, "finished", number)
    w.put(store, there.job, number + 1, wish)
    return Submitted(there.job, "stored", number + 1)


def is_finished(store: Store, job: str, wish: w.Wanted) -> bool:
    """Whether the newest run of a job answered just this wish."""
    outcome = store.outcome(job)
    if job_state(store, job) not in ("done", "imprecise") or outcome is None or wish.recompute or wish.anew:
        return False
    started = [e for e in store.events(job) if e.get("event") == "started"]
    return bool(started) and _same_budget(wish.budget, started[-1], store, job)


def _same_budget(budget: dict[str, Any], started: dict[str, Any], store: Store, job: str) -> bool:
    from xai_ray.coalitions import EachInput, RowBlocks
    from xai_ray.engine.job import design_of
    from xai_ray.engine.stages import draws_of
    from xai_ray.estimators import Stop

    design = design_of(store.manifest(job))
    asked = budget["evaluations"]
    count = 1 << design.n_players if asked == "exact" else int(asked)
    if isinstance(design, EachInput):
        ends = draws_of(store, job, design, budget)
        return ends is not None and started.get("draws") == ends and Stop.of(started) == Stop.of(budget)
    draws = design.rows if isinstance(design, RowBlocks) else design.affordable(count)
    return started.get("draws") == draws and Stop.of(started) == Stop.of(budget)


def _check_same(attempt: RayJob, manifest: Manifest) -> None:
    there = attempt.metadata.get("digest", "")
    if there != manifest.digest:
        raise DigestMismatch(
            f"{attempt.submission_id} on the cluster computes something else (digest {there[:16] or 'unknown'}, this spec has "
            f"{manifest.digest[:16]}); give the spec another name"
        )


def _check_same_wish(store: Store, job: str, wish: w.Wanted) -> None:
    made = w.submissions(store, job)
    under_way = made[-1].wanted.budget if made else None
    if under_way is not None and under_way != wish.budget and not _covered(under_way, wish.budget):
        raise SpecError(
            f"job {job} is running with another budget ({under_way}); wait for its end, or cancel it, and extend it then"
        )


def _covered(under_way: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether the numbers differ in nothing but evaluations, of which there are no fewer."""
    had, want = under_way.get("evaluations"), asked.get("evaluations")
    rest = {k: v for k, v in under_way.items() if k != "evaluations"} == {
        k: v for k, v in asked.items() if k != "evaluations"
    }
    return rest and (had == "exact" or (isinstance(had, int) and isinstance(want, int) and had >= want))


def _start(cluster: Cluster, store: Store, manifest: Manifest, attempt: int, wish: w.Wanted) -> None:
    command = ["python", "-m", "xai_ray.remote_job", "--job", manifest.job, "--store", store.url]
    metadata = {"xai_ray_job": manifest.job, "digest": manifest.digest, "attempt": str(attempt), "store": store.url}
    cluster.submit(
        submission_id(manifest.job, attempt),
        shlex.join([*command, "--attempt", str(attempt)]),
        metadata,
        None if wish.working_dir is None else Path(wish.working_dir),
        [Path(p) for p in wish.py_modules],
    )
