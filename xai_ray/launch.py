"""Running jobs from specs: what `run`, `resume`, `extend` and the driver of a submitted job share."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from xai_ray.errors import Cancelled, DigestMismatch, InputError, SpecError
from xai_ray.stores import open_store
from xai_ray.talk import print_result, say

if TYPE_CHECKING:
    from xai_ray.engine import Engine
    from xai_ray.engine.job import Finished, Run
    from xai_ray.engine.watching import Watcher
    from xai_ray.games import Game
    from xai_ray.reports import Result
    from xai_ray.spec import Spec
    from xai_ray.stores import Manifest, Store


_WITHOUT = "--no-data (data=False) reports from the store alone"


@dataclass(frozen=True, slots=True)
class Where:
    """Where a run works and what it writes: nothing of it is part of the answer."""

    store: str
    engine: str
    address: str | None
    actors: int | None
    out: Path | None
    recompute: bool
    quiet: bool
    skip_killers: bool = False
    priority: float = 1.0


def execute(
    spec: Spec, base: Path, where: Where, job: str | None = None, anew: bool = False, engine: Engine | None = None
) -> None:
    """Run a spec, or bring the stored `job` to the spec's budget; writes and prints the result. Raises typer.Exit(4) when imprecise.

    With `anew`, where the clock ended an earlier run with the same limits does not count. `engine` replaces the one that is named.
    """
    from xai_ray.api import engine_of, result_of
    from xai_ray.describing import memory_text
    from xai_ray.progress import Bar
    from xai_ray.reports.row_parts import parts_of
    from xai_ray.text_games import holds_texts

    place = open_store(where.store)
    if not where.quiet:
        warn_of(place)
    bar = Bar(where.quiet, "texts" if holds_texts(spec) else "evaluations")

    def workers() -> Engine:
        return engine or engine_of(where.engine, where.actors, where.address, where.priority)

    if job is None:
        attempt = new_run(spec, base, place, workers, bar)
    else:
        attempt = stored_run(spec, base, place, workers, bar, job, note=not where.quiet)
    attempt.recompute, attempt.anew, attempt.skip_killers = where.recompute, anew, where.skip_killers
    parts = parts_of(place, attempt.manifest, where.out)
    if parts is not None:
        attempt.landed = parts.write
        if not where.quiet:
            say(f"rows go to {parts.folder} as they are finished")
    if not where.quiet and (memory := memory_text(attempt.game)):
        say(f"memory: {memory}")
    began = time.perf_counter()
    try:
        with bar:
            finished = run_to_end(attempt)
    except KeyboardInterrupt:
        command = f"xai-ray resume {attempt.manifest.job}" + (f" --store {place.url}" if where.store != "runs" else "")
        raise Cancelled(f"interrupted; what was committed stays, go on with: {command}") from None
    found = result_of(finished, attempt.game, seconds=time.perf_counter() - began, engine=where.engine, store=place.url)
    if where.out is not None:
        for path in found.save(where.out):
            say(f"wrote {path}")
    if parts is not None:
        parts.remove()
    _conclude(finished, found, where)


def warn_of(store: Store) -> None:
    """Say on stderr which settings of a store put records at risk."""
    for warning in store.warnings():
        say(f"note: {store.url}: {warning}")


def new_run(
    spec: Spec, base: Path, place: Store, engine: Callable[[], Engine], watcher: Watcher, game: Game | None = None
) -> Run:
    """A run of a spec that is planned here, with its game where that is made already."""
    from xai_ray.build import manifest_for, prepare, stop_of
    from xai_ray.each_jobs import staged
    from xai_ray.engine.each_units import EachTask
    from xai_ray.engine.job import Run

    prepared = prepare(spec, base, game)
    manifest, own, draws = manifest_for(prepared), prepared.game, prepared.plan.draws
    if isinstance(own, EachTask):
        own, draws = staged(place.open(manifest), own, spec.budget.model_dump(), place)
    return Run(
        manifest=manifest,
        game=own,
        asks=prepared.plan.asks,
        draws=draws,
        store=place,
        engine=engine(),
        stop=stop_of(spec),
        watcher=watcher,
    )


def stored_run(
    spec: Spec,
    base: Path,
    place: Store,
    engine: Callable[[], Engine],
    watcher: Watcher,
    job: str,
    note: bool = False,
) -> Run:
    """A run that brings a stored job to the budget of `spec`. The job keeps the design and the estimators that it began with."""
    from xai_ray.build import game_of

    manifest, game = place.manifest(job), game_of(spec, base)
    return continued(manifest, game, spec.budget.model_dump(), place, engine, watcher, note)


def continued(
    manifest: Manifest,
    game: Game,
    budget: dict[str, Any],
    place: Store,
    engine: Callable[[], Engine],
    watcher: Watcher,
    note: bool = False,
) -> Run:
    """A run of a stored job with this game. Raises DigestMismatch if it is another one than the job began with."""
    from xai_ray.api import asks_of
    from xai_ray.coalitions import RowBlocks
    from xai_ray.each_jobs import checked_each, staged, task_of
    from xai_ray.engine.each_units import EachTask
    from xai_ray.engine.job import Run, design_of, versions
    from xai_ray.estimators import Stop
    from xai_ray.row_jobs import job_game
    from xai_ray.text_games import TextGames

    stop = Stop.of(budget)
    game = job_game(manifest, game, stop) if not isinstance(game, TextGames) else task_of(manifest, game, place)
    check_same_game(manifest, game)
    if manifest.document["versions"] != versions() and note:
        say(f"note: the job began with {manifest.document['versions']}, here is {versions()}; last bits may differ")
    asks, design = asks_of(manifest), design_of(manifest)
    if isinstance(game, EachTask):
        game, count = staged(manifest, checked_each(game, budget, place, manifest), budget, place)
    else:
        stop.check(asks, game.n_players, "budget.")
        count = 1 << design.n_players if budget["evaluations"] == "exact" else budget["evaluations"]
    if isinstance(design, RowBlocks):
        count = design.evaluations(design.rows)
    return Run(
        manifest=manifest,
        game=game,
        asks=asks,
        draws=design.affordable(count),
        store=place,
        engine=engine(),
        stop=stop,
        watcher=watcher,
    )


def run_to_end(attempt: Run) -> Finished:
    """Execute a run; SIGTERM ends it like Ctrl-C. Raises KeyboardInterrupt."""
    with _Terminable():
        return attempt.execute()


def _conclude(finished: Finished, found: Result, where: Where) -> None:
    from xai_ray.estimators.agreement import agreement_words
    from xai_ray.reports.wording import check_words

    print_result(found, "table")
    if not where.quiet:
        agrees = agreement_words(found.rank_agreement)
        new = f"job {found.job}: {found.evaluations} evaluations, {finished.new_evaluations} of them new"
        if (count := found.inputs_told) is not None:
            new = f"job {found.job}: {count}, {found.evaluations} evaluations"
        say(f"{new}; {agrees}" if agrees else new)
    for warning in check_words(finished.self_check or {})[1:]:
        say(warning)
    if not finished.precise:
        say(imprecise_words(found.job, finished.ending, found.rows is not None))
        raise typer.Exit(4)


def imprecise_words(job: str, ending: dict[str, Any], rows: bool = False) -> str:
    """Why a run ended before the precision that was asked for, and how to go on."""
    spent = "time" if ending["by"] == "seconds" else "budget"
    remedy = f"xai-ray extend {job} --evaluations N goes on"
    if rows:
        remedy = f"xai-ray resume {job} goes on" if spent == "time" else "run the spec with more evaluations a row"
    return f"the {spent} ended before the asked precision: {'; '.join(ending['open'])}; {remedy}"


class _Terminable:
    """SIGTERM ends a run like Ctrl-C: workers are released, the job can be resumed. Threads cannot hear signals."""

    def __enter__(self) -> None:
        def interrupt(number: int, frame: Any) -> None:
            raise KeyboardInterrupt

        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGTERM, interrupt)

    def __exit__(self, *exc: object) -> None:
        if self._main:
            signal.signal(signal.SIGTERM, self._before)


def spec_of(manifest: Manifest) -> tuple[Spec, Path]:
    """The spec of a stored job and the folder its paths start from. Raises SpecError for a job from Python objects."""
    from xai_ray.spec import parse

    if manifest.document.get("spec") is None:
        raise SpecError(
            f"job {manifest.job} was started from Python objects, which a store does not keep; "
            "call explain(...) with the same game and store to go on"
        )
    return parse(manifest.document["spec"], f"spec of job {manifest.job}"), Path(manifest.document["base"])


def check_same_game(stored: Manifest, game: Game) -> None:
    """Raise DigestMismatch when the spec of a job no longer builds the game that the job began with."""
    from xai_ray.each_jobs import check_same_texts
    from xai_ray.row_jobs import check_same_rows

    check_same_rows(stored, game)
    check_same_texts(stored, game)
    if stored.document["identity"]["game"] != game.digest:
        raise DigestMismatch(
            f"job {stored.job}: its spec now builds another game (the input, the model's weights or the code that makes them changed "
            f"since {stored.digest[:10]}); run the spec again as a new job, or restore what it used"
        )


def write_report(found: Result, out: Path, curves: int = 0) -> Path:
    """Write the HTML report of a result; with `curves` random orders, that of a valuation with curves, for which models are trained.

    Raises SpecError for curves of something else, StoreError when the file cannot be written.
    """
    from xai_ray.reports.html import render_report
    from xai_ray.reports.training import check_curves, models_of_curves
    from xai_ray.reports.value_report import value_report, written_page

    if not curves:
        return written_page(render_report(found), out)
    check_curves(curves, found)
    say(f"training at most {models_of_curves(found, curves):,} models for the curves")
    return value_report(found, out, curves=curves)


def with_points(found: Result, store: Store) -> Result:
    """The result of a stored valuation with its game, built from the job's spec; others as they are.

    Raises DigestMismatch when the data or the estimator changed since, InputError when they are not within reach.
    """
    from xai_ray.build import game_of
    from xai_ray.reports.training import values_training_points

    manifest = store.manifest(found.job)
    if manifest.document.get("spec") is None or not values_training_points(found):
        return found
    try:
        game = game_of(*spec_of(manifest))
        check_same_game(manifest, game)
    except DigestMismatch as error:
        raise DigestMismatch(f"{error}; {_WITHOUT}") from None
    except SpecError as error:
        raise InputError(f"{error}; {_WITHOUT}, without texts, pictures and curves") from None
    return replace(found, game=game)
