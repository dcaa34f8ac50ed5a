"""Commands about what a job found: result, report, replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xai_ray.commands.asking import Asked, answered
from xai_ray.commands.options import AskedCluster, JobId, StoreUrl
from xai_ray.errors import SpecError
from xai_ray.launch import check_same_game, spec_of, with_points, write_report
from xai_ray.stores import open_store
from xai_ray.talk import print_json, print_overall, print_result, say

if TYPE_CHECKING:
    from xai_ray.reports import Result


def result(
    job: JobId,
    store: StoreUrl = "runs",
    address: AskedCluster = None,
    output_format: Annotated[
        Literal["table", "json", "csv", "arrow"], typer.Option("--format", help="What stdout carries.")
    ] = "table",
    ask: Annotated[
        str | None,
        typer.Option(help="Another index from the stored values: an index, or one with parameters, as Beta(4,1)."),
    ] = None,
    order: Annotated[int | None, typer.Option(min=1, help="Order of the asked index.")] = None,
    estimator: Annotated[str | None, typer.Option(help="Estimator of the asked index; default auto.")] = None,
    contexts: Annotated[str | None, typer.Option(help="Context sizes of the asked index, as 0,12,24.")] = None,
    pairs: Annotated[str | None, typer.Option(help="Only these pairs, as JSON: [[0,1],[0,2]].")] = None,
    players: Annotated[
        str | None, typer.Option(help='Only these players of a semivalue, as JSON: [0,3] or ["age"].')
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(help="Groups of the Owen value, or the set of a multivariate index, as JSON: [[0,1],[2]]."),
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Weights of a semivalue by size, as JSON: [0.5,0.5].")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Of a job that is not finished: from what is committed.")
    ] = False,
    overall: Annotated[
        bool,
        typer.Option("--global", help="Of a dataset job: mean |value| and mean value over all rows, with error bars."),
    ] = False,
    row: Annotated[
        int | None, typer.Option(min=0, help="Of a job of texts: one of them, by its number in the file, from 0.")
    ] = None,
    bands: Annotated[
        bool, typer.Option("--bands", help="With --format json: half widths of simultaneous 95 % bands as well.")
    ] = False,
) -> None:
    """The estimates of a job; with --ask another index from its stored values, without a new evaluation."""
    if bands and overall:
        raise SpecError("--bands goes with the estimates of a job, not with --global; leave one of them out")
    if bands and output_format != "json":
        raise SpecError(f"--bands goes with --format json, not {output_format}")
    asked = Asked(order, estimator, contexts, pairs, groups, weights, players)
    if ask is None and asked.given():
        raise SpecError(f"{asked.given()[0]} belongs to a question: give --ask INDEX too")
    found = _opened(job, store, address, partial)
    if row is not None:
        found = _row_of(found, row)
    if ask is not None:
        found = answered(found, ask, asked)
    if overall:
        if found.rows is None:
            other = "one input" if found.texts is None else "texts, which share no players"
            raise SpecError(f"--global is of rows of a dataset, and job {job} explains {other}; leave it out")
        print_overall(found.rows, output_format)
        return
    print_result(found, output_format, bands)


def report(
    job: JobId,
    store: StoreUrl = "runs",
    address: AskedCluster = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
    partial: Annotated[bool, typer.Option("--partial", help="Of a job that is not finished.")] = False,
    curves: Annotated[
        int,
        typer.Option(
            min=0,
            max=100,
            help="Of training points: remove and add them by value and in this many random orders. Trains models; 0: none.",
        ),
    ] = 0,
    row: Annotated[
        int | None, typer.Option(min=0, help="Of a job of texts: which of them, by its number in the file, from 0.")
    ] = None,
    no_data: Annotated[
        bool,
        typer.Option("--no-data", help="Of training points: from the store alone, without reading the data again."),
    ] = False,
) -> None:
    """Write the self-contained HTML report of a job."""
    if curves and no_data:
        raise SpecError("--curves trains models on the data, which --no-data leaves out; give one of them")
    found = _opened(job, store, address, partial)
    if row is not None:
        found = _row_of(found, row)
    elif found.texts is not None:
        raise SpecError(
            f"job {job} explains {found.texts.n_inputs} texts: say of which with --row, its number in the file; `result` has all"
        )
    if not no_data:
        found = with_points(found, open_store(store))
    say(f"wrote {write_report(found, out, curves)}")


def replay(
    job: JobId,
    unit: Annotated[int | None, typer.Option(help="Number of the unit in canonical order, from 0.")] = None,
    log: Annotated[
        bool, typer.Option("--log", help="What the scheduler was told and did, run by run, as JSON.")
    ] = False,
    store: StoreUrl = "runs",
) -> None:
    """Compute one unit again here and compare it with its record, if it has one; or replay the scheduler's event log."""
    if (unit is None) != log:
        raise SpecError("replay needs one of --unit NUMBER and --log")
    if unit is not None:
        _replay_unit(job, unit, store)
        return
    from xai_ray.engine.replay import replay_log

    place = open_store(store)
    place.manifest(job)
    found = replay_log(place.events(job, "schedule"))
    print_json([run.document() for run in found])
    if not found:
        say(f"job {job} has no log of a scheduler; runs on Ray write one")


def _opened(job: str, store: str, address: str | None, partial: bool) -> Result:
    place = open_store(store)
    if address is not None:
        from xai_ray.client import Client

        return Client(address, place).job(job).result(0, partial=partial)
    from xai_ray.api import open_result

    return open_result(job, place, partial=partial)


def _row_of(found: Result, row: int) -> Result:
    if found.texts is None:
        raise SpecError(f"--row is of jobs of texts, and job {found.job} is none; leave it out")
    return found.texts.numbered(row)


def _replay_unit(job: str, unit: int, store: str) -> None:
    from xai_ray.build import game_of
    from xai_ray.each_jobs import task_of
    from xai_ray.engine import evaluate
    from xai_ray.engine.job import design_of
    from xai_ray.engine.units import Units
    from xai_ray.row_jobs import job_game
    from xai_ray.text_games import TextGames

    place = open_store(store)
    manifest = place.manifest(job)
    units = Units(place.segments(job))
    if not 0 <= unit < len(units):
        raise SpecError(f"--unit {unit}: job {job} has units 0..{len(units) - 1}")
    # One that kills its workers has no record: it is evaluated here to see what it does.
    there = units[unit] in place.committed(job)
    stored = next(iter(place.records(job, [units[unit]]))) if there else None
    game = game_of(*spec_of(manifest))
    game = task_of(manifest, game, place) if isinstance(game, TextGames) else job_game(manifest, game)
    check_same_game(manifest, game)
    again = evaluate(units[unit], game, design_of(manifest))
    same = None if stored is None else again.values.tobytes() == stored.values.tobytes()
    print_json(
        {
            "job": job,
            "unit": unit,
            "draws": [units[unit].start, units[unit].stop],
            "evaluations": again.facts["evaluations"],
            "same_bits": same,
            "largest_difference": None if stored is None else float(abs(again.values - stored.values).max()),
        }
    )
    if stored is None:
        say(f"unit {unit} of job {job} has no record to compare with; it was evaluated here without an error")
    if same is False:
        raise typer.Exit(1)
