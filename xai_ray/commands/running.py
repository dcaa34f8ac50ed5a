"""Commands that bring a job to its budget: check, run, resume, extend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xai_ray.budgets import extended, last_budget, with_budget
from xai_ray.commands.options import (
    Actors,
    Address,
    AnyAddress,
    EngineName,
    JobId,
    Out,
    Priority,
    PyModules,
    Quiet,
    Recompute,
    SkipKillers,
    SpecPath,
    StoreUrl,
    WorkingDir,
    checked,
)
from xai_ray.dashboard_token import check_join
from xai_ray.errors import SpecError
from xai_ray.jobs_api import is_dashboard
from xai_ray.launch import Where, execute, spec_of
from xai_ray.stores import open_store
from xai_ray.stores.addresses import without_password
from xai_ray.talk import print_json

if TYPE_CHECKING:
    from xai_ray.job_handle import JobHandle


def check(
    spec: SpecPath, as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False
) -> None:
    """Validate a spec and print its plan: players, units, evaluations, expected time. Times two batches of the model."""
    from xai_ray.build import prepare
    from xai_ray.describing import describe_plan
    from xai_ray.spec import load

    found, base = load(spec), spec.resolve().parent
    facts = describe_plan(prepare(found, base))
    if as_json:
        print_json(facts)
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        lines = value if isinstance(value, list) else [value]
        for position, line in enumerate(lines):
            typer.echo(f"{key if position == 0 else '':<{width}}  {line}")


def run(
    spec: SpecPath,
    store: StoreUrl = "runs",
    engine: EngineName = "ray",
    address: Address = None,
    actors: Actors = None,
    priority: Priority = None,
    warm: Annotated[bool, typer.Option("--warm", help="On the warm pool of the cluster at --address.")] = False,
    skip_killers: SkipKillers = False,
    out: Out = None,
    recompute: Recompute = False,
    quiet: Quiet = False,
) -> None:
    """Run a spec to the end here. A spec that was run before goes on where it ended."""
    from xai_ray.spec import load

    if address is not None and is_dashboard(address):
        raise SpecError(
            f"--address {without_password(address)} is a dashboard, and `run` works from here; use `xai-ray submit`, or join with HOST:6379"
        )
    check_join(address)
    where = Where(
        store,
        "warm" if warm else engine,
        address,
        actors,
        out,
        recompute,
        quiet,
        skip_killers,
        checked(priority) or 1.0,
    )
    execute(load(spec), spec.resolve().parent, where)


def resume(
    job: JobId,
    store: StoreUrl = "runs",
    engine: EngineName = "ray",
    address: AnyAddress = None,
    actors: Actors = None,
    working_dir: WorkingDir = None,
    py_module: PyModules = None,
    out: Out = None,
    priority: Priority = None,
    recompute: Recompute = False,
    skip_killers: SkipKillers = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a stored job that was killed, cancelled, lost or failed."""
    place = open_store(store)
    if address is not None and is_dashboard(address):
        handle = _on_cluster(address, store, job, out)
        again = handle.resume(
            working_dir=working_dir,
            py_modules=py_module or (),
            actors=actors,
            priority=checked(priority),
            recompute=recompute,
            skip_killers=skip_killers,
        )
        _tell(again)
        return
    _check_here(working_dir, py_module)
    check_join(address)
    spec, base = spec_of(place.manifest(job))
    wider = with_budget(spec, last_budget(place, job))
    share = checked(priority) or 1.0
    execute(wider, base, Where(store, engine, address, actors, out, recompute, quiet, skip_killers, share), job)


def extend(
    job: JobId,
    evaluations: Annotated[int, typer.Option(min=1, help="The new total of evaluations.")],
    std_error: Annotated[float | None, typer.Option(help="Stop once every standard error is at most this.")] = None,
    relative_error: Annotated[float | None, typer.Option(help="The same, as a share of the spread of values.")] = None,
    top: Annotated[int | None, typer.Option(help="Stop once so many largest values are told from the rest.")] = None,
    bottom: Annotated[int | None, typer.Option(help="The same of so many smallest values.")] = None,
    ranking: Annotated[float | None, typer.Option(help="Stop once this share of the ranking is settled.")] = None,
    signs: Annotated[
        float | None, typer.Option(help="Stop once every value is told from 0, or known to this share.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so much time.")] = None,
    store: StoreUrl = "runs",
    engine: EngineName = "ray",
    address: AnyAddress = None,
    actors: Actors = None,
    working_dir: WorkingDir = None,
    py_module: PyModules = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Give a job a larger budget, or go on where a stop rule ended it; every value it has is used again."""
    from xai_ray.estimators import Stop

    try:
        stop = Stop(std_error, relative_error, top, ranking, seconds, bottom, signs)
    except SpecError as error:
        raise SpecError(f"--{str(error).replace('_', '-')}") from None
    if address is not None and is_dashboard(address):
        handle = _on_cluster(address, store, job, out)
        sent = handle.extend(evaluations, stop=stop, working_dir=working_dir, py_modules=py_module or (), actors=actors)
        _tell(sent)
        return
    _check_here(working_dir, py_module)
    check_join(address)
    place = open_store(store)
    spec, base = spec_of(place.manifest(job))
    wider = with_budget(spec, extended(place, job, evaluations, stop))
    execute(wider, base, Where(store, engine, address, actors, out, False, quiet), job, anew=True)


def _on_cluster(address: str, store: str, job: str, out: Path | None) -> JobHandle:
    from xai_ray.client import Client

    if out is not None:
        raise SpecError("--out is for runs that end here; for a submitted job take `xai-ray watch JOB --out DIR`")
    return Client(address, store).job(job)


def _check_here(working_dir: Path | None, py_module: list[Path] | None) -> None:
    if working_dir is not None or py_module:
        raise SpecError("--working-dir and --py-module send code to a cluster; they need --address http://HEAD:8265")


def _tell(handle: JobHandle) -> None:
    from xai_ray.commands.cluster import tell_submitted

    tell_submitted(handle)
