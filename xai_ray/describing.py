"""What `check` prints of a prepared job: players, questions, design, evaluations, expected time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xai_ray.build import Prepared, manifest_for, stop_of
from xai_ray.closed_forms import ClosedFormGame
from xai_ray.coalitions import Design, Strata
from xai_ray.each_jobs import describe_each
from xai_ray.engine.chains import chained, free_rows
from xai_ray.engine.each_units import EachTask
from xai_ray.engine.job import unit_draws
from xai_ray.engine.row_units import RowTask
from xai_ray.games import Game
from xai_ray.indices import Question
from xai_ray.row_jobs import describe_rows
from xai_ray.valuation.methods import CLOSED_FORMS
from xai_ray.valuation.pieces import ValuationGame

_REFITTED = 8
"""Coalitions that `check` fits by the estimator itself."""


def describe_plan(prepared: Prepared) -> dict[str, Any]:
    """What `check` prints. Times two batches, so that the expected time is a measurement."""
    game, planned = prepared.game, prepared.plan
    if isinstance(game, ValuationGame):
        return _describe_pieces(prepared, game)
    if isinstance(game, RowTask):
        return _described(prepared) | describe_rows(game, planned)
    if isinstance(game, EachTask):
        return _described(prepared) | describe_each(game)
    if isinstance(game, ClosedFormGame):
        return {"job": manifest_for(prepared).job, **game.described()}
    seconds = _seconds_per_evaluation(game, planned.design)
    unit = unit_draws(planned.design, free_rows(game, planned.design), planned.draws)
    sizes = planned.design.describe()
    facts: dict[str, Any] = {
        **_described(prepared),
        "design": sizes["kind"] + (", complete: every coalition once" if sizes["kind"] == "exhaustive" else ""),
        **({"law": _law_text(planned.design, planned.draws)} if isinstance(planned.design, Strata) else {}),
        **_trained(game),
        "evaluations": planned.evaluations,
        "units": -(-planned.draws // unit),
        "batch": "the prefixes of an order" if chained(game, planned.design) else f"{game.block} coalitions",
        "expected": f"{planned.evaluations * seconds:.3g} s on one worker ({1 / seconds:.4g} evaluations a second)",
    }
    return facts


def _described(prepared: Prepared) -> dict[str, Any]:
    game = prepared.game
    return {
        "job": manifest_for(prepared).job,
        "players": f"{game.n_players} ({_some(game.player_names)})",
        "outputs": f"{game.n_outputs} ({_some(game.output_names)})",
        "asks": [f"{_question_text(a.question)} by {a.estimator}" for a in prepared.plan.asks],
        **({"stop": words} if (words := stop_of(prepared.spec).words()) else {}),
    }


def _describe_pieces(prepared: Prepared, game: ValuationGame) -> dict[str, Any]:
    """What `check` prints of a closed form. Times a unit where there are many of them."""
    planned, design, row = prepared.plan, game.design, CLOSED_FORMS[game.method]
    units = -(-planned.draws // design.block)
    kept = (1 if design.undivided else units) * game.n_players * design.width * 8
    facts: dict[str, Any] = {
        "job": manifest_for(prepared).job,
        "players": f"{game.n_players} ({_some(game.player_names)})",
        "outputs": f"{game.n_outputs} ({_some(game.output_names)})",
        "method": f"{game.method}: {row.what}",
        **({"evaluations": f"{planned.evaluations} {row.piece}"} if row.piece else {}),
        **({"stop": words} if (words := stop_of(prepared.spec).words()) else {}),
        "units": units,
        "store": f"about {kept / 2**20:.3g} MB",
    }
    if units < 2:
        return facts
    stop = min(design.block, planned.draws)
    # One piece warms up: a unit may be a third of a job.
    game.piece_sums(0, 1, lambda: None)
    seconds = _timed(lambda: game.piece_sums(0, stop, lambda: None)) / stop
    return facts | {"expected": f"{planned.evaluations * seconds:.3g} s on one worker"}


def _trained(game: Game) -> dict[str, Any]:
    """Of a training game: its engine, and how far that is from the estimator itself on some random coalitions."""
    check = getattr(game, "self_check", None)
    if check is None:
        return {}
    rng = np.random.default_rng(0)
    gaps = check(rng.random((_REFITTED, game.n_players)) < rng.random((_REFITTED, 1)))
    words = ", ".join(f"{name} {gap:.2g}" for name, gap in zip(game.output_names, gaps, strict=True))
    return {
        "trained by": getattr(game, "engine", ""),
        "memory": memory_text(game),
        "self-check": f"{_REFITTED} coalitions fitted by the estimator itself; largest difference: {words}",
    }


def memory_text(game: Game) -> str:
    """What a worker of a training game takes, for people; empty for other games."""
    return str(getattr(game, "memory_told", ""))


def _law_text(design: Strata, draws: int) -> str:
    """Pairs of a coalition and its complement by the size of the smaller one; neighbouring sizes of like counts together."""
    counts = np.bincount(design.dealt(draws), minlength=design.n_players // 2 + 1)
    runs: list[tuple[int, int, int, bool]] = []
    for size in range(1, len(counts)):
        count, whole = int(counts[size]), not design.stochastic and counts[size] >= design.pool(size)
        if runs and not whole and not runs[-1][3] and abs(runs[-1][2] - count) <= 1:
            runs[-1] = (runs[-1][0], size, runs[-1][2], whole)
        else:
            runs.append((size, size, count, whole))
    shown = [
        f"{first}{f'-{last}' if last > first else ''}: {'all ' if whole else ''}{count}"
        for first, last, count, whole in (runs if len(runs) <= 12 else [*runs[:6], *runs[-6:]])
    ]
    if len(runs) > 12:
        shown.insert(6, "...")
    return "pairs of complements by size " + ", ".join(shown)


def _seconds_per_evaluation(game: Game, design: Design) -> float:
    """Of a second batch, or a second chain, after a first one that warms up. These evaluations are not part of any job."""
    rng = np.random.default_rng(0)
    if chains := chained(game, design):
        order, context = rng.permutation(game.n_players)[None], np.zeros(1, dtype=np.int64)
        return _second_call(lambda: chains[0].chain_values(order, context)) / max(1, game.n_players - 1)
    rows = rng.random((game.block, game.n_players)) < 0.5
    context = np.zeros(game.block, dtype=np.int64)
    return _second_call(lambda: game.values(rows, context)) / game.block


def _second_call(call: Callable[[], object]) -> float:
    call()
    return _timed(call)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return max(time.perf_counter() - began, 1e-9)


def _question_text(question: Question) -> str:
    parts = [question.index] + ([f"order {question.order}"] if question.order not in (None, 1) else [])
    if question.contexts is not None:
        parts.append(f"contexts {_some([str(c) for c in question.contexts])}")
    if question.pairs is not None:
        parts.append(f"{len(question.pairs)} pairs")
    if question.players is not None:
        parts.append(f"{len(question.players)} player{'s' * (len(question.players) > 1)}")
    if question.split is not None:
        parts.append(f"{question.split} split")
    return ", ".join(parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", ... {names[-1]}" if len(names) > 4 else "")
