"""Commands that hand work to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

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
) -> None:
    """Hand a spec to a cluster through Ray Jobs; prints the job id. The same spec is the same job."""
    from xai_ray.client import Client

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


def tell_submitted(handle: JobHandle) -> None:
    """The job id on stdout; what came of the submission on stderr."""
    made = handle.submitted
    typer.echo(handle.job)
    if made is None:
        return
    told = {
        "submitted": f"submitted as {made.submission_id}; xai-ray watch {made.job} follows it",
        "joined": f"{made.submission_id} is under way already; xai-ray watch {made.job} follows it",
        "finished": f"finished already, nothing was started; xai-ray result {made.job}",
    }
    say(told[made.how])
