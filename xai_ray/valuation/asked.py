"""What a method without coalitions is given: data, an estimator, and what may be chosen beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.games.digest import described, fingerprint, printed
from xai_ray.types import Ints
from xai_ray.valuation.choose import classifies
from xai_ray.valuation.data import LabelledData, NumericData, labelled, numeric
from xai_ray.valuation.exhibits import Exhibits
from xai_ray.valuation.network import Network
from xai_ray.valuation.own_score import OwnScore
from xai_ray.valuation.training_game import TrainingGame, players_of, told_estimator

MOST_SHOWN = 20_000
"""Points up to which a report makes the game of a method that has none, for curves."""


@dataclass(frozen=True)
class Asked:
    """Training rows (n, d) with targets (n,), test rows (m, d) with theirs, and settings that several methods share."""

    method: str
    estimator: Any
    X: Any
    y: Any
    X_test: Any = None
    y_test: Any = None
    scores: Sequence[str | OwnScore] | None = None
    """None takes the usual ones of the method."""
    groups: Any = None
    """Group of each training row, or None."""
    names: Sequence[str] | None = None
    """What the training points are called."""
    empty: Sequence[float] | None = None
    refit: bool = False
    seed: int = 0
    threads: int = 1
    exhibits: Exhibits | None = None
    """What people see of the training rows."""
    memory: int | None = None
    """Bytes that a worker may take; None cuts batches to `xai_ray.valuation.memory.BOUND`."""
    self_check: bool | float = True

    def labelled(self) -> LabelledData:
        """As a classification problem. Raises InputError."""
        return labelled(self.X, self.y, *self._tests())

    def data(self) -> LabelledData | NumericData:
        """As the problem that the estimator solves. Raises InputError."""
        return self.labelled() if classifies(self.estimator) else numeric(self.X, self.y, *self._tests())

    def check_holdout(self, holdout: tuple[Any, Any]) -> None:
        """Raises InputError for rows and targets that models of the training rows cannot be scored on."""
        check = labelled if self.estimator is None or classifies(self.estimator) else numeric
        check(self.X, self.y, *holdout, tests="holdout")

    def game(self, holdout: tuple[Any, Any] | None = None) -> TrainingGame:
        """The game of the scores of models trained on coalitions, on the test rows or on a holdout (rows, targets). Raises as
        `TrainingGame`.
        """
        if holdout is not None:
            self.check_holdout(holdout)
        tests = self._tests() if holdout is None else holdout
        names = None if self.groups is not None else self.names
        return TrainingGame(
            self.estimator,
            self.X,
            self.y,
            *tests,
            scores=self.scores,
            groups=self.groups,
            player_names=names,
            empty=self.empty,
            refit=self.refit,
            threads=self.threads,
            exhibits=self.exhibits,
            memory=self.memory,
            self_check=self.self_check,
        )

    def lacks_game(self, judged: bool = False) -> str:
        """Why a method without one has no game of scores for a report; "" where there may be one. `judged`: there is a holdout."""
        if self.estimator is None:
            return f"{self.method} has no estimator to train"
        if self.X_test is None and not judged:
            return "there are no test rows to judge models by"
        n = len(self.y)
        return f"they are for at most {MOST_SHOWN:,} points, here are {n:,}" if n > MOST_SHOWN else ""

    def owner(self) -> Ints:
        """The player of each training row, shape (n,)."""
        return players_of(self.groups, len(self.y))[0]

    def targets(self) -> list[Any]:
        """The label, or the number, that each training row was given."""
        labels = self.estimator is None or classifies(self.estimator)
        given = np.asarray(self.y).reshape(-1)
        return [str(label) for label in given.tolist()] if labels else given.astype(np.float64).tolist()

    def network(self) -> Network:
        """The estimator where it is a network of plain gradient descent. Raises SpecError."""
        network = self.estimator
        if not isinstance(network, Network):
            raise SpecError(
                f"{self.method} follows the training of a torch network, got {type(network).__name__}; give "
                "xai_ray.valuation.Network(make, epochs=..., learning_rate=...)"
            )
        if network.optimiser != "sgd" or network.momentum or network.weight_decay:
            raise SpecError(
                f"{self.method} is defined for plain gradient descent; give a Network with optimiser='sgd' and neither momentum nor "
                "weight_decay"
            )
        return network

    def point_names(self, n: int) -> tuple[str, ...]:
        """n names."""
        return tuple(f"point {i}" for i in range(n)) if self.names is None else tuple(map(str, self.names))

    def digest(self, data: LabelledData | NumericData | None, settings: object, more: Sequence[Any] = ()) -> str:
        """Of everything that decides the values; without data where the settings hold the digest of a game of them."""
        told = "" if self.estimator is None else told_estimator(self.estimator)
        parts = [*(() if data is None else described(data)), printed(settings), str(self.seed), str(self.refit), *more]
        return fingerprint(["valuation", self.method, told, *parts])

    def _tests(self) -> tuple[Any, Any]:
        if self.X_test is None or self.y_test is None:
            raise SpecError(f"{self.method} judges points by test rows: give X_test and y_test")
        return self.X_test, self.y_test
