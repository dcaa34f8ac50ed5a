"""The Python door: explain a game in this process or on Ray, and open the results of stored jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

from xai_ray.closed_forms import answer_plan, closed_form_game
from xai_ray.engine import Engine, InlineEngine
from xai_ray.engine.job import Finished, Run, committed_prefix, convergence, manifest_of, read_pool
from xai_ray.engine.row_reading import asks_of
from xai_ray.engine.watching import Silent, Watcher
from xai_ray.errors import NotEnoughSamples, SpecError, StoreError
from xai_ray.estimators import Ask, EachPool, PiecePool, Plan, RowPool, Stop, plan
from xai_ray.estimators.closed_sets import CLOSED_FORM
from xai_ray.games.protocol import Game
from xai_ray.games.view import View
from xai_ray.indices import Question, player_numbers
from xai_ray.reports import Result
from xai_ray.reports.each_result import EachResult
from xai_ray.reports.rows_result import RowsResult
from xai_ray.stores import Manifest, MemoryStore, Store, open_store
from xai_ray.valuation.shown import shown_by


def explain(
    game: Game,
    index: str = "SV",
    *,
    budget: int | Literal["exact"],
    order: int | None = None,
    estimator: str = "auto",
    contexts: Sequence[int] | None = None,
    pairs: Sequence[tuple[int, int]] | None = None,
    p: float | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    weights: Sequence[float] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    split: str | None = None,
    asks: Sequence[Ask] | None = None,
    seed: int = 0,
    std_error: float | None = None,
    relative_error: float | None = None,
    top: int | None = None,
    ranking: float | None = None,
    seconds: float | None = None,
    bottom: int | None = None,
    signs: float | None = None,
    engine: Engine | Literal["inline", "ray"] = "inline",
    store: Store | str | None = None,
    name: str = "explain",
    recompute: bool = False,
    watcher: Watcher | None = None,
    players: Sequence[int | str] | None = None,
) -> Result:
    """Estimate an index of a game with standard errors.

    `order`, `contexts`, `pairs`, `p`, `alpha`, `beta`, `weights`, `groups` and `split` are the parameters of the index, as in `Question`.
    `players`, by number or by name, asks for these alone.
    `budget` counts evaluations of v and is never exceeded; "exact" takes all 2^n. `asks` puts several questions to one pool of
    evaluations, instead of `index` and its parameters.

    A run ends before its budget at the first boundary where all the precisions that are asked hold for every question and output:
    `std_error`, the largest standard error, in units of v; `relative_error`, the same as a share of the spread (largest minus
    smallest value); `top`, the number of largest values (of pairs and larger sets: largest absolute values) that are told from the
    rest with 95 % confidence; `bottom`, the same of the smallest; `ranking`, True or the share of neighbours in that ranking that are
    told apart; `signs`, True for every value told from 0, or the share of their range at which a standard error will do instead.
    `seconds` ends it in any case at the last boundary before the time is over, or at the first that has an estimate.
    `provenance["stop"]` says why it ended.

    With a `store` the run survives anything: the same call goes on where it ended, to the same bits;
    `recompute` discards records that are damaged and evaluates them again, instead of raising CorruptRecord.

    Raises SpecError (what was asked does not go together), BudgetTooSmall, NonFiniteValue, ModelOutputError, StoreError.
    """
    _check_budget(budget)
    if asks is None:
        question = Question(
            index,
            order,
            None if contexts is None else tuple(contexts),
            None if pairs is None else tuple((int(i), int(j)) for i, j in pairs),
            p=p,
            alpha=alpha,
            beta=beta,
            weights=None if weights is None else tuple(weights),
            groups=None if groups is None else tuple(tuple(group) for group in groups),
            split=split,
            players=player_numbers(players, game.player_names, "players"),
        )
        asks = [Ask(question, estimator)]
    stop = Stop(std_error, relative_error, top, ranking, seconds, bottom, signs)
    if any(ask.estimator == CLOSED_FORM for ask in asks):
        game = closed_form_game(game, asks)
        planned = answer_plan(game, stop)
    else:
        planned = plan(asks, game.n_players, None if budget == "exact" else budget, seed, game.stochastic)
        stop.check(planned.asks, game.n_players)
    document = {"budget": {"evaluations": budget, **stop.document()}, "seed": seed}
    manifest = manifest_of(name, game, planned, document)
    return run_planned(manifest, game, planned, stop, engine, store, recompute, watcher)


def run_planned(
    manifest: Manifest,
    game: Game,
    planned: Plan,
    stop: Stop,
    engine: Engine | Literal["inline", "ray"],
    store: Store | str | None,
    recompute: bool,
    watcher: Watcher | None,
) -> Result:
    """Run a plan to its end, in memory or in a store; see `explain`."""
    place = store if store is not None else MemoryStore()
    run = Run(
        manifest=manifest,
        game=game,
        asks=planned.asks,
        draws=planned.draws,
        store=open_store(place) if isinstance(place, str) else place,
        engine=engine_of(engine),
        stop=stop,
        watcher=watcher or Silent(),
        recompute=recompute,
    )
    began = time.perf_counter()
    finished = run.execute()
    return result_of(finished, game, seconds=time.perf_counter() - began, engine=type(run.engine).__name__)


def open_result(job: str, store: Store | str, *, partial: bool = False) -> Result:
    """The result of a stored job, computed from its values. With `partial`, of a job that is not finished: from the longest prefix
    that is committed. Raises StoreError, NotEnoughSamples.
    """
    place = open_store(store) if isinstance(store, str) else store
    manifest = place.manifest(job)
    outcome = place.outcome(job) or {}
    design_draws = committed_prefix(place, manifest)
    if outcome.get("state") in ("done", "imprecise"):
        from xai_ray.engine.job import design_of

        design_draws = min(design_draws, design_of(manifest).affordable(int(outcome["evaluations"])))
    elif not partial:
        state = outcome.get("state", "not finished")
        raise StoreError(
            f"job {job} is {state}; xai-ray resume {job} finishes it, or ask for what is there with --partial"
        )
    if design_draws < 1:
        raise NotEnoughSamples(f"job {job} has no committed evaluations yet; xai-ray resume {job}")
    pool = read_pool(place, manifest, design_draws)
    asks = asks_of(manifest)
    estimates = tuple(pool.answer(a.question, a.estimator) for a in asks)
    curve = convergence(pool, asks[0], {design_draws: estimates[0]})
    finished = Finished(
        manifest,
        pool,
        estimates,
        curve,
        dict(outcome.get("stop", {})),
        0,
        tuple(outcome.get("notes", ())),
        outcome.get("self_check"),
    )
    return result_of(finished, store=place.url)


def result_of(finished: Finished, game: Game | None = None, **facts: Any) -> Result:
    """What a person reads, from what a run of the game ended with. `facts` go into the provenance."""
    document = finished.manifest.document
    pool = finished.pool
    provenance = {
        "spec": document.get("spec"),
        "identity": document["identity"],
        "versions": document["versions"],
        "evaluations": pool.evaluations,
        **({"told": pool.told()} if isinstance(pool, PiecePool) and pool.told() else {}),
        "precise": finished.precise,
        "stop": finished.ending,
        **({"notes": list(finished.notes)} if finished.notes else {}),
        **({"self_check": finished.self_check} if finished.self_check else {}),
        **facts,
    }
    return Result(
        job=finished.manifest.job,
        digest=finished.manifest.digest,
        players=tuple(document["players"]),
        outputs=tuple(document["outputs"]),
        evaluations=pool.evaluations,
        estimates=finished.estimates,
        ends=pool.ends(),
        view=View.from_document(document["view"]) if document.get("view") else None,
        convergence=finished.convergence,
        provenance=provenance,
        # A model would be kept alive for nothing; training points are shown in reports.
        game=game if shown_by(game) is not None else None,
        asker=pool.answer,
        texts=EachResult.of(finished.manifest, pool, provenance) if isinstance(pool, EachPool) else None,
        rows=RowsResult.of(finished.manifest, pool, provenance, game) if isinstance(pool, RowPool) else None,
    )


def engine_of(
    engine: Engine | str, actors: int | None = None, address: str | None = None, priority: float = 1.0
) -> Engine:
    """An engine by name; jobs on one cluster share it in proportion to `priority`. Ray is imported only for "ray"."""
    if engine == "inline":
        return InlineEngine()
    if engine == "ray":
        from xai_ray.engine import RayEngine

        return RayEngine(actors=actors, address=address, priority=priority)
    if engine == "warm":
        from xai_ray.engine.ray_warm import WarmEngine

        return WarmEngine(address)
    if isinstance(engine, str):
        raise SpecError(f"unknown engine {engine!r}; known: inline, ray, warm")
    return engine


def _check_budget(budget: int | str) -> None:
    if isinstance(budget, str) and budget != "exact":
        raise SpecError(f'budget is a number of evaluations or "exact", got {budget!r}')
