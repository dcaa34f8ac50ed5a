"""Commands that hand work to a cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xai_ray import wanted as w
from xai_ray.commands.options import (
    Actors,
    Dashboard,
    Priority,
    PyModules,
    Recompute,
    SkipKillers,
    SpecPath,
    StoreUrl,
    WorkingDir,
    checked,
)
from xai_ray.errors import SpecError
from xai_ray.launch import warn_of
from xai_ray.stores import open_store
from xai_ray.talk import say

if TYPE_CHECKING:
    from xai_ray.job_handle import JobHandle


def submit(
    spec: SpecPath,
    address: Dashboard = None,
    store: StoreUrl = "runs",
    working_dir: WorkingDir = None,
    py_module: PyModules = None,
    priority: Priority = None,
    actors: Actors = None,
    recompute: Recompute = False,
    skip_killers: SkipKillers = False,
    store_only: Annotated[
        bool, typer.Option("--store-only", help="Put the job into the store; a RayJob or another driver begins it.")
    ] = False,
) -> None:
    """Hand a spec to a cluster through Ray Jobs; prints the job id. The same spec is the same job."""
    from xai_ray.client import Client

    if store_only:
        if address is not None or working_dir is not None or py_module:
            raise SpecError(
                "--store-only starts nothing and sends nothing; leave out --address, --working-dir and --py-module"
            )
        _put(spec, store, w.Wanted({}, ".", actors, checked(priority) or 1.0, recompute, skip_killers=skip_killers))
        return
    if address is None:
        raise SpecError(
            "submit needs --address http://HEAD:8265 (or XAI_RAY_DASHBOARD): the dashboard of the cluster, which "
            "`ray start --head` prints; `xai-ray run` works without a cluster"
        )
    handle = Client(address, store).submit(
        spec,
        working_dir=working_dir,
        py_modules=py_module or (),
        actors=actors,
        priority=checked(priority) or 1.0,
        recompute=recompute,
        skip_killers=skip_killers,
    )
    tell_submitted(handle)


def _put(spec: Path, store: str, wish: w.Wanted) -> None:
    from xai_ray.client import budget_of, put_in_store
    from xai_ray.spec import load

    document = load(spec)
    made = put_in_store(document, spec.resolve().parent, store, replace(wish, budget=budget_of(document)))
    typer.echo(made.job)
    warn_of(open_store(store))
    if made.how == "finished":
        say(f"finished already; xai-ray result {made.job}")
    else:
        say(f"stored; python -m xai_ray.remote_job --job {made.job} --store URL on a cluster begins it")


def tell_submitted(handle: JobHandle) -> None:
    """The job id on stdout; what came of the submission on stderr."""
    made = handle.submitted
    typer.echo(handle.job)
    warn_of(handle.store)
    if made is None:
        return
    told = {
        "submitted": f"submitted as {made.submission_id}; xai-ray watch {made.job} follows it",
        "joined": f"{made.submission_id} is under way already; xai-ray watch {made.job} follows it",
        "stored": "stored; nothing was started",
        "finished": f"finished already, nothing was started; xai-ray result {made.job}",
    }
    say(told[made.how])
