"""`closed_form` as a job: one piece that holds the answers to all questions, so that stores, engines and reports need nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xai_ray.closed_forms.model_game import ClosedGame, closed_game
from xai_ray.coalitions import Pieces
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask, Plan, Stop
from xai_ray.estimators.closed_sets import CLOSED_FORM, rows_of
from xai_ray.estimators.readouts import asked_sets
from xai_ray.estimators.tree_reads import read
from xai_ray.estimators.workload import check_workload
from xai_ray.games.digest import fingerprint
from xai_ray.games.protocol import Game
from xai_ray.games.view import View
from xai_ray.indices import READ_OUT, Question, readouts, resolve
from xai_ray.types import Coalitions, Floats, Ints, Values


@dataclass(frozen=True)
class ClosedFormGame:
    """A model game that is answered and not evaluated, see `xai_ray.games.protocol.PieceGame`."""

    game: Game
    questions: tuple[Question, ...]
    """Resolved."""
    design: Pieces
    digest: str
    stochastic: bool = False
    block: int = 1

    @cached_property
    def closed(self) -> ClosedGame:
        """The closed form, read from the model once a process. Raises SpecError where the game has none."""
        return closed_game(self.game)

    def __getstate__(self) -> dict[str, Any]:
        return {name: part for name, part in self.__dict__.items() if name != "closed"}

    @property
    def n_players(self) -> int:
        """Players of the model game."""
        return self.game.n_players

    @property
    def n_outputs(self) -> int:
        """Outputs of the model game."""
        return self.game.n_outputs

    @property
    def player_names(self) -> Sequence[str]:
        """Those of the model game."""
        return self.game.player_names

    @property
    def output_names(self) -> Sequence[str]:
        """Those of the model game."""
        return self.game.output_names

    @property
    def view(self) -> View | None:
        """How a report draws the players."""
        return getattr(self.game, "view", None)

    @property
    def threads(self) -> int:
        """Of the model."""
        return getattr(self.game, "threads", 1)

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Values of the model game itself."""
        return self.game.values(coalitions, context)

    def described(self) -> dict[str, Any]:
        """What `check` prints."""
        return {
            "players": f"{self.n_players} ({', '.join(self.player_names[:4])}{', ...' if self.n_players > 4 else ''})",
            "outputs": f"{self.n_outputs} ({', '.join(self.output_names[:4])}{', ...' if self.n_outputs > 4 else ''})",
            "asks": [f"{question.index} by {CLOSED_FORM}" for question in self.questions],
            "closed form": self.closed.what,
            "evaluations": 0,
        }

    def piece_sums(self, start: int, stop: int, between: Callable[[], None]) -> tuple[Floats, dict[str, Any]]:
        """Values of the sets of all questions, one after the other, with standard errors 0: shape (sets, 2, k)."""
        closed = self.closed
        values = np.concatenate([answered(closed, question, self.n_players) for question in self.questions])
        return np.stack([values, np.zeros_like(values)], axis=1), {"ends": closed.ends.tolist()}


def answered(closed: ClosedGame, question: Question, n: int) -> Floats:
    """Values of a resolved question: (sets x contexts, k), in the order of `asked_coalitions`."""
    columns = [
        np.concatenate(
            [read(leaves, out, asked_sets(question, n, out.size)).reshape(-1) for out in readouts(question, n)]
        )
        for leaves in closed.leaves
    ]
    return np.stack(columns, axis=1)


def closed_form_game(game: Game, asks: Sequence[Ask]) -> ClosedFormGame:
    """The game that answers these questions in closed form. Raises SpecError where one of them, or the game, has none."""
    others = [ask.estimator for ask in asks if ask.estimator != CLOSED_FORM]
    if others:
        raise SpecError(
            f"{CLOSED_FORM} evaluates nothing and {others[0]!r} does: ask these questions in two jobs, or all of them by one estimator"
        )
    n = game.n_players
    questions = tuple(resolve(ask.question, n) for ask in asks)
    for question in questions:
        if question.index not in READ_OUT:
            raise SpecError(f"{CLOSED_FORM} does not answer {question.index}; it answers {', '.join(READ_OUT)}")
        if question.players is not None:
            raise SpecError(f"{CLOSED_FORM} answers all players at once; leave players out and pick from the result")
        check_workload(CLOSED_FORM, question, n, outputs=game.n_outputs)
    sets = sum(rows_of(question, n) for question in questions)
    design = Pieces(n, game.n_outputs, "answer", 1, 1, sets=sets)
    made = ClosedFormGame(game, questions, design, fingerprint([CLOSED_FORM, game.digest]))
    # Read now, so that what has none is refused before a job begins.
    _ = made.closed
    return made


def answer_plan(game: ClosedFormGame, stop: Stop, where: str = "") -> Plan:
    """One piece. Raises SpecError for stop rules, which have nothing to stop."""
    if stop != Stop():
        raise SpecError(
            f"{where}{next(iter(stop.document()))}: {CLOSED_FORM} is exact at once, nothing stops it earlier"
        )
    return Plan(tuple(Ask(question, CLOSED_FORM) for question in game.questions), game.design, 1)
