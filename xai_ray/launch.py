"""Running jobs from specs: what `run`, `resume` and `extend` share."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from xai_ray.errors import Cancelled, DigestMismatch, SpecError
from xai_ray.stores import open_store
from xai_ray.talk import print_result, say

if TYPE_CHECKING:
    from xai_ray.engine.job import Finished
    from xai_ray.games import Game
    from xai_ray.reports import Result
    from xai_ray.spec import Spec
    from xai_ray.stores import Manifest, Store


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


def execute(spec: Spec, base: Path, where: Where, job: str | None = None, anew: bool = False) -> None:
    """Run a spec, or bring the stored `job` to the spec's budget; writes and prints the result. Raises typer.Exit(4) when imprecise.

    With `anew`, where the clock ended an earlier run with the same limits does not count.
    """
    from xai_ray.api import asks_of, engine_of, result_of
    from xai_ray.build import game_of, manifest_for, prepare, stop_of
    from xai_ray.engine.job import Run, design_of, versions
    from xai_ray.progress import Bar

    place = open_store(where.store)
    if job is None:
        prepared = prepare(spec, base)
        manifest, game = manifest_for(prepared), prepared.game
        asks, draws = prepared.plan.asks, prepared.plan.draws
    else:
        # A stored job keeps the design and the estimators that it began with, so nothing is planned again.
        manifest, game = place.manifest(job), game_of(spec, base)
        check_same_game(manifest, game)
        if manifest.document["versions"] != versions() and not where.quiet:
            say(f"note: the job began with {manifest.document['versions']}, here is {versions()}; last bits may differ")
        asks, draws = asks_of(manifest), design_of(manifest).affordable(_count(spec, manifest))
        stop_of(spec).check([a.question for a in asks], game.n_players, "budget.")
    bar = Bar(quiet=where.quiet)
    attempt = Run(
        manifest=manifest,
        game=game,
        asks=asks,
        draws=draws,
        store=place,
        engine=engine_of(where.engine, where.actors, where.address),
        stop=stop_of(spec),
        watcher=bar,
        recompute=where.recompute,
        anew=anew,
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
    )


def _conclude(finished: Finished, found: Result, where: Where) -> None:
    if where.out is not None:
        for path in found.save(where.out):
            say(f"wrote {path}")
    print_result(found, "table")
    if not where.quiet:
        say(f"job {found.job}: {found.evaluations} evaluations, {finished.new_evaluations} of them new")
    if not finished.precise:
        spent = "time" if finished.ending["by"] == "seconds" else "budget"
        say(
            f"the {spent} ended before the asked precision: {'; '.join(finished.ending['open'])}; "
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
    if stored.document["identity"]["game"] != game.digest:
        raise DigestMismatch(
            f"job {stored.job}: its spec now builds another game (the input, the model's weights or the code that makes them changed "
            f"since {stored.digest[:10]}); run the spec again as a new job, or restore what it used"
        )


def last_budget(store: Store, job: str) -> dict[str, Any]:
    """The budget of the newest run of a job."""
    from xai_ray.estimators import Stop

    started = [e for e in store.events(job) if e.get("event") == "started"]
    if started:
        return {"evaluations": started[-1]["evaluations"], **Stop.of(started[-1]).document()}
    return dict(store.manifest(job).document["spec"]["budget"])


def unspent(store: Store, job: str) -> bool:
    """Whether the newest run of a job ended before its budget."""
    outcome = store.outcome(job) or {}
    return outcome.get("stop", {}).get("by") in ("rules", "seconds")


def with_budget(spec: Spec, budget: dict[str, Any]) -> Spec:
    """The same spec with another budget; one that asks for all coalitions goes on asking for them."""
    from xai_ray.spec import Budget

    evaluations = "exact" if spec.budget.evaluations == "exact" else budget["evaluations"]
    return spec.model_copy(update={"budget": Budget.model_validate({**budget, "evaluations": evaluations})})


def _count(spec: Spec, manifest: Manifest) -> int:
    from xai_ray.engine.job import design_of

    design = design_of(manifest)
    if spec.budget.evaluations == "exact":
        return 1 << design.n_players
    return spec.budget.evaluations
