"""From a spec to objects: the one place that turns names and files into games, questions and plans."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from xai_ray import spec as s
from xai_ray.asks import ask_of
from xai_ray.closed_forms import answer_plan, closed_form_game
from xai_ray.each_jobs import check_settings, planned_each, texts_of
from xai_ray.engine.job import manifest_of
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask, Plan, Stop, plan
from xai_ray.estimators.closed_sets import CLOSED_FORM
from xai_ray.game_spec import KnownGameSpec, LossGameSpec, ModelGameSpec, TableGameSpec
from xai_ray.games import Game, RowsGame, TableGame, known_game
from xai_ray.indices import INDICES, Question
from xai_ray.row_jobs import dataset_of, planned_rows
from xai_ray.stores import Manifest
from xai_ray.text_games import TextGames, holds_texts
from xai_ray.training_spec import TrainingGameSpec
from xai_ray.valuation.methods import CLOSED_FORMS, pieces_of
from xai_ray.valuation.pieces import ValuationGame


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
    if isinstance(game, TextGames):
        return _prepared_texts(spec, base, game)
    if isinstance(game, ValuationGame):
        return Prepared(spec, base, game, _closed_plan(spec, game))
    asks = [ask_of(a, i, game) for i, a in enumerate(spec.ask)]
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


def _prepared_texts(spec: s.Spec, base: Path, games: TextGames) -> Prepared:
    check_settings(spec.compute.unit_rows)
    budget = {"evaluations": spec.budget.evaluations, **stop_of(spec).document()}
    return Prepared(spec, base, *planned_each(games, budget, spec.seed))


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
    document |= dataset_of(prepared.game) | texts_of(prepared.game)
    return manifest_of(prepared.spec.name, prepared.game, prepared.plan, document)


def game_of(spec: s.Spec, base: Path) -> Game:
    """The game of a spec."""
    game = spec.game
    if holds_texts(spec) and isinstance(game, ModelGameSpec):
        return TextGames.read(game, spec.ask, spec.compute, spec.seed, base)
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


def _check_indices(spec: s.Spec) -> None:
    """Names first, so that a misspelt index does not wait for a model to load."""
    from xai_ray.errors import UnknownName
    from xai_ray.estimators.table import info

    for i, ask in enumerate(spec.ask):
        if ask.index not in INDICES:
            raise UnknownName("index", ask.index, INDICES, f"ask[{i}].index")
        if ask.estimator not in ("auto", CLOSED_FORM):
            info(ask.estimator, f"ask[{i}].estimator")
