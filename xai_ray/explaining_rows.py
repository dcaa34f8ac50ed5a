"""The Python door of dataset jobs: explain every row of a dataset with one design."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal

from xai_ray.api import engine_of
from xai_ray.engine import Engine
from xai_ray.engine.job import Finished, Run, manifest_of
from xai_ray.engine.row_units import RowTask
from xai_ray.engine.watching import Silent, Watcher
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask, Plan, RowPool, Stop
from xai_ray.estimators.row_plan import plan_rows
from xai_ray.games.rows import RowsGame
from xai_ray.indices import Question
from xai_ray.reports.rows_result import RowsResult
from xai_ray.stores import Manifest, MemoryStore, Store, open_store


def explain_rows(
    game: RowsGame,
    index: str = "SV",
    *,
    budget: int | Literal["exact"],
    order: int | None = None,
    estimator: str = "auto",
    contexts: Sequence[int] | None = None,
    p: float | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    weights: Sequence[float] | None = None,
    split: str | None = None,
    asks: Sequence[Ask] | None = None,
    seed: int = 0,
    std_error: float | None = None,
    relative_error: float | None = None,
    top: int | None = None,
    ranking: float | None = None,
    seconds: float | None = None,
    bottom: int | None = None,
    engine: Engine | Literal["inline", "ray"] = "inline",
    store: Store | str | None = None,
    name: str = "rows",
    recompute: bool = False,
    watcher: Watcher | None = None,
) -> RowsResult:
    """Estimate an index for every row of a dataset, with standard errors.

    `budget` counts evaluations of v for each row ("exact": all 2^n). The precisions `std_error`, `relative_error`, `top`, `bottom` and
    `ranking` hold for each row: a row that is precise enough takes no further evaluations. `seconds` ends the whole job after the rows
    that were finished by then. All other arguments are those of `xai_ray.explain`.

    With a `store` the run survives anything: the same call goes on where it ended, to the same bits.

    Raises SpecError (what was asked does not go together), BudgetTooSmall, NonFiniteValue, ModelOutputError, StoreError.
    """
    if not isinstance(game, RowsGame):
        raise SpecError(f"explain_rows takes a RowsGame, got {type(game).__name__}; explain takes games of one input")
    if isinstance(budget, str) and budget != "exact":
        raise SpecError(f'budget is a number of evaluations of v for each row or "exact", got {budget!r}')
    if asks is None:
        question = Question(
            index,
            order,
            None if contexts is None else tuple(contexts),
            p=p,
            alpha=alpha,
            beta=beta,
            weights=None if weights is None else tuple(weights),
            split=split,
        )
        asks = [Ask(question, estimator)]
    stop = Stop(std_error, relative_error, top, ranking, seconds, bottom)
    planned = planned_rows(game, asks, None if budget == "exact" else budget, seed, stop)
    document = {"budget": {"evaluations": budget, **stop.document()}, "seed": seed}
    task = RowTask(game, planned.asks, stop)
    place = store if store is not None else MemoryStore()
    run = rows_run(
        rows_manifest(name, task, planned, document),
        task,
        planned.draws,
        open_store(place) if isinstance(place, str) else place,
        engine_of(engine),
        watcher or Silent(),
        recompute,
    )
    began = time.perf_counter()
    finished = run.execute()
    return rows_result(finished, game, seconds=time.perf_counter() - began, engine=type(run.engine).__name__)


def planned_rows(
    game: RowsGame, asks: Sequence[Ask], evaluations: int | None, seed: int, stop: Stop, where: str = ""
) -> Plan:
    """The plan of a dataset job. `where` begins the names of the stop rules in errors."""
    planned = plan_rows(
        asks,
        game.n_players,
        game.n_rows,
        evaluations,
        seed,
        stochastic=game.stochastic,
        numbers=game.fillings * prod(game.rows.shape[1:]),
    )
    stop.check(planned.asks, game.n_players, where)
    return planned


def rows_manifest(name: str, task: RowTask, planned: Plan, document: dict[str, Any]) -> Manifest:
    """The manifest of a dataset job."""
    game = task.rows
    said = {"rows": game.n_rows, "rows_digest": game.rows_digest, "classes": list(game.class_names)}
    return manifest_of(name, task, planned, {**document, "dataset": said})


def rows_run(
    manifest: Manifest, task: RowTask, draws: int, place: Store, engine: Engine, watcher: Watcher, recompute: bool
) -> Run:
    """A run of a dataset job: its precisions are kept by the workers, row by row; only the clock is the run's."""
    return Run(
        manifest=manifest,
        game=task,
        asks=task.asks,
        draws=draws,
        store=place,
        engine=engine,
        stop=Stop(seconds=task.stop.seconds),
        watcher=watcher,
        recompute=recompute,
    )


def rows_result(finished: Finished, game: RowsGame | None = None, **facts: Any) -> RowsResult:
    """What a person reads."""
    document, pool = finished.manifest.document, finished.pool
    assert isinstance(pool, RowPool)
    return RowsResult(
        job=finished.manifest.job,
        digest=finished.manifest.digest,
        players=tuple(document["players"]),
        outputs=tuple(document["outputs"]),
        pool=pool,
        asks=pool.asks,
        classes=tuple(document["dataset"]["classes"]),
        row_ids=None if game is None else game.row_ids,
        provenance={
            "identity": document["identity"],
            "versions": document["versions"],
            "stop": finished.ending,
            "notes": list(finished.notes),
            **facts,
        },
        data=None if game is None else game.rows,
    )


def write(result: RowsResult, directory: str | Path) -> Path:
    """Write `result.arrow` into a folder."""
    from xai_ray.reports.rows_arrow import write_rows

    return write_rows(result, Path(directory) / "result.arrow")
