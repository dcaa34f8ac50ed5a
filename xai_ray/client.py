"""The Python door to a running cluster: submit jobs, follow them, read their answers. For notebooks and scripts alike."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xai_ray import wanted as w
from xai_ray.api import open_result
from xai_ray.errors import EngineError, SpecError
from xai_ray.following import Look, ended_as, looks
from xai_ray.jobs_api import Cluster, RayJob
from xai_ray.launch import extended, last_budget, new_run, run_to_end, write_report
from xai_ray.standing import ENDED, job_row, job_status, on_cluster
from xai_ray.stores import Manifest, Store, open_store
from xai_ray.submission import Submitted, check_store, code_of, needs_folder, submit

if TYPE_CHECKING:
    from xai_ray.estimators import Ask, Stop
    from xai_ray.games import Game
    from xai_ray.reports import Result
    from xai_ray.spec import Spec

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 15.0


class Client:
    """Speaks to the cluster whose dashboard is at `address` (http://HEAD:8265) about the jobs in `store`, which both reach.

    `store` is redis://HOST:6379/0 or a file:// folder that this machine and the head of the cluster share. A cluster that is not on
    this machine needs a token (RAY_AUTH_TOKEN_PATH); passwords of stores come from the environment. Raises SpecError, EngineError.
    """

    def __init__(self, address: str, store: str | Store) -> None:
        if isinstance(store, str):
            check_store(store)
        self.store = open_store(store) if isinstance(store, str) else store
        check_store(self.store.url)
        self.cluster = Cluster(address)

    def submit(
        self,
        spec: str | Path | dict[str, Any] | Spec,
        *,
        base: str | Path | None = None,
        working_dir: str | Path | None = None,
        py_modules: Sequence[str | Path] = (),
        actors: int | None = None,
        priority: float = 1.0,
        recompute: bool = False,
    ) -> JobHandle:
        """Hand a spec to the cluster. The same spec is the same job: one that runs is joined, one that is finished answers at once.

        The game is built here first, so mistakes show before anything is sent. Relative paths of the spec start at the spec file's
        folder, or at `base` (default: the current one) for a spec in Python. `working_dir` is sent with the job, together with
        `py_modules`; without it the spec's folder is sent if the spec names a file or a module that lies there. `priority` is the
        job's share of the cluster beside others.

        Raises SpecError and InputError for the spec and the folders, EngineError and StoreError for cluster and store.
        """
        document, home = _spec_of(spec, base)
        return self.submit_spec(
            document,
            home,
            working_dir=working_dir,
            py_modules=py_modules,
            actors=actors,
            priority=priority,
            recompute=recompute,
        )

    def submit_spec(
        self,
        spec: Spec,
        base: Path,
        *,
        working_dir: str | Path | None = None,
        py_modules: Sequence[str | Path] = (),
        actors: int | None = None,
        priority: float = 1.0,
        recompute: bool = False,
    ) -> JobHandle:
        """As `submit`, for a spec that is read already and the folder its paths start from."""
        from xai_ray.build import manifest_for, prepare

        prepared = prepare(spec, base)
        if spec.compute.batch is None and isinstance(batch := getattr(prepared.game, "batch", None), int):
            # The default depends on the device, so a cluster with GPUs would otherwise begin another job than this machine.
            prepared = replace(
                prepared, spec=spec.model_copy(update={"compute": spec.compute.model_copy(update={"batch": batch})})
            )
        manifest = manifest_for(prepared)
        folder = working_dir
        if folder is None and needs_folder(manifest.document["spec"]["game"], base):
            folder = base
        wish = w.Wanted(_budget(spec), _within(base, folder), actors, priority, recompute)
        return self._submit(manifest, _with_code(wish, folder, py_modules))

    def submit_game(
        self,
        game: Game,
        asks: Sequence[Ask],
        *,
        budget: int | Literal["exact"],
        seed: int = 0,
        stop: Stop | None = None,
        trust: bool = False,
        name: str = "explain",
        py_modules: Sequence[str | Path] = (),
        actors: int | None = None,
        priority: float = 1.0,
    ) -> JobHandle:
        """Hand a game of Python objects to the cluster, as a pickle: only with `trust=True`, on a cluster that is yours alone.

        A pickle runs code where it is read. It travels with the job's code and is checked against the SHA-256 that was submitted; the
        store never holds it, so a later attempt needs the same call again. A spec that names its model by a factory
        (package.module:function) needs no trust and can be resumed by anybody. Raises SpecError without trust.
        """
        from xai_ray.engine.job import manifest_of
        from xai_ray.estimators import Stop, plan
        from xai_ray.trusted_game import dump

        rules = stop or Stop()
        planned = plan(list(asks), game.n_players, None if budget == "exact" else budget, seed, game.stochastic)
        rules.check([a.question for a in planned.asks], game.n_players)
        wanted = {"evaluations": budget, **rules.document()}
        manifest = manifest_of(name, game, planned, {"budget": wanted, "seed": seed})
        with tempfile.TemporaryDirectory(prefix="xai_ray-") as folder:
            digest = dump(game, Path(folder), trust)
            wish = w.Wanted(wanted, ".", actors, priority, pickle=digest)
            return self._submit(manifest, _with_code(wish, folder, py_modules))

    def explain(
        self, spec: str | Path | dict[str, Any] | Spec, *, base: str | Path | None = None, join: str | None = None
    ) -> Result:
        """Answer a spec at once, on the warm pool that has its game; the run's coordinator is this process, its values go to the store.

        Needs a process that can join the cluster: on one of its nodes, or with `join` = HOST:6379 (default: RAY_ADDRESS, or the Ray
        that this process is connected to, which saves joining at each call). Raises EngineError when no pool has the game.
        """
        from xai_ray.api import engine_of, result_of
        from xai_ray.engine.watching import Silent

        document, home = _spec_of(spec, base)
        run = new_run(document, home, self.store, lambda: engine_of("warm", None, join), Silent())
        return result_of(run_to_end(run), engine="warm", store=self.store.url)

    def job(self, job: str) -> JobHandle:
        """A job that is in the store. Raises StoreError with the nearest id if there is none."""
        self.store.manifest(job)
        return JobHandle(self, job)

    def jobs(self) -> list[dict[str, Any]]:
        """The status of every job of the store, oldest first."""
        newest = {attempt.job: attempt for attempt in self.cluster.jobs()}
        rows: list[dict[str, Any]] = []
        for job in self.store.jobs():
            row = job_row(self.store, job)
            damaged = row["state"] == "damaged"
            rows.append(row if damaged else on_cluster(row, newest.get(job), bool(w.submissions(self.store, job))))
        return rows

    def _submit(self, manifest: Manifest, wish: w.Wanted) -> JobHandle:
        made = submit(self.cluster, self.store, manifest, wish)
        return JobHandle(self, made.job, made)


class JobHandle:
    """A job of a cluster. It holds nothing but names: any number of handles, in any process, are the same."""

    def __init__(self, client: Client, job: str, submitted: Submitted | None = None) -> None:
        self.client, self.job = client, job
        self.submitted = submitted
        """What came of the submission that made this handle, if one did."""

    def __repr__(self) -> str:
        return f"JobHandle({self.job!r} in {self.client.store.url}, cluster {self.client.cluster.address})"

    def status(self) -> dict[str, Any]:
        """State, evaluations, budget, units, questions, the attempt on the cluster, and a reason when it failed or is lost."""
        attempt = self.client.cluster.latest(self.job)
        facts = job_status(self.client.store, self.job)
        return on_cluster(facts, attempt, bool(w.submissions(self.client.store, self.job)), self._last_words)

    def looks(self, every: float = _POLL_SECONDS) -> Iterator[Look]:
        """How the job stands whenever that changes, up to its end; states as well as estimates."""
        return looks(self.client.store, self.job, self.status, every)

    def follow(self, every: float = _POLL_SECONDS) -> Iterator[Result]:
        """Running estimates with standard errors, a new one at each boundary that is committed, the final one last.

        Raises Cancelled, EngineError for a job that the cluster lost, or the error that the job failed with.
        """
        for look in self.looks(every):
            if look.result is not None:
                yield look.result
            if look.ended:
                error = ended_as(self.client.store, self.job, look.facts)
                if error is not None:
                    raise error

    def result(self, timeout: float | None = None, *, partial: bool = False) -> Result:
        """The answer; waits for it, for `timeout` seconds at most. With `partial`, what the committed values say now.

        Raises what `follow` raises, and EngineError when the time is over; the job goes on.
        """
        if partial:
            return open_result(self.job, self.client.store, partial=True)
        end = None if timeout is None else time.monotonic() + timeout
        while (facts := self.status())["state"] not in ENDED:
            if end is not None and time.monotonic() >= end:
                raise EngineError(
                    f"job {self.job} is {facts['state']} after {timeout:g} s ({facts['evaluations']} of {facts['budget']} "
                    "evaluations); it goes on, ask again or take result(partial=True)"
                )
            time.sleep(_POLL_SECONDS)
        error = ended_as(self.client.store, self.job, facts)
        if error is not None:
            raise error
        return open_result(self.job, self.client.store)

    def cancel(self, grace: float = _GRACE_SECONDS) -> str:
        """Ask the job to stop after the batches in flight; a driver that goes on after `grace` seconds is stopped. The state it ended in.

        What was committed stays, and `resume` goes on.
        """
        w.put_cancel(self.client.store, self.job)
        end = time.monotonic() + grace
        while (state := self.status()["state"]) not in ENDED and time.monotonic() < end:
            time.sleep(_POLL_SECONDS / 2)
        attempt = self.client.cluster.latest(self.job)
        if state not in ENDED and attempt is not None and not attempt.ended:
            self.client.cluster.stop(attempt)
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
    ) -> JobHandle:
        """Go on with a job that was killed, cancelled, lost or failed, as the next attempt. What is left out is as before."""
        budget = last_budget(self.client.store, self.job)
        return self._again(budget, working_dir, py_modules, actors, priority, recompute, anew=False)

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

        budget = extended(self.client.store, self.job, evaluations, stop or Stop())
        return self._again(budget, working_dir, py_modules, actors, priority, False, anew=True)

    def report(self, path: str | Path, *, partial: bool = False) -> Path:
        """Write the self-contained HTML report."""
        return write_report(open_result(self.job, self.client.store, partial=partial), Path(path))

    def logs(self) -> str:
        """What the driver of the newest attempt printed; empty if the cluster knows of none."""
        attempt = self.client.cluster.latest(self.job)
        return "" if attempt is None else self.client.cluster.logs(attempt)

    def _again(
        self,
        budget: dict[str, Any],
        working_dir: str | Path | None,
        py_modules: Sequence[str | Path],
        actors: int | None,
        priority: float | None,
        recompute: bool,
        anew: bool,
    ) -> JobHandle:
        store = self.client.store
        manifest, made = store.manifest(self.job), w.submissions(store, self.job)
        before = made[-1].wanted if made else w.Wanted(budget, working_dir=_stored_folder(manifest))
        if manifest.document.get("spec") is None:
            raise SpecError(
                f"job {self.job} was submitted from Python objects, which a store does not keep; call submit_game(...) with the same "
                "game to go on"
            )
        wish = replace(
            before,
            budget=budget,
            actors=actors if actors is not None else before.actors,
            priority=priority if priority is not None else before.priority,
            recompute=recompute,
            anew=anew,
        )
        if working_dir is not None:
            wish = replace(wish, base=_within(Path(manifest.document["base"]), working_dir))
        code = working_dir or before.working_dir
        made_now = submit(self.client.cluster, store, manifest, _with_code(wish, code, py_modules or before.py_modules))
        return JobHandle(self.client, self.job, made_now)

    def _last_words(self, attempt: RayJob) -> str:
        lines = [line.strip() for line in self.client.cluster.logs(attempt).splitlines() if line.strip()]
        own = [line.removeprefix("xai-ray: ") for line in lines if line.startswith("xai-ray: ")]
        missing = [line for line in lines if "No module named" in line]
        if missing:
            return f"{missing[-1]} on the cluster; install it on every node, or send it with --py-module"
        return (own or lines or [""])[-1][:600]


def _spec_of(spec: str | Path | dict[str, Any] | Spec, base: str | Path | None) -> tuple[Spec, Path]:
    from xai_ray.spec import Spec, load, parse

    if isinstance(spec, str | Path):
        path = Path(spec)
        return load(path), Path(base).resolve() if base is not None else path.resolve().parent
    return spec if isinstance(spec, Spec) else parse(spec), Path(base or ".").resolve()


def _budget(spec: Spec) -> dict[str, Any]:
    from xai_ray.build import stop_of

    return {"evaluations": spec.budget.evaluations, **stop_of(spec).document()}


def _within(base: Path, working_dir: str | Path | None) -> str:
    """The spec's folder as seen from the working directory."""
    if working_dir is None:
        return "."
    home = Path(working_dir).resolve()
    try:
        return base.resolve().relative_to(home).as_posix()
    except ValueError:
        raise SpecError(
            f"the spec's folder {base} is not within --working-dir {home}, so its relative paths would lead nowhere on the cluster; "
            "name a folder that holds the spec"
        ) from None


def _with_code(wish: w.Wanted, working_dir: str | Path | None, py_modules: Sequence[str | Path]) -> w.Wanted:
    folder = None if working_dir is None else Path(working_dir).resolve()
    modules = [Path(p).resolve() for p in py_modules]
    code_of(folder, modules)
    return replace(wish, working_dir=None if folder is None else str(folder), py_modules=tuple(map(str, modules)))


def _stored_folder(manifest: Manifest) -> str | None:
    """The spec's folder, for a job that was run here before and names files that lie there."""
    document = manifest.document
    base = Path(document["base"]) if document.get("base") else None
    return str(base) if base is not None and needs_folder(document["spec"]["game"], base) else None
