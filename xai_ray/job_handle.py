"""A job of a cluster, as the client hands it out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xai_ray import wanted as w
from xai_ray.api import open_result
from xai_ray.budgets import extended, last_budget
from xai_ray.code_folders import stored_folder, with_code, within
from xai_ray.errors import EngineError, SpecError
from xai_ray.following import Look, ended_as, looks
from xai_ray.jobs_api import Cluster, RayJob
from xai_ray.launch import with_points, write_report
from xai_ray.standing import ENDED, SAID, job_state, job_status, on_cluster
from xai_ray.stores import Store
from xai_ray.submission import Submitted, submit

if TYPE_CHECKING:
    from xai_ray.estimators import Stop
    from xai_ray.reports import Result

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 15.0


class JobHandle:
    """A job of a cluster. It holds nothing but names: any number of handles, in any process, are the same."""

    def __init__(self, cluster: Cluster, store: Store, job: str, submitted: Submitted | None = None) -> None:
        self.cluster, self.store, self.job = cluster, store, job
        self.submitted = submitted
        """What came of the submission that made this handle, if one did."""

    def __repr__(self) -> str:
        return f"JobHandle({self.job!r} in {self.store.url}, cluster {self.cluster.address})"

    def status(self) -> dict[str, Any]:
        """State, evaluations, budget, units, questions, the attempt on the cluster, and a reason when it failed or is lost."""
        attempt = self.cluster.latest(self.job, self.store.url)
        facts = job_status(self.store, self.job)
        return on_cluster(facts, attempt, bool(w.submissions(self.store, self.job)), self._last_words)

    def looks(self, every: float = _POLL_SECONDS) -> Iterator[Look]:
        """How the job stands whenever that changes, up to its end; states as well as estimates."""
        return looks(self.store, self.job, self.status, every)

    def follow(self, every: float = _POLL_SECONDS) -> Iterator[Result]:
        """Running estimates with standard errors, a new one at each boundary that is committed, the final one last.

        Raises Cancelled, EngineError for a job that the cluster lost, or the error that the job failed with.
        """
        for look in self.looks(every):
            if look.result is not None:
                yield look.result
            if look.ended:
                error = ended_as(self.store, self.job, look.facts)
                if error is not None:
                    raise error

    def result(self, timeout: float | None = None, *, partial: bool = False) -> Result:
        """The answer; waits for it, for `timeout` seconds at most. With `partial`, what the committed values say now.

        Raises what `follow` raises, and EngineError when the time is over; the job goes on.
        """
        if partial:
            return open_result(self.job, self.store, partial=True)
        end = None if timeout is None else time.monotonic() + timeout
        while self._state() not in ENDED:
            if end is not None and time.monotonic() >= end:
                facts = self.status()
                waited = f" after {timeout:g} s" if timeout else ""
                raise EngineError(
                    f"job {self.job} is {facts['state']}{waited} ({facts['evaluations']} of {facts['budget']} evaluations); it goes on: "
                    "ask again later, or for what is there (--partial, partial=True)"
                )
            time.sleep(_POLL_SECONDS)
        error = ended_as(self.store, self.job, self.status())
        if error is not None:
            raise error
        return open_result(self.job, self.store)

    def cancel(self, grace: float = _GRACE_SECONDS) -> str:
        """Ask the job to stop after the batches in flight; a driver that goes on after `grace` seconds is stopped. The state it ended in.

        What was committed stays, and `resume` goes on. A job that has ended stays as it is.
        """
        if (state := self._state()) in SAID:
            return state
        w.put_cancel(self.store, self.job)
        end = time.monotonic() + grace
        while (state := self._state()) not in ENDED and time.monotonic() < end:
            time.sleep(_POLL_SECONDS / 2)
        attempt = self.cluster.latest(self.job, self.store.url)
        if state not in ENDED and attempt is not None and not attempt.ended:
            self.cluster.stop(attempt)
            state = "stopped"
        return state

    def resume(
        self,
        *,
        working_dir: str | Path | None = None,
        py_modules: Sequence[str | Path] = (),
        actors: int | None = None,
        priority: float | None = None,
        recompute: bool = False,
        skip_killers: bool = False,
    ) -> JobHandle:
        """Go on with a job that was killed, cancelled, lost or failed, as the next attempt. What is left out is as before."""
        budget = last_budget(self.store, self.job)
        wish = self._before(budget, actors, priority, recompute, skip_killers, anew=False)
        return self._again(wish, working_dir, py_modules)

    def extend(
        self,
        evaluations: int,
        *,
        stop: Stop | None = None,
        working_dir: str | Path | None = None,
        py_modules: Sequence[str | Path] = (),
        actors: int | None = None,
        priority: float | None = None,
    ) -> JobHandle:
        """Give the job a larger budget, or go on where a stop rule ended it; every value it has is used again."""
        from xai_ray.estimators import Stop

        budget = extended(self.store, self.job, evaluations, stop or Stop())
        wish = self._before(budget, actors, priority, False, False, anew=True)
        return self._again(wish, working_dir, py_modules)

    def report(self, path: str | Path, *, partial: bool = False, curves: int = 0, data: bool = True) -> Path:
        """Write the self-contained HTML report. Of training points, `curves` random orders train models, and without `data` the
        report is from the store alone.
        """
        found = open_result(self.job, self.store, partial=partial)
        return write_report(with_points(found, self.store) if data else found, Path(path), curves)

    def logs(self) -> str:
        """What the driver of the newest attempt printed; empty if the cluster knows of none."""
        attempt = self.cluster.latest(self.job, self.store.url)
        return "" if attempt is None else self.cluster.logs(attempt)

    def _before(
        self,
        budget: dict[str, Any],
        actors: int | None,
        priority: float | None,
        recompute: bool,
        skip_killers: bool,
        anew: bool,
    ) -> w.Wanted:
        """What was wanted before, with what is given now."""
        manifest, made = self.store.manifest(self.job), w.submissions(self.store, self.job)
        if manifest.document.get("spec") is None:
            raise SpecError(
                f"job {self.job} was submitted from Python objects, which a store does not keep; call submit_game(...) with the same "
                "game to go on"
            )
        before = made[-1].wanted if made else w.Wanted(budget, working_dir=stored_folder(manifest))
        return replace(
            before,
            budget=budget,
            actors=actors if actors is not None else before.actors,
            priority=priority if priority is not None else before.priority,
            recompute=recompute,
            skip_killers=skip_killers,
            anew=anew,
        )

    def _again(self, wish: w.Wanted, working_dir: str | Path | None, py_modules: Sequence[str | Path]) -> JobHandle:
        manifest = self.store.manifest(self.job)
        if working_dir is not None:
            wish = replace(wish, base=within(Path(manifest.document["base"]), working_dir))
        sent = with_code(wish, working_dir or wish.working_dir, py_modules or wish.py_modules)
        return JobHandle(self.cluster, self.store, self.job, submit(self.cluster, self.store, manifest, sent))

    def _state(self) -> str:
        """The state alone, without counting units."""
        attempt = self.cluster.latest(self.job, self.store.url)
        facts = {"job": self.job, "state": job_state(self.store, self.job)}
        return on_cluster(facts, attempt, bool(w.submissions(self.store, self.job)))["state"]

    def _last_words(self, attempt: RayJob) -> str:
        lines = [line.strip() for line in self.cluster.logs(attempt).splitlines() if line.strip()]
        own = [line.removeprefix("xai-ray: ") for line in lines if line.startswith("xai-ray: ")]
        missing = [line for line in lines if "No module named" in line]
        if missing:
            return f"{missing[-1]} on the cluster; install it on every node, or send it with --py-module"
        return (own or lines or [""])[-1][:600]
