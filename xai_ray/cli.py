"""The command line. stdout is data, stderr is talk; exit codes: 0 done, 1 failed, 2 bad spec or input, 3 store or cluster out of

reach, 4 budget spent before the asked precision (the result is still written), 130 cancelled. No traceback for a user's mistake.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from typer.core import TyperGroup

from xai_ray.errors import Cancelled, DigestMismatch, SpecError, StoreError, XaiRayError

if TYPE_CHECKING:
    from xai_ray.engine.job import Finished
    from xai_ray.games import Game
    from xai_ray.reports import Result
    from xai_ray.spec import Spec
    from xai_ray.stores import Manifest, Store


class _Commands(TyperGroup):
    """Ends commands our way before typer ends them its own: by its release, Ctrl-C would be 1 and a broken pipe too."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        with _endings():
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
        _print_json(facts)
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

    _execute(load(spec), spec.resolve().parent, _Where(store, engine, address, actors, out, recompute, quiet))


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
    place = _open(store)
    spec, base = _spec_of(place.manifest(job))
    _execute(
        _with_budget(spec, _last_budget(place, job)),
        base,
        _Where(store, engine, address, actors, out, recompute, quiet),
        job,
    )


@app.command()
def extend(
    job: JobId,
    evaluations: Annotated[int, typer.Option(min=1, help="The new total of evaluations.")],
    std_error: Annotated[
        float | None, typer.Option(help="Stop earlier once every standard error is below this.")
    ] = None,
    store: StoreUrl = "runs",
    engine: EngineName = "ray",
    address: Address = None,
    actors: Actors = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Give a job a larger budget; every value it has is used again."""
    if std_error is not None and not 0 < std_error < inf:
        raise SpecError(f"--std-error is a positive number in units of v, got {std_error:g}")
    place = _open(store)
    spec, base = _spec_of(place.manifest(job))
    had = _last_budget(place, job)["evaluations"]
    if spec.budget.evaluations == "exact":
        raise SpecError(f"job {job} has evaluated all {had} coalitions; there is nothing to extend")
    if isinstance(had, str) or evaluations <= had:
        raise SpecError(f"job {job} has a budget of {had} evaluations already; --evaluations must be larger")
    wider = _with_budget(spec, {"evaluations": evaluations, "std_error": std_error})
    _execute(wider, base, _Where(store, engine, address, actors, out, False, quiet), job)


@app.command("list")
def list_jobs(store: StoreUrl = "runs", as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """The jobs of a store, oldest first."""
    place = _open(store)
    rows = [_row(place, job) for job in place.jobs()]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        typer.echo(
            f"{row['job']:<32} {row['state']:<12} {row['evaluations']:>9} / {row['budget']:<9} {', '.join(row['asks'])}"
        )
    if not rows:
        _say(f"no jobs in {place.url}")


@app.command()
def status(job: JobId, store: StoreUrl = "runs", as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """State, evaluations, units and last events of a job."""
    place = _open(store)
    facts, events = _status(place, job), place.events(job)[-5:]
    if as_json:
        _print_json(facts | {"events": events})
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

    place = _open(store)
    shown = -1
    while True:
        facts = _status(place, job)
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
    place = _open(store)
    place.manifest(job)
    place.cancel(job, True)
    _say(f"asked {job} to stop; it ends after the batches in flight")


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
) -> None:
    """The estimates of a job; with --ask another index from its stored values, without a new evaluation."""
    from xai_ray.api import open_result

    found = open_result(job, _open(store), partial=partial)
    if ask is not None:
        found = _ask(found, ask, order, estimator, contexts)
    _print_result(found, output_format)


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

    found = open_result(job, _open(store), partial=partial)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(render_report(found), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {out}: {error.strerror}; choose another --out") from None
    _say(f"wrote {out}")


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

    place = _open(store)
    manifest = place.manifest(job)
    units = [u for s in place.segments(job) for u in s.units()]
    if not 0 <= unit < len(units):
        raise SpecError(f"--unit {unit}: job {job} has units 0..{len(units) - 1}")
    if units[unit] not in place.committed(job):
        raise StoreError(f"unit {unit} of job {job} has no record yet; xai-ray resume {job}")
    stored = next(iter(place.records(job, [units[unit]])))
    game = game_of(*_spec_of(manifest))
    _check_same_game(manifest, game)
    again = evaluate(units[unit], game, design_of(manifest))
    largest = float(abs(again.values - stored.values).max())
    same = again.values.tobytes() == stored.values.tobytes()
    _print_json(
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


@app.command()
def indices(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """The indices that can be asked, with their estimators and sources."""
    from xai_ray.estimators.table import ESTIMATORS
    from xai_ray.indices import INDICES

    rows = [
        {
            "index": tag,
            "name": row.name,
            "order": row.order,
            "estimators": [name for name, e in ESTIMATORS.items() if tag in e.indices],
            "source": row.citation,
        }
        for tag, row in INDICES.items()
    ]
    _print_rows(rows, as_json)


@app.command()
def estimators(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """The estimators, what each answers and from how many evaluations on (for 16 players)."""
    from xai_ray.estimators.table import ESTIMATORS
    from xai_ray.indices import Question, resolve

    rows = [
        {
            "estimator": name,
            "indices": "every index" if name == "exact" else ", ".join(row.indices),
            "design": row.designs[0],
            "minimum (n = 16)": row.minimum(resolve(Question(row.indices[0]), 16), 16),
            "summary": row.summary,
            "source": row.source,
        }
        for name, row in ESTIMATORS.items()
    ]
    _print_rows(rows, as_json)


@app.command()
def games(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Kinds of games, the known games with closed-form answers, players and behaviours."""
    from xai_ray.build import describe_games

    _print_rows(describe_games(), as_json)


@app.command()
def removals(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """The removals: what stands where a player is absent."""
    from xai_ray.games import REMOVALS

    rows = [
        {"removal": tag, "players": ", ".join(row.players), "source": row.citation} for tag, row in REMOVALS.items()
    ]
    _print_rows(rows, as_json)


@app.command()
def schema() -> None:
    """The JSON schema of a spec."""
    from xai_ray.spec import Spec

    _print_json(Spec.model_json_schema())


class _Where:
    """Where a run works: nothing of it is part of the answer."""

    def __init__(
        self,
        store: str,
        engine: str,
        address: str | None,
        actors: int | None,
        out: Path | None,
        recompute: bool,
        quiet: bool,
    ) -> None:
        self.store, self.engine, self.address, self.actors = store, engine, address, actors
        self.out, self.recompute, self.quiet = out, recompute, quiet


def _execute(spec: Spec, base: Path, where: _Where, job: str | None = None) -> None:
    from xai_ray.api import engine_of, result_of
    from xai_ray.build import manifest_for, prepare
    from xai_ray.engine.job import Run, design_of, versions
    from xai_ray.estimators import StdErrorBelow
    from xai_ray.progress import Bar

    place = _open(where.store)
    prepared = prepare(spec, base)
    manifest = manifest_for(prepared)
    draws = prepared.plan.draws
    if job is not None:
        stored = place.manifest(job)
        _check_same_game(stored, prepared.game)
        if stored.document["versions"] != versions() and not where.quiet:
            _say(f"note: the job began with {stored.document['versions']}, here is {versions()}; last bits may differ")
        manifest, draws = stored, design_of(stored).affordable(_count(spec, stored))
    asks = prepared.plan.asks if job is None else _stored_asks(manifest)
    bar = Bar(quiet=where.quiet)
    limit = spec.budget.std_error
    attempt = Run(
        manifest=manifest,
        game=prepared.game,
        asks=asks,
        draws=draws,
        store=place,
        engine=engine_of(where.engine, where.actors, where.address),
        rule=None if limit is None else StdErrorBelow(limit),
        watcher=bar,
        recompute=where.recompute,
    )
    began = time.perf_counter()
    try:
        with bar, _Terminable():
            finished = attempt.execute()
    except KeyboardInterrupt:
        command = f"xai-ray resume {manifest.job}" + (f" --store {where.store}" if where.store != "runs" else "")
        raise Cancelled(f"interrupted; what was committed stays, go on with: {command}") from None
    _conclude(
        finished,
        result_of(finished, seconds=time.perf_counter() - began, engine=where.engine, store=place.url),
        where,
        limit,
    )


def _conclude(finished: Finished, found: Result, where: _Where, limit: float | None) -> None:
    if where.out is not None:
        for path in found.save(where.out):
            _say(f"wrote {path}")
    _print_result(found, "table")
    if not where.quiet:
        _say(f"job {found.job}: {found.evaluations} evaluations, {finished.new_evaluations} of them new")
    if not finished.precise:
        largest = max(e.largest_std_error for e in found.estimates)
        _say(
            f"the budget ended before the asked precision: largest standard error {largest:.3g}, asked {limit:g}; "
            f"xai-ray extend {found.job} --evaluations N goes on"
        )
        raise typer.Exit(4)


class _Terminable:
    """SIGTERM ends a run like Ctrl-C: workers are released, the job can be resumed."""

    def __enter__(self) -> None:
        def interrupt(number: int, frame: Any) -> None:
            raise KeyboardInterrupt

        self._before = signal.signal(signal.SIGTERM, interrupt)

    def __exit__(self, *exc: object) -> None:
        signal.signal(signal.SIGTERM, self._before)


def _open(url: str) -> Store:
    from xai_ray.stores import open_store

    return open_store(url)


def _spec_of(manifest: Manifest) -> tuple[Spec, Path]:
    from xai_ray.spec import parse

    if manifest.document.get("spec") is None:
        raise SpecError(
            f"job {manifest.job} was started from Python objects, which a store does not keep; "
            "call explain(...) with the same game and store to go on"
        )
    return parse(manifest.document["spec"], f"spec of job {manifest.job}"), Path(manifest.document["base"])


def _check_same_game(stored: Manifest, game: Game) -> None:
    if stored.document["identity"]["game"] != game.digest:
        raise DigestMismatch(
            f"job {stored.job}: its spec now builds another game (the input, the model's weights or the code that makes them changed "
            f"since {stored.digest[:10]}); run the spec again as a new job, or restore what it used"
        )


def _last_budget(store: Store, job: str) -> dict[str, Any]:
    """The budget of the newest run of a job."""
    started = [e for e in store.events(job) if e.get("event") == "started"]
    if started:
        return {"evaluations": started[-1]["evaluations"], "std_error": started[-1]["std_error"]}
    return dict(store.manifest(job).document["spec"]["budget"])


def _with_budget(spec: Spec, budget: dict[str, Any]) -> Spec:
    from xai_ray.spec import Budget

    if spec.budget.evaluations == "exact":
        return spec
    return spec.model_copy(update={"budget": Budget(**budget)})


def _count(spec: Spec, manifest: Manifest) -> int:
    from xai_ray.engine.job import design_of

    design = design_of(manifest)
    if spec.budget.evaluations == "exact":
        return 1 << design.n_players
    return spec.budget.evaluations


def _stored_asks(manifest: Manifest) -> Any:
    from xai_ray.api import asks_of

    return asks_of(manifest)


def _status(store: Store, job: str) -> dict[str, Any]:
    from xai_ray.engine.job import design_of

    manifest = store.manifest(job)
    design = design_of(manifest)
    segments = store.segments(job)
    committed = store.committed(job)
    done = sum(design.evaluations(u.stop) - design.evaluations(u.start) for u in committed)
    events = store.events(job)
    last = next(
        (
            e
            for e in reversed(events)
            if e.get("event") in ("started", "done", "imprecise", "failed", "cancelled", "interrupted")
        ),
        {},
    )
    state = last.get("event", "new")
    if state == "started":
        state = "killed" if _dead(last) else "running"
    return {
        "job": job,
        "state": state,
        "evaluations": done,
        "budget": design.evaluations(segments[-1].stop) if segments else 0,
        "units": len(committed),
        "players": len(manifest.document["players"]),
        "asks": [a["question"]["index"] for a in manifest.document["identity"]["asks"]],
    } | ({"reason": last["reason"]} if "reason" in last else {})


def _row(store: Store, job: str) -> dict[str, Any]:
    """The status of a job, even of one that cannot be read: a damaged job must not hide the others."""
    try:
        return _status(store, job)
    except StoreError as error:
        _say(f"xai-ray: {error}")
        nothing = {"evaluations": 0, "budget": 0, "units": 0, "players": 0, "asks": []}
        return {"job": job, "state": "damaged", **nothing, "reason": str(error)}


def _dead(started: dict[str, Any]) -> bool:
    """Whether a run that never ended is known to be dead: its process was on this host and is gone."""
    if started.get("host") != socket.gethostname() or not isinstance(started.get("pid"), int):
        return False
    try:
        os.kill(started["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


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
    )


def _print_result(found: Result, output_format: str) -> None:
    from xai_ray.reports.arrow import arrow_bytes
    from xai_ray.reports.tables import result_tables, write_csv

    if output_format == "json":
        _print_json(found.to_document())
    elif output_format == "csv":
        write_csv(found, sys.stdout)
    elif output_format == "arrow":
        sys.stdout.buffer.write(arrow_bytes(found))
    else:
        Console().print(result_tables(found))


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        head, *rest = row.items()
        typer.echo(head[1])
        for key, value in rest:
            typer.echo(f"    {key}: {', '.join(map(str, value)) if isinstance(value, list) else value}")


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _endings() -> Iterator[None]:
    """Errors as a line on stderr and an exit code."""
    try:
        yield
    except XaiRayError as error:
        _say(f"xai-ray: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("xai-ray: interrupted")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of stdout went away (`| head`); nothing is wrong.
        _drop_stdout()
        sys.exit(0)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EFBIG):
            raise
        _drop_stdout()
        _say(f"xai-ray: cannot write to stdout: {error.strerror}")
        sys.exit(1)


def _drop_stdout() -> None:
    """What is still buffered would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Entry point of `xai-ray`."""
    with _endings():
        try:
            app()
        finally:
            sys.stdout.flush()


if __name__ == "__main__":
    main()
