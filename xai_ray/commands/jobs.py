"""Commands about the jobs of a store: list, status, watch, cancel."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xai_ray.commands.options import AsJson, Dashboard, JobId, Out, StoreUrl
from xai_ray.errors import SpecError
from xai_ray.estimators.agreement import agreement_words
from xai_ray.standing import SAID, job_row, job_state, job_status
from xai_ray.stores import Store, open_store
from xai_ray.talk import print_json, say

if TYPE_CHECKING:
    from xai_ray.following import Look


def list_jobs(store: StoreUrl = "runs", address: Dashboard = None, as_json: AsJson = False) -> None:
    """The jobs of a store, oldest first; with --address, also how their attempts on the cluster stand."""
    place = open_store(store)
    if address is None:
        rows = [job_row(place, job) for job in place.jobs()]
    else:
        from xai_ray.client import Client

        rows = Client(address, place).jobs()
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(
            f"{row['job']:<32} {row['state']:<12} {row['evaluations']:>9} / {row['budget']:<9} {', '.join(row['asks'])}"
        )
    if not rows:
        say(f"no jobs in {place.url}")


def status(job: JobId, store: StoreUrl = "runs", address: Dashboard = None, as_json: AsJson = False) -> None:
    """State, evaluations, units and last events of a job; with --address, also its attempt on the cluster."""
    place = open_store(store)
    facts = _status(place, job, address)()
    events = place.events(job)[-5:]
    if as_json:
        print_json(facts | {"events": events})
        return
    for key, value in facts.items():
        typer.echo(f"{key:<12} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    for event in events:
        typer.echo(
            f"{'event':<12} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(event.get('at', 0)))} {event.get('event')}"
        )


def watch(
    job: JobId,
    store: StoreUrl = "runs",
    address: Dashboard = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 2.0,
    out: Out = None,
) -> None:
    """Follow a job until it ends: evaluations and running standard errors. The exit code is that of `run`."""
    from xai_ray.following import ended_as, looks
    from xai_ray.reports.row_parts import parts_of

    place = open_store(store)
    if not every < 1e6:
        raise SpecError(f"--every {every}: seconds between looks, below a million")
    last: Look | None = None
    parts = parts_of(place, place.manifest(job), out)
    for last in looks(place, job, _status(place, job, address), every):
        typer.echo(_line(last.facts, last))
        if parts is not None and not last.ended:
            parts.catch_up()
    if last is None:
        return
    error = ended_as(place, job, last.facts)
    if error is not None:
        raise error
    if out is not None and last.result is not None:
        for path in last.result.save(out):
            say(f"wrote {path}")
        if parts is not None:
            parts.remove()
    if last.facts["state"] == "imprecise":
        rows = last.result is not None and last.result.rows is not None
        remedy = "run the spec with more evaluations a row" if rows else f"xai-ray extend {job} --evaluations N goes on"
        say(f"the budget or time ended before the asked precision; {remedy}")
        raise typer.Exit(4)


def cancel(
    job: JobId,
    store: StoreUrl = "runs",
    address: Dashboard = None,
    grace: Annotated[float, typer.Option(min=0, help="Seconds until a driver on the cluster is stopped.")] = 15.0,
) -> None:
    """Ask a running job to stop; what it committed stays, and `resume` goes on."""
    place = open_store(store)
    place.manifest(job)
    if address is None:
        from xai_ray.wanted import put_cancel

        if (state := job_state(place, job)) in SAID:
            say(f"{job} is {state} already; there is nothing to stop")
            return
        put_cancel(place, job)
        say(f"asked {job} to stop; it ends after the batches in flight")
        return
    from xai_ray.client import Client

    state = Client(address, place).job(job).cancel(grace)
    said = f"xai-ray result {job} has the answer" if state == "done" else f"xai-ray resume {job} goes on"
    say(f"{job} is {state}; what was committed stays, {said}")


def _status(place: Store, job: str, address: str | None) -> Callable[[], dict[str, Any]]:
    if address is None:
        return lambda: job_status(place, job)
    from xai_ray.client import Client

    return Client(address, place).job(job).status


def _line(facts: dict[str, Any], look: Look) -> str:
    texts = "texts" in facts
    said = [f"{facts['evaluations']} / {facts['budget']} {'texts' if texts else 'evaluations'}"]
    if look.result is not None and not texts:
        said += [
            f"largest standard error {look.result.estimates[0].largest_std_error:.4g}",
            agreement_words(look.agreement),
        ]
    said += [f"ETA {facts['eta']}" if "eta" in facts else "", facts["state"]]
    return ", ".join(word for word in said if word)
