"""The Python door of data valuation: what training points, or groups of them, are worth to an estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xai_ray.api import explain
from xai_ray.coalitions import Permutations
from xai_ray.engine import Engine
from xai_ray.engine.watching import Watcher
from xai_ray.errors import SpecError, UnknownName
from xai_ray.estimators import Estimate
from xai_ray.frames import array_of, arrays_of
from xai_ray.indices import Question
from xai_ray.reports import Result
from xai_ray.stores import Store
from xai_ray.types import Floats
from xai_ray.valuation import OwnScore, TrainingGame, knn_shapley, leave_one_out_values
from xai_ray.valuation.choose import classifies
from xai_ray.valuation.memory import memory_bytes
from xai_ray.valuation.whole_blocks import values_in_blocks

PAIRS = 100
"""Permutations, each with its reverse, that a call without a budget pays for."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a method values points: a question to an estimator of coalitions, or a closed form."""

    what: str
    index: str | None = None
    estimator: str = "auto"
    exact: bool = False
    """Whether it takes all 2^n coalitions."""
    defaults: tuple[tuple[str, float | None], ...] = ()
    """Parameters of the index with their usual values; None where there is none."""
    closed: Callable[[_Asked], Result] | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a closed form is given."""

    estimator: Any
    arrays: tuple[Any, Any, Any, Any]
    scores: tuple[Any, ...] | None
    groups: Any
    names: list[str] | None
    refit: bool
    memory: int | None = None
    self_check: bool | float = True

    def game(self) -> TrainingGame:
        scores = self.scores or (_usual_score(self.estimator),)
        names = None if self.groups is not None else self.names
        return TrainingGame(
            self.estimator,
            *self.arrays,
            scores=scores,
            groups=self.groups,
            player_names=names,
            refit=self.refit,
            memory=self.memory,
            self_check=self.self_check,
        )


def value(
    estimator: Any,
    X: Any,
    y: Any,
    X_test: Any,
    y_test: Any,
    *,
    method: str = "shapley",
    score: str | OwnScore | Callable[..., Any] | Sequence[Any] | None = None,
    budget: int | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    alpha: float | None = None,
    beta: float | None = None,
    p: float | None = None,
    refit: bool = False,
    memory: int | str | None = None,
    self_check: bool | float = True,
    std_error: float | None = None,
    top: int | None = None,
    ranking: float | None = None,
    seconds: float | None = None,
    bottom: int | None = None,
    engine: Engine | Literal["inline", "ray"] = "inline",
    store: Store | str | None = None,
    name: str = "value",
    recompute: bool = False,
    watcher: Watcher | None = None,
) -> Result:
    """Values of n training points, or of `groups` (n,) of them, in units of a score of `estimator` on the test points.

    X (n, d), y (n,), X_test (m, d), y_test (m,) are arrays, pandas objects or Arrow tables; points of a DataFrame are called by its
    index. `method` is one of `METHODS`; `alpha` and `beta` are those of `beta` (4 and 1 if left out), `p` is that of
    `weighted_banzhaf`. `score` is a name in `xai_ray.valuation.SCORES`, a function (truth, answers) -> number, an `OwnScore`, or
    several of these; left out it is accuracy or r2. `budget` counts
    trained models; left out it pays for 100 permutations with their reverses. `refit` fits the estimator itself once a coalition.
    `memory`, bytes or a text as "8 GB", is what a worker may take: batches of models are cut to fit, and what does not fit is refused.
    `self_check` says whether 1 % of the trained models (8 to 200) are fitted again by the estimator itself, and may be the difference
    from which on the result warns (`provenance["self_check"]`).
    The stop rules, `engine`, `store`, `recompute` and `watcher` are those of `xai_ray.explain`: with a store, the same call goes on where
    it ended. The result answers other semivalues from the same models: `result.ask("BETA", alpha=4, beta=1)`.

    Raises UnknownName, SpecError (what does not go together), InputError (unusable arrays), BudgetTooSmall and what a game raises.
    """
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    row = METHODS[method]
    parameters = _parameters(method, row, {"alpha": alpha, "beta": beta, "p": p})
    scores = _several(score)
    arrays, names = arrays_of(X, y, X_test, y_test)
    asked = _Asked(
        estimator,
        arrays,
        scores,
        None if groups is None else array_of(groups),
        names,
        refit,
        _bound(memory),
        self_check,
    )
    if row.closed is not None:
        _refuse(
            method,
            {
                "budget": budget,
                "std_error": std_error,
                "top": top,
                "bottom": bottom,
                "ranking": ranking,
                "seconds": seconds,
                "store": store,
            },
        )
        return row.closed(asked)
    assert row.index is not None
    game = asked.game()
    if row.exact:
        _refuse(method, {"budget": budget})
    return explain(
        game,
        row.index,
        budget="exact" if row.exact else _usual_budget(game.n_players) if budget is None else budget,
        estimator=row.estimator,
        p=parameters.get("p"),
        alpha=parameters.get("alpha"),
        beta=parameters.get("beta"),
        seed=seed,
        std_error=std_error,
        top=top,
        ranking=ranking,
        seconds=seconds,
        bottom=bottom,
        engine=engine,
        store=store,
        name=name,
        recompute=recompute,
        watcher=watcher,
    )


def _leave_one_out(asked: _Asked) -> Result:
    """n + 1 models, no sampling."""
    game = asked.game()
    found = leave_one_out_values(game)
    empty = values_in_blocks(game, np.zeros((1, game.n_players), dtype=np.bool_))[0]
    question = Question("SEMI", order=1, weights=(*[0.0] * (game.n_players - 1), 1.0))
    ends = np.stack([empty, np.asarray(found.facts["grand"])])
    evaluations = int(found.facts["evaluations"]) + 1
    return _exactly(game.digest, game.player_names, game.output_names, question, found.values, ends, "loo", evaluations)


def _nearest(asked: _Asked) -> Result:
    """Exact Shapley values of the K-nearest-neighbour utility, without training."""
    from sklearn.neighbors import KNeighborsClassifier

    if not isinstance(asked.estimator, KNeighborsClassifier):
        raise SpecError(
            f"knn values points for a KNeighborsClassifier, got {type(asked.estimator).__name__}; give "
            "KNeighborsClassifier(5), on features of the model if there are better ones than X"
        )
    game = asked.game()
    if asked.groups is not None or asked.scores is not None or game.engine.startswith("scikit-learn"):
        raise SpecError(
            "knn has a closed form for single points and the share of right votes only: leave out groups, score and refit, or take "
            'method="shapley"'
        )
    values = knn_shapley(*asked.arrays, k=int(asked.estimator.get_params()["n_neighbors"]))[:, None]
    ends = np.stack([np.zeros(1), values.sum(axis=0)])
    return _exactly(game.digest, game.player_names, ("right votes",), Question("SV", order=1), values, ends, "knn", 0)


METHODS: dict[str, Method] = {
    "shapley": Method("Data Shapley from permutations and their reverses (Ghorbani, Zou 2019)", "SV", "levelled"),
    "beta": Method(
        "Beta Shapley from permutations (Kwon, Zou 2022)",
        "BETA",
        "levelled",
        defaults=(("alpha", 4.0), ("beta", 1.0)),
    ),
    "banzhaf": Method("Data Banzhaf by maximum sample reuse (Wang, Jia 2023)", "BV", "msr"),
    "weighted_banzhaf": Method(
        "weighted Banzhaf by maximum sample reuse (Li, Yu 2023)", "WBV", "msr", defaults=(("p", None),)
    ),
    "exact": Method("Data Shapley from all 2^n coalitions, for at most 24 players", "SV", "exact", exact=True),
    "loo": Method("leave-one-out: the score of all points less that without the point", closed=_leave_one_out),
    "knn": Method("Shapley values of K-nearest-neighbour votes in closed form (Jia et al. 2019)", closed=_nearest),
}
"""Name -> how `value` computes it."""


def _exactly(
    digest: str,
    players: Sequence[str],
    outputs: Sequence[str],
    question: Question,
    values: Floats,
    ends: Floats,
    method: str,
    evaluations: int,
) -> Result:
    sets = tuple((i,) for i in range(len(players)))
    estimate = Estimate(question, sets, values, np.zeros_like(values), method, evaluations)
    return Result(method, digest, tuple(players), tuple(outputs), evaluations, (estimate,), ends)


def _bound(memory: int | str | None) -> int | None:
    try:
        return None if memory is None else memory_bytes(memory)
    except ValueError as error:
        raise SpecError(f"memory = {error}") from None


def _several(score: Any) -> tuple[Any, ...] | None:
    if score is None:
        return None
    return (score,) if isinstance(score, (str, OwnScore)) or callable(score) else tuple(score)


def _usual_score(estimator: Any) -> str:
    return "accuracy" if classifies(estimator) else "r2"


def _usual_budget(n: int) -> int:
    return Permutations(n, 0).evaluations(1 + PAIRS)


def _parameters(method: str, row: Method, given: dict[str, float | None]) -> dict[str, float]:
    usual = dict(row.defaults)
    for name, number in given.items():
        if number is not None and name not in usual:
            raise SpecError(
                f"method {method!r} does not take {name}; it takes {', '.join(usual) or 'no parameter of an index'}"
            )
    chosen = {name: given[name] if given[name] is not None else default for name, default in usual.items()}
    missing = [name for name, number in chosen.items() if number is None]
    if missing:
        raise SpecError(f"method {method!r} needs {missing[0]}")
    return {name: float(number) for name, number in chosen.items() if number is not None}


def _refuse(method: str, given: dict[str, object]) -> None:
    named = [name for name, what in given.items() if what is not None]
    if named:
        raise SpecError(f"method {method!r} is exact: leave out {', '.join(named)}")
