"""Dataset jobs of specs and of Python objects: their plan, the game that workers get, and what `check` prints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from xai_ray.coalitions import RowBlocks
from xai_ray.engine.identity import check_same_dataset
from xai_ray.engine.row_reading import asks_of
from xai_ray.engine.row_units import RowTask
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask, Plan, Stop
from xai_ray.estimators.row_plan import plan_rows
from xai_ray.games import Game, RowsGame
from xai_ray.stores import Manifest

MOST_IDS = 1_000_000
"""Rows whose names a manifest holds."""


def planned_rows(
    game: RowsGame,
    asks: Sequence[Ask],
    evaluations: int | None,
    seed: int,
    stop: Stop,
    unit_rows: int | None = None,
    where: str = "",
) -> tuple[RowTask, Plan]:
    """What the workers get, and the plan; `evaluations` of v for each row, None for all. `where` begins the names of the stop rules."""
    planned = plan_rows(
        asks,
        game.n_players,
        game.n_rows,
        evaluations,
        seed,
        stochastic=game.stochastic,
        numbers=game.fillings * game.parts * prod(game.rows.shape[1:]),
        unit_rows=unit_rows,
        parts=game.parts,
    )
    stop.check(planned.asks, game.n_players, where)
    return RowTask(game, planned.asks, stop), planned


def dataset_of(game: Game) -> dict[str, Any]:
    """What a manifest says of a dataset, so that a changed one can be told from a changed model; nothing for other games."""
    if not isinstance(game, RowTask):
        return {}
    rows: RowsGame = game.rows
    if rows.row_ids is not None and rows.n_rows > MOST_IDS:
        raise SpecError(
            f"names of rows are kept for up to {MOST_IDS:,} rows, there are {rows.n_rows:,}; leave them out and join on the row's number"
        )
    ids = None if rows.row_ids is None else list(rows.row_ids)
    said = {"rows": rows.n_rows, "digest": rows.rows_digest, "classes": list(rows.class_names), "ids": ids}
    return {"dataset": said}


def job_game(manifest: Manifest, game: Game, stop: Stop | None = None) -> Game:
    """The game that the units of a stored job are evaluated with: of a dataset, with the questions and precisions of each row."""
    if not isinstance(game, RowsGame):
        return game
    budget = (manifest.document.get("spec") or manifest.document)["budget"]
    return RowTask(game, asks_of(manifest), stop or Stop.of(budget))


def check_same_rows(manifest: Manifest, game: Game) -> None:
    """DigestMismatch that says how a dataset differs from the one that a job began with."""
    if isinstance(game, RowTask):
        check_same_dataset(manifest, game.rows.n_rows, game.rows.rows_digest, game.rows.row_ids, "rows")


def describe_rows(task: RowTask, planned: Plan) -> dict[str, Any]:
    """The lines of `check` that a dataset job has of its own. Times a batch after one that warms up."""
    game, design = task.rows, planned.design
    assert isinstance(design, RowBlocks)
    seconds = _seconds_per_evaluation(game) * game.parts
    total = design.evaluations(design.rows)
    ruled = "at most " if task.stop.rules else ""
    return {
        "rows": f"{design.rows}, {design.block} a unit",
        "evaluations": f"{ruled}{design.budget} a row, {ruled}{total:,} in all",
        "units": -(-design.rows // design.block),
        "batch": f"{game.block} pairs of a row and a coalition, {game.block * game.fillings} model rows",
        "expected": f"{total * seconds:.3g} s on one worker ({1 / seconds / design.budget:.4g} rows a second)",
    }


def _seconds_per_evaluation(game: RowsGame) -> float:
    rng = np.random.default_rng(0)
    rows = np.arange(game.block, dtype=np.int64) % game.n_rows
    coalitions, context = rng.random((game.block, game.n_players)) < 0.5, np.zeros(game.block, dtype=np.int64)
    game.row_values(rows, coalitions, context)
    began = time.perf_counter()
    game.row_values(rows, coalitions, context)
    return max(time.perf_counter() - began, 1e-9) / game.block
