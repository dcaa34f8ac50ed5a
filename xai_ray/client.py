"""The Python door to a running cluster: submit jobs, follow them, read their answers. For notebooks and scripts alike."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xai_ray import wanted as w
from xai_ray.code_folders import needs_folder, with_code, within
from xai_ray.job_handle import JobHandle
from xai_ray.jobs_api import Cluster
from xai_ray.launch import new_run, run_to_end
from xai_ray.standing import job_row, on_cluster
from xai_ray.stores import Manifest, Store, open_store
from xai_ray.submission import Submitted, check_store, put, submit

if TYPE_CHECKING:
    from xai_ray.estimators import Ask, Stop
    from xai_ray.games import Game
    from xai_ray.reports import Result
    from xai_ray.spec import Spec


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
        skip_killers: bool = False,
    ) -> JobHandle:
        """Hand a spec to the cluster. The same spec is the same job: one that runs is joined, one that is finished answers at once.

        The game is built here first, so mistakes show before anything is sent. Relative paths of the spec start at the spec file's
        folder, or at `base` (default: the current one) for a spec in Python. `working_dir` is sent with the job, together with
        `py_modules`; without it the spec's folder is sent if the spec names a file or a module that lies there. `priority` is the
        job's share of the cluster beside others. With `skip_killers` a unit that kills its workers ends the job before it.

        Raises SpecError and InputError for the spec and the folders, EngineError and StoreError for cluster and store.
        """
        document, home = _spec_of(spec, base)
        wish = w.Wanted(budget_of(document), ".", actors, priority, recompute, skip_killers=skip_killers)
        manifest, planned = _planned(document, home, working_dir, wish)
        return self._submit(manifest, with_code(planned, planned.working_dir, py_modules))

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
        rules.check(planned.asks, game.n_players)
        wanted = {"evaluations": budget, **rules.document()}
        manifest = manifest_of(name, game, planned, {"budget": wanted, "seed": seed})
        with tempfile.TemporaryDirectory(prefix="xai_ray-") as folder:
            digest = dump(game, Path(folder), trust)
            wish = w.Wanted(wanted, ".", actors, priority, pickle=digest)
            return self._submit(manifest, with_code(wish, folder, py_modules))

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
        return JobHandle(self.cluster, self.store, job)

    def jobs(self) -> list[dict[str, Any]]:
        """The status of every job of the store, oldest first."""
        newest = {attempt.job: attempt for attempt in self.cluster.jobs() if attempt.writes_to(self.store.url)}
        rows: list[dict[str, Any]] = []
        for job in self.store.jobs():
            row = job_row(self.store, job)
            damaged = row["state"] == "damaged"
            rows.append(row if damaged else on_cluster(row, newest.get(job), bool(w.submissions(self.store, job))))
        return rows

    def _submit(self, manifest: Manifest, wish: w.Wanted) -> JobHandle:
        made = submit(self.cluster, self.store, manifest, wish)
        return JobHandle(self.cluster, self.store, made.job, made)


def put_in_store(spec: Spec, base: Path, store: str | Store, wish: w.Wanted | None = None) -> Submitted:
    """Put a spec into a store as a job that others start: `python -m xai_ray.remote_job --job JOB --store URL` on a cluster, as a
    RayJob of KubeRay does. No code is sent. Raises SpecError, InputError, StoreError.
    """
    if isinstance(store, str):
        check_store(store)
    place = open_store(store) if isinstance(store, str) else store
    manifest, planned = _planned(spec, base, None, wish or w.Wanted(budget_of(spec)))
    return put(place, manifest, replace(planned, working_dir=None))


def _planned(spec: Spec, base: Path, working_dir: str | Path | None, wish: w.Wanted) -> tuple[Manifest, w.Wanted]:
    """The job of a spec, and the wish with the folder that the job needs."""
    from xai_ray.build import manifest_for, prepare

    prepared = prepare(spec, base)
    if spec.compute.batch is None and isinstance(batch := getattr(prepared.game, "batch", None), int):
        # The default depends on the device, so a cluster with GPUs would otherwise begin another job than this machine.
        compute = spec.compute.model_copy(update={"batch": batch})
        prepared = replace(prepared, spec=spec.model_copy(update={"compute": compute}))
    manifest = manifest_for(prepared)
    folder = working_dir
    if folder is None and needs_folder(manifest.document["spec"]["game"], base):
        folder = base
    sent = None if folder is None else str(Path(folder).resolve())
    return manifest, replace(wish, base=within(base, folder), working_dir=sent)


def _spec_of(spec: str | Path | dict[str, Any] | Spec, base: str | Path | None) -> tuple[Spec, Path]:
    from xai_ray.spec import Spec, load, parse

    if isinstance(spec, str | Path):
        path = Path(spec)
        return load(path), Path(base).resolve() if base is not None else path.resolve().parent
    return spec if isinstance(spec, Spec) else parse(spec), Path(base or ".").resolve()


def budget_of(spec: Spec) -> dict[str, Any]:
    """Evaluations and stop rules of a spec, as a submission holds them."""
    from xai_ray.build import stop_of

    return {"evaluations": spec.budget.evaluations, **stop_of(spec).document()}
