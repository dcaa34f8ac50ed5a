"""The command line. stdout is data, stderr is talk; exit codes: 0 done, 1 failed, 2 bad spec or input, 3 store or cluster out of

reach, 4 budget spent before the asked precision (the result is still written), 130 cancelled. No traceback for a user's mistake.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from xai_ray import catalogue
from xai_ray.errors import SpecError, StoreError
from xai_ray.launch import Where, check_same_game, execute, last_budget, spec_of, unspent, with_budget
from xai_ray.standing import job_row, job_status
from xai_ray.stores import open_store
from xai_ray.talk import endings, print_json, print_result, say

if TYPE_CHECKING:
    from xai_ray.reports import Result


class _Commands(TyperGroup):
    """Ends commands our way before typer ends them its own: by its release, Ctrl-C would be 1 and a broken pipe too."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        with endings():
            return super().invoke(ctx)


app = typer.Typer(
    name="xai-ray",
    cls=_Commands,
    help="Shapley values and interactions of every order, with standard errors: resumable, and the same bits whatever dies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SpecPath = Annotated[Path, typer.Argument(help="Job spec, .toml or .json.", show_default=False)]
JobId = Annotated[str, typer.Argument(help="Job id, as `list` prints it.", show_default=False)]
StoreUrl = Annotated[
    str, typer.Option("--store", envvar="XAI_RAY_STORE", help="Where values live: file://DIR, DIR or memory://.")
]
EngineName = Annotated[
    Literal["ray", "inline"], typer.Option("--engine", envvar="XAI_RAY_ENGINE", help="Who does the work.")
]
Address = Annotated[
    str | None, typer.Option(envvar="XAI_RAY_ADDRESS", help="Ray cluster to join; default: start one here.")
]
Actors = Annotated[
    int | None, typer.Option(envvar="XAI_RAY_ACTORS", min=1, help="Workers; default: from the CPUs or GPUs.")
]
Out = Annotated[Path | None, typer.Option(help="Write result.json, result.arrow and report.html into this folder.")]
Recompute = Annotated[bool, typer.Option("--recompute", help="Discard damaged records and compute them again.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no notes.")]


@app.command()
def check(
    spec: SpecPath, as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False
) -> None:
    """Validate a spec and print its plan: players, units, evaluations, expected time. Times two batches of the model."""
    from xai_ray.build import describe_plan, prepare
    from xai_ray.spec import load

    facts = describe_plan(prepare(load(spec), spec.resolve().parent))
    if as_json:
        print_json(facts)
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        lines = value if isinstance(value, list) else [value]
        for position, line in enumerate(lines):
            typer.echo(f"{key if position == 0 else '':<{width}}  {line}")


@app.command()
def run(
    spec: SpecPath,
    store: StoreUrl = "runs",
    engine: EngineName = "ray",
    address: Address = None,
    actors: Actors = None,
    out: Out = None,
    recompute: Recompute = False,
    quiet: Quiet = False,
) -> None:
    """Run a spec to the end here. A spec that was run before goes on where it ended."""
    from xai_ray.spec import load

    execute(load(spec), spec.resolve().parent, Where(store, engine, address, actors, out, recompute, quiet))


@app.command()
def resume(
    job: JobId,
    store: StoreUrl = "runs",
    engine: EngineName = "ray",
    address: Address = None,
    actors: Actors = None,
    out: Out = None,
    recompute: Recompute = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a stored job that was killed, cancelled or failed."""
    place = open_store(store)
    spec, base = spec_of(place.manifest(job))
    execute(
        with_budget(spec, last_budget(place, job)),
        base,
        Where(store, engine, address, actors, out, recompute, quiet),
        job,
    )


@app.command()
def extend(
    job: JobId,
    evaluations: Annotated[int, typer.Option(min=1, help="The new total of evaluations.")],
    std_error: Annotated[float | None, typer.Option(help="Stop once every standard error is at most this.")] = None,
    relative_error: Annotated[float | None, typer.Option(help="The same, as a share of the spread of values.")] = None,
    top: Annotated[int | None, typer.Option(help="Stop once so many largest values are told from the rest.")] = None,
    ranking: Annotated[float | None, typer.Option(help="Stop once this share of the ranking is settled.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so much time.")] = None,
    store: StoreUrl = "runs",
    engine: EngineName = "ray",
    address: Address = None,
    actors: Actors = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Give a job a larger budget, or go on where a stop rule ended it; every value it has is used again."""
    from xai_ray.estimators import Stop

    try:
        stop = Stop(std_error, relative_error, top, ranking, seconds)
    except SpecError as error:
        raise SpecError(f"--{str(error).replace('_', '-')}") from None
    place = open_store(store)
    spec, base = spec_of(place.manifest(job))
    had = last_budget(place, job)["evaluations"]
    if spec.budget.evaluations == "exact" and not unspent(place, job):
        raise SpecError(f"job {job} has evaluated all {had} coalitions; there is nothing to extend")
    if isinstance(had, str) or evaluations < had or (evaluations == had and not unspent(place, job)):
        raise SpecError(f"job {job} has a budget of {had} evaluations already; --evaluations must be larger")
    wider = with_budget(spec, {"evaluations": evaluations, **stop.document()})
    execute(wider, base, Where(store, engine, address, actors, out, False, quiet), job, anew=True)


@app.command("list")
def list_jobs(store: StoreUrl = "runs", as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """The jobs of a store, oldest first."""
    place = open_store(store)
    rows = [job_row(place, job) for job in place.jobs()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(
            f"{row['job']:<32} {row['state']:<12} {row['evaluations']:>9} / {row['budget']:<9} {', '.join(row['asks'])}"
        )
    if not rows:
        say(f"no jobs in {place.url}")


@app.command()
def status(job: JobId, store: StoreUrl = "runs", as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """State, evaluations, units and last events of a job."""
    place = open_store(store)
    facts, events = job_status(place, job), place.events(job)[-5:]
    if as_json:
        print_json(facts | {"events": events})
        return
    for key, value in facts.items():
        typer.echo(f"{key:<12} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    for event in events:
        typer.echo(
            f"{'event':<12} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(event.get('at', 0)))} {event.get('event')}"
        )


@app.command()
def watch(
    job: JobId,
    store: StoreUrl = "runs",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 2.0,
) -> None:
    """Follow a job from another terminal until it ends: evaluations and the running largest standard error."""
    from xai_ray.api import open_result
    from xai_ray.errors import NotEnoughSamples

    place = open_store(store)
    shown = -1
    while True:
        facts = job_status(place, job)
        if facts["evaluations"] != shown:
            shown = facts["evaluations"]
            try:
                result = open_result(job, place, partial=True)
                error = f"largest standard error {max(e.largest_std_error for e in result.estimates[:1]):.4g}"
            except (NotEnoughSamples, StoreError):
                error = "no estimate yet"
            typer.echo(f"{shown} / {facts['budget']} evaluations, {error}, {facts['state']}")
        if facts["state"] not in ("running",):
            return
        time.sleep(every)


@app.command()
def cancel(job: JobId, store: StoreUrl = "runs") -> None:
    """Ask a running job to stop; what it committed stays, and `resume` goes on."""
    place = open_store(store)
    place.manifest(job)
    place.cancel(job, True)
    say(f"asked {job} to stop; it ends after the batches in flight")


@app.command()
def result(
    job: JobId,
    store: StoreUrl = "runs",
    output_format: Annotated[
        Literal["table", "json", "csv", "arrow"], typer.Option("--format", help="What stdout carries.")
    ] = "table",
    ask: Annotated[
        str | None,
        typer.Option(help="Another index from the stored values: an index, or one with parameters, as Beta(4,1)."),
    ] = None,
    order: Annotated[int | None, typer.Option(min=1, help="Order of the asked index.")] = None,
    estimator: Annotated[str, typer.Option(help="Estimator of the asked index.")] = "auto",
    contexts: Annotated[str | None, typer.Option(help="Context sizes of the asked index, as 0,12,24.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Of a job that is not finished: from what is committed.")
    ] = False,
    bands: Annotated[
        bool, typer.Option("--bands", help="With --format json: half widths of simultaneous 95 % bands as well.")
    ] = False,
) -> None:
    """The estimates of a job; with --ask another index from its stored values, without a new evaluation."""
    from xai_ray.api import open_result

    if bands and output_format != "json":
        raise SpecError(f"--bands goes with --format json, not {output_format}")
    found = open_result(job, open_store(store), partial=partial)
    if ask is not None:
        found = _ask(found, ask, order, estimator, contexts)
    print_result(found, output_format, bands)


@app.command()
def report(
    job: JobId,
    store: StoreUrl = "runs",
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
    partial: Annotated[bool, typer.Option("--partial", help="Of a job that is not finished.")] = False,
) -> None:
    """Write the self-contained HTML report of a job."""
    from xai_ray.api import open_result
    from xai_ray.reports.html import render_report

    found = open_result(job, open_store(store), partial=partial)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(render_report(found), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {out}: {error.strerror}; choose another --out") from None
    say(f"wrote {out}")


@app.command()
def replay(
    job: JobId,
    unit: Annotated[int, typer.Option(help="Number of the unit in canonical order, from 0.")],
    store: StoreUrl = "runs",
) -> None:
    """Compute one unit again here and compare it with the store."""
    from xai_ray.build import game_of
    from xai_ray.engine import evaluate
    from xai_ray.engine.job import design_of

    place = open_store(store)
    manifest = place.manifest(job)
    units = [u for s in place.segments(job) for u in s.units()]
    if not 0 <= unit < len(units):
        raise SpecError(f"--unit {unit}: job {job} has units 0..{len(units) - 1}")
    if units[unit] not in place.committed(job):
        raise StoreError(f"unit {unit} of job {job} has no record yet; xai-ray resume {job}")
    stored = next(iter(place.records(job, [units[unit]])))
    game = game_of(*spec_of(manifest))
    check_same_game(manifest, game)
    again = evaluate(units[unit], game, design_of(manifest))
    largest = float(abs(again.values - stored.values).max())
    same = again.values.tobytes() == stored.values.tobytes()
    print_json(
        {
            "job": job,
            "unit": unit,
            "draws": [units[unit].start, units[unit].stop],
            "evaluations": len(again.values),
            "same_bits": same,
            "largest_difference": largest,
        }
    )
    if not same:
        raise typer.Exit(1)


for command in (catalogue.indices, catalogue.estimators, catalogue.games, catalogue.removals, catalogue.schema):
    app.command()(command)


def _ask(found: Result, ask: str, order: int | None, estimator: str, contexts: str | None) -> Result:
    from xai_ray.build import parse_ask

    question = parse_ask(ask)
    try:
        sizes = None if contexts is None else tuple(int(c) for c in contexts.split(","))
    except ValueError:
        raise SpecError(f"--contexts takes whole numbers with commas, as 0,12,24; got {contexts!r}") from None
    return found.ask(
        question.index,
        order,
        estimator,
        sizes,
        p=question.p,
        alpha=question.alpha,
        beta=question.beta,
        split=question.split,
    )


def main() -> None:
    """Entry point of `xai-ray`."""
    with endings():
        try:
            app()
        finally:
            sys.stdout.flush()


if __name__ == "__main__":
    main()
