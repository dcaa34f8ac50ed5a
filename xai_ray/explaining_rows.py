"""The Python door of dataset jobs: explain every row of a dataset with one design."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from xai_ray.api import open_result, run_planned
from xai_ray.engine import Engine
from xai_ray.engine.job import manifest_of
from xai_ray.engine.watching import Watcher
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask, Stop
from xai_ray.games.rows.game import RowsGame
from xai_ray.indices import Question
from xai_ray.reports.rows_result import RowsResult
from xai_ray.row_jobs import dataset_of, planned_rows
from xai_ray.stores import Store


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
    signs: float | None = None,
    engine: Engine | Literal["inline", "ray"] = "inline",
    store: Store | str | None = None,
    name: str = "rows",
    unit_rows: int | None = None,
    recompute: bool = False,
    watcher: Watcher | None = None,
) -> RowsResult:
    """Estimate an index for every row of a dataset, with standard errors.

    `budget` counts evaluations of v for each row ("exact": all 2^n). The precisions `std_error`, `relative_error`, `top`, `bottom`,
    `ranking` and `signs` hold for each row: a row that is precise enough takes no further evaluations. `seconds` ends the whole job after
    the rows that were finished by then. All other arguments are those of `xai_ray.explain`.

    `unit_rows` is the number of rows in a unit of work (left out: about a second's, at most 256); it is part of the job.

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
    stop = Stop(std_error, relative_error, top, ranking, seconds, bottom, signs)
    task, planned = planned_rows(game, asks, None if budget == "exact" else budget, seed, stop, unit_rows)
    document = {"budget": {"evaluations": budget, **stop.document()}, "seed": seed, **dataset_of(task)}
    manifest = manifest_of(name, task, planned, document)
    found = run_planned(manifest, task, planned, stop, engine, store, recompute, watcher).rows
    assert found is not None
    return found


def open_rows(job: str, store: Store | str, *, partial: bool = False) -> RowsResult:
    """The rows of a stored dataset job; with `partial`, those that are finished. Raises StoreError, SpecError for another kind of job."""
    found = open_result(job, store, partial=partial).rows
    if found is None:
        raise SpecError(f"job {job} explains no rows that share their players; open_result has it")
    return found
