"""Jobs whose inputs have players of their own: their plan, the stage that a run works on, and what `check` prints."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from xai_ray.coalitions import EachInput
from xai_ray.engine.each_reading import kept_values
from xai_ray.engine.each_units import EachTask, planned
from xai_ray.engine.identity import check_same_dataset
from xai_ray.engine.job import design_of
from xai_ray.engine.stages import begun, stage_with, stages
from xai_ray.errors import InputError, SpecError, UnknownName, XaiRayError
from xai_ray.estimators import Plan
from xai_ray.stores import Manifest, Store
from xai_ray.text_games import TextGames


def planned_each(games: TextGames, budget: Mapping[str, Any], seed: int) -> tuple[EachTask, Plan]:
    """What the workers get, and the plan. Every input is tried on: what it raises for the budget or the input names the row."""
    task = EachTask(games, seed, (dict(budget),))
    sizes_of(task)
    return task, Plan(games.asks, EachInput(games.n_inputs, seed), games.n_inputs)


def sizes_of(task: EachTask) -> list[tuple[int, int]]:
    """Players of each input, and the evaluations that it may take. Raises what `planned` raises, with the row unless no input can be
    planned and all say the same, which is the spec's mistake.
    """
    games, known, out = task.inputs, dict[int, int](), list[tuple[int, int]]()
    # Laying out a text means to tokenise it, and `check` asks for what planning asked before.
    key = json.dumps([task.stages[-1], task.seed], sort_keys=True)
    if key in games.sizes:
        return games.sizes[key]
    failed: tuple[int, XaiRayError] | None = None
    for at in range(games.n_inputs):
        try:
            sized = games.sized(at)
        except InputError as error:
            raise InputError(f"{games.name(at)}: {error}") from error
        n = sized.n_players
        try:
            if n not in known:
                asks = games.asks_of(sized)
                known[n] = planned(asks, n, task.stages[-1], task.seed, games.stochastic)[0].evaluations
        except XaiRayError as error:
            failed = failed or (at, error)
            if str(error) == str(failed[1]) and not out:
                continue
        if failed is not None:
            raise _named(games.name(failed[0]), failed[1]) from failed[1]
        out.append((n, known[n]))
    if failed is not None:
        raise failed[1]
    games.sizes[key] = out
    return out


def _named(name: str, error: XaiRayError) -> XaiRayError:
    """The error with the name of the row, of a class that is made of a message."""
    kind = SpecError if isinstance(error, UnknownName) else type(error)
    return kind(f"{name}: {error}")


def texts_of(game: Any) -> dict[str, Any]:
    """What a manifest says of the texts, so that changed ones can be told from a changed model; nothing for other games."""
    if not isinstance(game, EachTask):
        return {}
    games: TextGames = game.inputs
    ids = None if games.ids is None else list(games.ids)
    said = {"rows": games.n_inputs, "first": games.start, "digest": games.texts_digest, "ids": ids}
    return {"dataset": said}


def task_of(manifest: Manifest, games: TextGames, place: Store) -> EachTask:
    """What the units of a stored job are evaluated with, with all its stages and no kept values."""
    return EachTask(games, manifest.document["seed"], tuple(stages(place, manifest.job)))


def checked_each(task: EachTask, budget: Mapping[str, Any], place: Store, manifest: Manifest) -> EachTask:
    """The task; a budget that begins a stage is tried on every input first, see `sizes_of`."""
    if stage_with(place, manifest.job, budget) is None:
        sizes_of(replace(task, stages=(dict(budget),)))
    return task


def staged(manifest: Manifest, task: EachTask, budget: Mapping[str, Any], place: Store) -> tuple[EachTask, int]:
    """The task of a run with this budget for each input, and the draws up to the end of its stage: that of an earlier run, or a new one,
    which goes on from the values of earlier ones. The job must be in the store.
    """
    design = design_of(manifest)
    assert isinstance(design, EachInput)
    stage = begun(place, manifest.job, budget)
    first = stage * design.inputs
    kept = kept_values(place, manifest, design, first) if stage else None
    return replace(task, stages=tuple(stages(place, manifest.job)), kept=kept), first + design.inputs


def check_same_texts(manifest: Manifest, game: Any) -> None:
    """DigestMismatch that says how the texts differ from those that a job began with."""
    if isinstance(game, EachTask):
        games: TextGames = game.inputs
        check_same_dataset(manifest, games.n_inputs, games.texts_digest, games.ids, "texts")


def describe_each(task: EachTask) -> dict[str, Any]:
    """The lines of `check` that a job of texts has of its own. Times a batch of the first text after one that warms up."""
    games: TextGames = task.inputs
    sizes = sizes_of(task)
    players, takes = [n for n, _ in sizes], [e for _, e in sizes]
    total, ruled = sum(takes), "at most " if {*task.stages[-1]} - {"evaluations"} else ""
    seconds = _seconds_per_evaluation(games)
    return {
        "texts": f"{games.n_inputs}, a unit each",
        "players": f"{min(players)} to {max(players)} a text",
        "evaluations": f"{ruled}{min(takes):,} to {max(takes):,} a text, {ruled}{total:,} in all",
        "units": games.n_inputs,
        "batch": f"{games.block} coalitions",
        "expected": f"{total * seconds:.3g} s on one worker, if texts are as long as the first",
    }


def _seconds_per_evaluation(games: TextGames) -> float:
    game = games.first
    coalitions = np.random.default_rng(0).random((game.block, game.n_players)) < 0.5
    context = np.zeros(game.block, dtype=np.int64)
    game.values(coalitions, context)
    began = time.perf_counter()
    game.values(coalitions, context)
    return max(time.perf_counter() - began, 1e-9) / game.block


def check_settings(unit_rows: int | None) -> None:
    """SpecError for settings of datasets whose rows share their players."""
    if unit_rows is not None:
        raise SpecError(
            "compute.unit_rows is for rows that share their players; each text is a unit by itself: leave it out"
        )
