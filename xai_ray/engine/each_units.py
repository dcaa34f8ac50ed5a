"""Units of a job whose inputs have players of their own: an input is planned, evaluated and answered by its worker, and stops by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from xai_ray.coalitions import Design, Unit
from xai_ray.errors import NotEnoughSamples, XaiRayError
from xai_ray.estimators import Ask, Estimate, Explained, Plan, Pool, Stop, boundaries, plan
from xai_ray.games.digest import fingerprint
from xai_ray.games.passes.numerics import Numerics
from xai_ray.games.protocol import Game
from xai_ray.games.view import View
from xai_ray.stores.protocol import Record
from xai_ray.types import Coalitions, Floats, Ints, Values

Evaluate = Callable[[Unit, Game, Design, Callable[[], None]], Record]


class EachGame(Protocol):
    """Inputs, each with a game of its own. What is said of all of them is the first one's."""

    @property
    def n_inputs(self) -> int:
        """R."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """k names."""
        ...

    @property
    def digest(self) -> str:
        """Of all that decides the values of any input."""
        ...

    @property
    def stochastic(self) -> bool:
        """Whether values depend on contexts."""
        ...

    @property
    def block(self) -> int:
        """Coalitions per batch."""
        ...

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Raises SpecError: there is a game for each input."""
        ...

    def game(self, at: int) -> Game:
        """The game of an input."""
        ...

    def asks_of(self, game: Game) -> tuple[Ask, ...]:
        """What is asked of an input."""
        ...

    def name(self, at: int) -> str:
        """How messages call an input."""
        ...


@dataclass(frozen=True)
class Kept:
    """Values of inputs from earlier stages, read-only, so that workers of a node share them."""

    values: Floats
    """Shape (sum of r, k)."""
    places: dict[int, tuple[dict[str, Any], int, int]]
    """Of an input: the description of its design, and where its values begin and end."""

    def of(self, at: int, design: Design) -> Values | None:
        """Those of an input, where it had this design."""
        described, start, stop = self.places.get(at, ({}, 0, 0))
        return self.values[start:stop] if described == design.describe() else None


@dataclass(frozen=True)
class EachTask:
    """What a worker holds: the inputs, and what each may take. To the engine it is the job's game."""

    inputs: Any
    """An EachGame."""
    seed: int
    stages: tuple[dict[str, Any], ...] = ()
    """See `xai_ray.engine.stages`."""
    kept: Kept | None = None

    @property
    def n_players(self) -> int:
        """None that inputs share."""
        return 0

    @property
    def player_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def n_outputs(self) -> int:
        """k."""
        return len(self.inputs.output_names)

    @property
    def output_names(self) -> tuple[str, ...]:
        """k names."""
        return self.inputs.output_names

    @property
    def digest(self) -> str:
        """Of the inputs and all that decides their values."""
        return fingerprint([self.inputs.digest])

    @property
    def stochastic(self) -> bool:
        """Whether values depend on contexts."""
        return self.inputs.stochastic

    @property
    def block(self) -> int:
        """Coalitions per batch."""
        return self.inputs.block

    @property
    def batch(self) -> int | None:
        """Model rows of a forward pass."""
        return getattr(self.inputs, "batch", None)

    @property
    def threads(self) -> int:
        """Threads of a forward pass."""
        return getattr(self.inputs, "threads", 1)

    @property
    def numerics(self) -> Numerics | None:
        """How a forward pass is computed, where the games say so."""
        return getattr(self.inputs, "numerics", None)

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """See `EachGame.values`."""
        return self.inputs.values(coalitions, context)

    def halved(self) -> EachTask | None:
        """With half the batch; None if it is as small as can be."""
        halved = getattr(self.inputs, "halved", None)
        smaller = None if halved is None else halved()
        return None if smaller is None else replace(self, inputs=smaller)


def planned(asks: tuple[Ask, ...], n: int, budget: dict[str, Any], seed: int, stochastic: bool) -> tuple[Plan, Stop]:
    """What an input of n players takes of a budget. Raises what `plan` and `Stop.check` raise."""
    evaluations = None if budget["evaluations"] == "exact" else int(budget["evaluations"])
    found, stop = plan(asks, n, evaluations, seed, stochastic), Stop.of(budget)
    stop.check(found.asks, n, "budget.")
    return found, stop


def each_values(
    unit: Unit, task: EachTask, count: int, between: Callable[[], None], evaluate: Evaluate
) -> tuple[Values, dict[str, Any], int]:
    """The input of a unit among `count` of a stage, as `Explained.packed`, and how many evaluations were made for it.

    Its answer is that of a job of its own, bit for bit. What it raises names the input.
    """
    stage, at = divmod(unit.start, count)
    try:
        game = task.inputs.game(at)
        found, evaluated = _explained(at, game, task, task.stages[stage], between, evaluate)
    except XaiRayError as error:
        raise type(error)(f"{task.inputs.name(at)}: {error}") from error
    return *found.packed(), evaluated


def _explained(
    at: int, game: Game, task: EachTask, budget: dict[str, Any], between: Callable[[], None], evaluate: Evaluate
) -> tuple[Explained, int]:
    own, stop = planned(task.inputs.asks_of(game), game.n_players, budget, task.seed, game.stochastic)
    design = own.design
    there = task.kept.of(at, design) if task.kept is not None else None
    values = np.empty((0, game.n_outputs)) if there is None else there
    evaluated, still, found = 0, False, list[Estimate]()
    looks = list(boundaries(design, own.draws)) if stop.rules else [own.draws]
    for look, draws in enumerate(looks, start=1):
        have = design.affordable(len(values)) if len(values) else 0
        if have < draws:
            more = evaluate(Unit(have, draws), game, design, between).values
            values, evaluated = np.concatenate([values[: design.evaluations(have)], more]), evaluated + len(more)
        pool = Pool(design, draws, np.array(values[: design.evaluations(draws)]))
        last = draws == own.draws
        try:
            found = [pool.answer(ask.question, ask.estimator) for ask in own.asks]
        except NotEnoughSamples:
            if last:
                raise
            continue
        still = not all(v.met for e in found for v in stop.judge(e, look))
        if last or not still:
            view = getattr(game, "view", None)
            drawn = view.document() if isinstance(view, View) else None
            names = tuple(game.player_names), tuple(game.output_names)
            return Explained(at, pool, tuple(found), *names, drawn, still), evaluated
    raise AssertionError("the last boundary answers or raises")
