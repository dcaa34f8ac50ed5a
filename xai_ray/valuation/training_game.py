"""The game of data valuation: players are training points or groups of them, v(S) is the score of the model trained on S.

Ghorbani and Zou, "Data Shapley: equitable valuation of data for machine learning" (ICML 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError, NonFiniteValue, SpecError, XaiRayError
from xai_ray.games.digest import described, fingerprint, printed
from xai_ray.library_threads import library_threads
from xai_ray.types import Coalitions, Floats, Ints, Values
from xai_ray.valuation.choose import choose_engine, engine_need, refit_engine
from xai_ray.valuation.data import LabelledData, NumericData, labelled, numeric, sorted_labels
from xai_ray.valuation.engine import decisions_in_tiles
from xai_ray.valuation.exhibits import Exhibits
from xai_ray.valuation.known_scores import known_scores
from xai_ray.valuation.memory import free_memory, planned_batch
from xai_ray.valuation.network import Network
from xai_ray.valuation.own_score import OwnScore

_ROWS = 512
_TOLERANCE, _TESTS, _ROUNDING = 0.02, 2.5, 1e-9
"""Of a self-check: a difference, the same in test points, and one that is rounding."""


class TrainingGame:
    """v(S) for training points (or `groups`) and one score or several; deterministic.

    The empty coalition guesses: a classifier takes every class to be equally likely (accuracy 1 / C), a regression predicts 0;
    `empty` gives other values, one a score. A coalition of one class predicts that class everywhere. A class that a coalition
    does not hold is never predicted, and has probability 0.

    `need` is the memory that a worker takes, known before the models are made; `memory`, in bytes, cuts the batch to fit it (left
    out: to 4 GiB as far as that can be done). Rounding depends on the batch, which is `block` and part of a job's identity.

    Raises SpecError with figures where not even one model at a time fits, InputError for unusable arrays or groups, UnknownName for a
    score, and what `choose_engine` raises.
    """

    stochastic = False

    def __init__(
        self,
        estimator: Any,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        X_test: npt.ArrayLike,
        y_test: npt.ArrayLike,
        *,
        scores: Sequence[str | OwnScore] | None = None,
        groups: npt.ArrayLike | None = None,
        player_names: Sequence[str] | None = None,
        empty: Sequence[float] | None = None,
        refit: bool = False,
        threads: int = 1,
        exhibits: Exhibits | None = None,
        memory: int | None = None,
        self_check: bool | float = True,
    ) -> None:
        """`groups` names the group of each training point, shape (n,); groups are players in sorted order. `threads` of the linear
        algebra may move last bits, so they belong to the game. `exhibits` is what a report shows of the points. `self_check` is the
        difference between engine and estimator from which on jobs warn, in units of the scores; True is that of `check_limits`, False
        checks nothing.
        """
        self.exhibits = Exhibits() if exhibits is None else exhibits
        self.output_names, self._scored, own = known_scores(scores, estimator)
        labels = self._scored[0].classifies
        self._data = labelled(X, y, X_test, y_test) if labels else numeric(X, y, X_test, y_test)
        self._truth = self._checked_truth(self._data)
        self._labels = sorted_labels(y, len(self._data.rows)) if labels else None
        self._again = (scores, empty, refit, memory)
        if self.exhibits.holdout is not None:
            self._on(*self.exhibits.holdout)
        self._owner, names = players_of(groups, len(self._data.rows))
        self.n_players = len(names)
        self.n_outputs = len(self.output_names)
        self.player_names = tuple(names if player_names is None else player_names)
        if len(self.player_names) != self.n_players:
            raise InputError(f"{len(self.player_names)} player names for {self.n_players} players")
        if threads < 1:
            raise SpecError(f"threads is the number of threads of a batch, at least 1; got {threads}")
        self.threads = threads
        self._estimator = estimator
        self._probabilities = any(row.probabilities for row in self._scored)
        self._order = any(row.order for row in self._scored)
        # Workers ask for some hundred coalitions a call.
        asked = ("coalitions", _ROWS * (len(self._data.rows) + self.n_players))
        need = engine_need(estimator, self._data, refit=refit)
        self.need = replace(need, parts=(*need.parts, asked))
        self._engine = choose_engine(
            estimator,
            self._data,
            probabilities=self._probabilities,
            order=self._order,
            refit=refit,
            models=planned_batch(self.need, memory, free_memory),
        )
        self._self_check = False if self._engine.itself else _tolerance(self_check)
        self.block = self._engine.tile
        self.chains = self._engine.chains
        self._empty = self._empty_values(empty)
        parts = [*described(self._data), self._owner, self._empty, *self.output_names, *own]
        parts += getattr(self._engine, "described", [])
        self.digest = fingerprint(["training", told_estimator(estimator), self.engine, *parts])

    @property
    def engine(self) -> str:
        """How the models are trained."""
        return self._engine.name

    @property
    def owner(self) -> Ints:
        """The player of each training point, shape (n_points,)."""
        return self._owner

    @property
    def targets(self) -> Sequence[Any]:
        """The label, or the number, that each training point was given."""
        data = self._data
        return [data.classes[i] for i in data.labels] if isinstance(data, LabelledData) else data.targets.tolist()

    @property
    def empty_scores(self) -> Floats:
        """v of nobody, shape (k,): without a model."""
        return self._empty.copy()

    @property
    def memory_told(self) -> str:
        """What a worker takes, a line for people."""
        return self.need.told(self.block)

    def judged_by(self, X: npt.ArrayLike, y: npt.ArrayLike) -> TrainingGame:
        """The same training points, models and scores, on other test rows (h, d) and their targets (h,).

        Raises InputError for rows of other features, targets that are missing, and a label that no training point has.
        """
        targets = self._on(X, y)
        scores, empty, refit, memory = self._again
        return TrainingGame(
            self._estimator,
            self._data.rows,
            targets,
            X,
            y,
            scores=scores,
            groups=self._owner,
            player_names=self.player_names,
            empty=empty,
            refit=refit,
            threads=self.threads,
            exhibits=replace(self.exhibits, holdout=None),
            memory=memory,
            self_check=False,
        )

    def _on(self, X: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[Any]:
        """The training targets as they were given, once a holdout is found to fit them. Raises InputError."""
        data = self._data
        if isinstance(data, LabelledData) and self._labels is not None:
            targets = self._labels[data.labels]
            held = labelled(data.rows, targets, X, y, tests="holdout")
        else:
            assert not isinstance(data, LabelledData)
            targets = data.targets
            held = numeric(data.rows, targets, X, y, tests="holdout")
        try:
            self._checked_truth(held)
        except InputError as error:
            raise InputError(f"holdout: {error}") from None
        return targets

    def _checked_truth(self, data: LabelledData | NumericData) -> Floats | Ints:
        """Labels or targets of test rows. Raises InputError for those that a score cannot judge by."""
        labels = isinstance(data, LabelledData)
        truth = data.test_labels if labels else data.test_targets
        for row in self._scored:
            if row.check is not None:
                row.check(truth, len(data.classes) if labels else 1)
        return truth

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Scores of c coalitions of players, shape (c, k). Raises NonFiniteValue, and XaiRayError when a fit fails."""
        with library_threads(self.threads):
            return self._values(coalitions)

    def _values(self, coalitions: Coalitions) -> Values:
        points = coalitions[:, self._owner]
        out = np.empty((len(coalitions), self.n_outputs))
        for start, decisions in decisions_in_tiles(self._engine, points):
            out[start : start + len(decisions)] = self._scores(decisions)
        out[~coalitions.any(axis=1)] = self._empty
        self._check_finite(out, coalitions)
        return out

    def chain_values(self, permutations: Ints, context: Ints) -> Floats:
        """Scores of all prefixes of p permutations of the players (p, n), shape (p, n + 1, k); entry 0 is the empty coalition.

        Orders of only t players (p, t) give (p, t + 1, k).
        """
        with library_threads(self.threads):
            return self._chain_values(permutations)

    def _chain_values(self, permutations: Ints) -> Floats:
        length = permutations.shape[1]
        out = np.empty((len(permutations), length + 1, self.n_outputs))
        out[:, 0] = self._empty
        sizes = np.bincount(self._owner, minlength=self.n_players)
        for row, permutation in enumerate(permutations):
            place = np.full(self.n_players, self.n_players, dtype=np.int64)
            place[permutation] = np.arange(length)
            order = np.argsort(place[self._owner], kind="stable")
            for first, decisions in self._engine.prefixes(order, np.cumsum(sizes[permutation])):
                out[row, first + 1 : first + 1 + len(decisions)] = self._scores(decisions)
            if not np.isfinite(out[row]).all():
                self._check_finite(out[row], place[None, :] < np.arange(length + 1)[:, None])
        return out

    def refit_values(self, coalitions: Coalitions) -> Values:
        """Scores of c coalitions by fitting the estimator itself, shape (c, k): what the engine is to reproduce."""
        engine = refit_engine(self._estimator, self._data, probabilities=self._probabilities, order=self._order)
        with library_threads(self.threads):
            out = self._scores(engine.decisions(coalitions[:, self._owner]))
        out[~coalitions.any(axis=1)] = self._empty
        return out

    def refit_differences(self, coalitions: Coalitions, values: Values) -> tuple[Floats, str]:
        """Absolute differences of values (c, k) to those of the estimator itself, NaN for coalitions that it cannot fit (fewer points
        than neighbours, say), and why for the first of these.
        """
        out, why = np.full(values.shape, np.nan), ""
        for row in range(len(coalitions)):
            try:
                out[row] = np.abs(values[row] - self.refit_values(coalitions[row : row + 1])[0])
            except XaiRayError as error:
                why = why or str(error)
        return out, why

    def check_limits(self) -> tuple[Floats, Floats] | None:
        """Differences between engine and estimator from which on a self-check warns, and those that are rounding, each (k,); None where
        nothing is checked.

        The larger of 0.02 and 2.5 test points, in units of `Score.unit` for a score that has one of its own: then the model of all points
        is trained.
        """
        if self._self_check is False:
            return None
        unit = np.ones(self.n_outputs)
        if any(row.unit is not None for row in self._scored):
            everyone = np.ones((1, self.n_players), dtype=np.bool_)
            reached = self.values(everyone, np.zeros(1, dtype=np.int64))[0]
            for k, row in enumerate(self._scored):
                unit[k] = 1.0 if row.unit is None else row.unit(self._truth, float(reached[k]), float(self._empty[k]))
        usual = max(_TOLERANCE, _TESTS / len(self._truth)) * unit
        tolerance = usual if self._self_check is True else np.full(self.n_outputs, float(self._self_check))
        return tolerance, _ROUNDING * unit

    def self_check(self, coalitions: Coalitions) -> Floats:
        """Largest difference between the engine and the estimator itself on these coalitions, one a score, shape (k,)."""
        nothing = np.zeros(len(coalitions), dtype=np.int64)
        return np.nanmax(self.refit_differences(coalitions, self.values(coalitions, nothing))[0], axis=0, initial=0.0)

    def _scores(self, decisions: Floats) -> Values:
        out = np.stack([row.score(decisions, self._truth) for row in self._scored], axis=1)
        # A comparison with NaN chooses a class all the same: what a broken model decides must not become a score.
        out[~np.isfinite(decisions.max(axis=(1, 2)))] = np.nan
        return out

    def _empty_values(self, given: Sequence[float] | None) -> Floats:
        classes = len(self._data.classes) if isinstance(self._data, LabelledData) else 1
        if given is None:
            guessed = np.array([row.empty(self._truth, classes) for row in self._scored])
            if not np.isfinite(guessed).all():
                place = int(np.flatnonzero(~np.isfinite(guessed))[0])
                raise NonFiniteValue(
                    f"{self.output_names[place]} of the empty coalition is {guessed[place]}; give the game its value as `empty`"
                )
            return guessed
        values = np.array(given, dtype=np.float64)
        if values.shape != (self.n_outputs,) or not np.isfinite(values).all():
            raise InputError(f"empty must hold {self.n_outputs} finite numbers, one a score; got {given}")
        return values

    def _check_finite(self, values: Values, coalitions: Coalitions) -> None:
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = (int(b) for b in bad[0])
            members = np.flatnonzero(coalitions[row])
            raise NonFiniteValue(
                f"{self.output_names[column]} of the model trained on players {members[:20].tolist()} ({len(members)} of them) is "
                f"{values[row, column]}; scale the features or use a stronger penalty"
            )


