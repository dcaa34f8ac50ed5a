"""From a spec to objects: the one place that turns names and files into games, questions and plans."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xai_ray import spec as s
from xai_ray.closed_forms import ClosedFormGame, answer_plan, closed_form_game
from xai_ray.coalitions import Design, Strata
from xai_ray.engine.chains import chained, free_rows
from xai_ray.engine.job import manifest_of, unit_draws
from xai_ray.engine.row_units import RowTask
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask, Plan, Stop, plan
from xai_ray.estimators.closed_sets import CLOSED_FORM
from xai_ray.game_spec import KnownGameSpec, LossGameSpec, TableGameSpec
from xai_ray.games import Game, RowsGame, TableGame, known_game
from xai_ray.games.view import View
from xai_ray.indices import INDICES, Question
from xai_ray.row_jobs import dataset_of, describe_rows, planned_rows
from xai_ray.stores import Manifest
from xai_ray.training_spec import TrainingGameSpec
from xai_ray.valuation.methods import CLOSED_FORMS, pieces_of
from xai_ray.valuation.pieces import ValuationGame

_REFITTED = 8
"""Coalitions that `check` fits by the estimator itself."""


@dataclass(frozen=True)
class Prepared:
    """A spec turned into objects."""

    spec: s.Spec
    base: Path
    game: Game
    plan: Plan


def prepare(spec: s.Spec, base: Path, game: Game | None = None) -> Prepared:
    """Build the plan of a spec, and its game unless it is given; `base` is the folder that relative paths start from."""
    _check_indices(spec)
    game = game_of(spec, base) if game is None else game
    spec = measured(spec, game)
    if isinstance(game, ValuationGame):
        return Prepared(spec, base, game, _closed_plan(spec, game))
    asks = [_ask(a, i, game) for i, a in enumerate(spec.ask)]
    if any(ask.estimator == CLOSED_FORM for ask in asks):
        closed = closed_form_game(game, asks)
        return Prepared(spec, base, closed, answer_plan(closed, stop_of(spec), "budget."))
    evaluations = None if spec.budget.evaluations == "exact" else spec.budget.evaluations
    if isinstance(game, RowsGame):
        unit = spec.compute.unit_rows
        return Prepared(spec, base, *planned_rows(game, asks, evaluations, spec.seed, stop_of(spec), unit, "budget."))
    planned = plan(asks, game.n_players, evaluations, spec.seed, game.stochastic)
    stop_of(spec).check(planned.asks, game.n_players, "budget.")
    return Prepared(spec, base, game, planned)


def measured(spec: s.Spec, game: Game) -> s.Spec:
    """The spec with the batch that was found where it says "auto": the job holds the number, whoever resumes it measures nothing."""
    batch = getattr(game, "batch", None)
    if spec.compute.batch != "auto" or not isinstance(batch, int):
        return spec
    return spec.model_copy(update={"compute": spec.compute.model_copy(update={"batch": batch})})


def closed_form_plan(game: ValuationGame, budget: int | None, stop: Stop, where: str = "") -> Plan:
    """The pieces of a closed form that a budget affords. Raises SpecError for rules that it cannot keep, BudgetTooSmall."""
    if game.design.undivided and stop != Stop():
        raise SpecError(
            f"{where}{next(iter(stop.document()))}: method {game.method!r} is computed as a whole, nothing stops it earlier"
        )
    ask = Ask(game.question, game.method)
    stop.check([ask], game.n_players, where)
    return Plan((ask,), game.design, pieces_of(game, budget))


def _closed_plan(spec: s.Spec, game: ValuationGame) -> Plan:
    evaluations = spec.budget.evaluations
    if evaluations == "exact" and game.design.pieces is None:
        row = CLOSED_FORMS[game.method]
        raise SpecError(
            f"budget: {game.method} draws {row.piece} without end; give [budget] evaluations = {row.usual} (how many {row.piece})"
        )
    return closed_form_plan(game, None if evaluations == "exact" else evaluations, stop_of(spec), "budget.")


def stop_of(spec: s.Spec) -> Stop:
    """The stop rules of a spec."""
    return Stop.of(spec.budget.model_dump())


def manifest_for(prepared: Prepared) -> Manifest:
    """The manifest of a job from a spec."""
    document = {"spec": s.canonical(prepared.spec), "base": str(prepared.base), "seed": prepared.spec.seed}
    document |= dataset_of(prepared.game)
    return manifest_of(prepared.spec.name, prepared.game, prepared.plan, document)


def game_of(spec: s.Spec, base: Path) -> Game:
    """The game of a spec."""
    game = spec.game
    if isinstance(game, TableGameSpec):
        return TableGame.load(base / game.path)
    if isinstance(game, KnownGameSpec):
        try:
            return known_game(game.name, game.arguments)
        except (ArithmeticError, LookupError) as error:
            raise SpecError(f"game.arguments of known game {game.name!r}: {error}") from error
    if isinstance(game, TrainingGameSpec):
        from xai_ray.training_games import training_game, valued_game

        if spec.value is not None:
            return valued_game(game, spec.value, spec.compute, spec.seed, base)
        return training_game(game, spec.compute, base)
    if isinstance(game, LossGameSpec):
        from xai_ray.loss_games import loss_game

        return loss_game(game, spec.compute, spec.seed, base)
    from xai_ray.model_games import model_game

    return model_game(game, spec.compute, spec.seed, base)


def parse_ask(text: str) -> Question:
    """A question as the command line gives it: an index, with its parameters in brackets, as Beta(4,1), WBV(0.3) or AND(sparse)."""
    match = re.fullmatch(r"\s*([A-Za-z][\w-]*)\s*(?:\(([^()]*)\))?\s*", text)
    if match is None:
        raise SpecError(f"--ask {text!r}: give an index, for example SII or Beta(4,1)")
    tags = {tag.lower(): tag for tag in INDICES}
    tag = tags.get(match[1].lower(), match[1])
    if tag in ("AND", "OR") and match[2]:
        return Question(tag, split=match[2].strip())
    try:
        numbers = [float(part) for part in match[2].split(",")] if match[2] else []
    except ValueError:
        raise SpecError(f"--ask {text!r}: parameters are numbers with commas") from None
    names = {"BETA": ("alpha", "beta"), "WBV": ("p",)}.get(tag.upper(), ())
    if len(numbers) != len(names):
        raise SpecError(
            f"--ask {text!r}: {tag} takes {len(names)} parameters{' (' + ', '.join(names) + ')' if names else ''}, got {len(numbers)}"
        )
    given = dict(zip(names, numbers, strict=True))
    return Question(tag, p=given.get("p"), alpha=given.get("alpha"), beta=given.get("beta"))


def describe_plan(prepared: Prepared) -> dict[str, Any]:
    """What `check` prints. Times two batches, so that the expected time is a measurement."""
    game, planned = prepared.game, prepared.plan
    if isinstance(game, ValuationGame):
        return _describe_pieces(prepared, game)
    if isinstance(game, RowTask):
        return _described(prepared) | describe_rows(game, planned)
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


def _check_indices(spec: s.Spec) -> None:
    """Names first, so that a misspelt index does not wait for a model to load."""
    from xai_ray.errors import UnknownName
    from xai_ray.estimators.table import info

    for i, ask in enumerate(spec.ask):
        if ask.index not in INDICES:
            raise UnknownName("index", ask.index, INDICES, f"ask[{i}].index")
        if ask.estimator not in ("auto", CLOSED_FORM):
            info(ask.estimator, f"ask[{i}].estimator")


def _ask(ask: s.AskSpec, at: int, game: Game) -> Ask:
    n = game.n_players
    contexts = None
    if ask.orders is not None:
        largest = n - 1 if ask.index == "PHIM" else n - 2
        contexts = tuple(dict.fromkeys(_context(o, largest, at) for o in ask.orders))
    question = Question(
        index=ask.index,
        order=ask.order,
        contexts=contexts,
        pairs=_pairs(ask.pairs, game, at),
        p=ask.p,
        alpha=ask.alpha,
        beta=ask.beta,
        weights=ask.weights,
        groups=ask.groups,
        split=ask.split,
    )
    return Ask(question, ask.estimator)


def _context(order: int | float, largest: int, at: int) -> int:
    """A context size: whole numbers as they are, fractions of the largest size rounded to the nearest."""
    if isinstance(order, int):
        return order
    if not 0.0 <= order <= 1.0:
        raise SpecError(
            f"ask[{at}].orders: {order} is a fraction outside 0..1; whole numbers are context sizes 0..{largest}"
        )
    return round(order * largest)


def _pairs(pairs: Any, game: Game, at: int) -> tuple[tuple[int, int], ...] | None:
    if pairs == "all":
        return None
    if pairs == "local":
        view = getattr(game, "view", None)
        found = neighbours(view) if isinstance(view, View) else ()
        if not found:
            raise SpecError(
                f'ask[{at}].pairs = "local" needs players with neighbours (patches, regions or words); give a list of pairs'
            )
        return found
    return tuple((int(i), int(j)) for i, j in pairs)


def neighbours(view: View) -> tuple[tuple[int, int], ...]:
    """Pairs of players that touch: regions that share a border or a corner, words that follow each other."""
    if view.kind == "text":
        return tuple((i, i + 1) for i in range(len(view.labels) - 1))
    if view.regions is None:
        return ()
    r = view.regions
    touching = [(r[:, :-1], r[:, 1:]), (r[:-1], r[1:]), (r[:-1, :-1], r[1:, 1:]), (r[:-1, 1:], r[1:, :-1])]
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in touching])
    pairs = np.sort(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs >= 0).all(axis=1)], axis=1)
    return tuple((int(i), int(j)) for i, j in np.unique(pairs, axis=0))


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
    if question.split is not None:
        parts.append(f"{question.split} split")
    return ", ".join(parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", ... {names[-1]}" if len(names) > 4 else "")