def _tolerance(given: bool | float) -> bool | float:
    if not isinstance(given, bool) and not (np.isfinite(given) and given >= 0):
        raise SpecError(f"self_check is true, false, or the difference of scores from which on to warn; got {given!r}")
    return given


def told_estimator(estimator: Any) -> str:
    """An estimator and its parameters, for the digest."""
    settings = printed(estimator if isinstance(estimator, Network) else estimator.get_params())
    return f"{type(estimator).__module__}.{type(estimator).__qualname__} {settings}"


def players_of(groups: npt.ArrayLike | None, n: int) -> tuple[Ints, list[str]]:
    """The player of each point, shape (n,), and the names of the players."""
    if groups is None:
        return np.arange(n, dtype=np.int64), [f"point {i}" for i in range(n)]
    given = np.asarray(groups)
    if given.shape != (n,):
        raise InputError(f"groups has shape {given.shape}; it names the group of each of the {n} training points")
    text = np.array(["" if g is None or g != g else str(g) for g in given.tolist()])
    alone = np.flatnonzero(text == "")
    if len(alone):
        raise InputError(
            f"training point {alone[0]} is in no group, {len(alone)} in all; name a group for each, or leave those points out"
        )
    names, owner = np.unique(text if given.dtype == object else given, return_inverse=True)
    return owner.astype(np.int64), [str(name) for name in names]
