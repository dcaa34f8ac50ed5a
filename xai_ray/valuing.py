"""The Python door of data valuation: what training points, or groups of them, are worth to an estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from xai_ray.api import explain, run_planned
from xai_ray.build import closed_form_plan
from xai_ray.coalitions import Permutations
from xai_ray.engine import Engine
from xai_ray.engine.job import manifest_of
from xai_ray.engine.watching import Watcher
from xai_ray.errors import SpecError, UnknownName
from xai_ray.estimators import Stop
from xai_ray.frames import array_of, arrays_of
from xai_ray.reports import Result
from xai_ray.stores import Store
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.memory import memory_bytes
from xai_ray.valuation.methods import CLOSED_FORMS, valuation_game
from xai_ray.valuation.own_score import OwnScore, several

PAIRS = 100
"""Permutations, each with its reverse, that a call without a budget pays for."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method that values points by the scores of coalitions: a question, and the estimator that answers it."""

    what: str
    index: str
    estimator: str = "auto"
    exact: bool = False
    """Whether it takes all 2^n coalitions."""
    defaults: tuple[tuple[str, float | None], ...] = ()
    """Parameters of the index with their usual values; None where there is none."""


QUESTIONS: dict[str, Method] = {
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
}
"""Name -> the question it asks."""

METHODS: dict[str, str] = {name: row.what for name, row in (*QUESTIONS.items(), *CLOSED_FORMS.items())}
"""Every method by its name, and what it is."""


def value(
    estimator: Any,
    X: Any,
    y: Any,
    X_test: Any = None,
    y_test: Any = None,
    *,
    method: str = "shapley",
    settings: Mapping[str, Any] | None = None,
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
    index. `data_oob` needs no test rows. `method` is one of `METHODS`. Of those that ask for scores of coalitions, `alpha` and `beta` are
    those of `beta` (4 and 1 if left out) and `p` is that of `weighted_banzhaf`; `settings` are those of the closed forms and one-run
    methods, see `xai_ray.valuation.settings`. `score` is a name in `xai_ray.valuation.SCORES`, a function (truth, answers) -> number, an
    `OwnScore`, or several of these; left out it is accuracy or r2. `budget` counts trained models (left out: 100 permutations with their
    reverses), or what the method is made of: bootstraps, test points, permutations, checkpoints. `refit` fits the
    estimator itself once a coalition.

    `memory`, bytes or a text as "8 GB", is what a worker may take: batches of models are cut to fit, and what does not fit is refused, as
    are methods that have no batches to cut.
    `self_check` says whether 1 % of the trained models (8 to 200) are fitted again by the estimator itself, and may be the difference
    from which on the result warns (`provenance["self_check"]`).

    The stop rules, `engine`, `store`, `recompute` and `watcher` are those of `xai_ray.explain`: with a store, the same call goes on where
    it ended. Scores of coalitions answer other semivalues from the same models: `result.ask("BETA", alpha=4, beta=1)`.

    Raises UnknownName, SpecError (what does not go together), InputError (unusable arrays), BudgetTooSmall and what a game raises.
    """
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    row = QUESTIONS.get(method)
    parameters = _parameters(method, row.defaults if row else (), {"alpha": alpha, "beta": beta, "p": p})
    scores = None if score is None else several(score)
    arrays, names = arrays_of(X, y, X_test, y_test)
    asked = Asked(
        method,
        estimator,
        *arrays,
        scores,
        None if groups is None else array_of(groups),
        names,
        refit=refit,
        seed=seed,
        memory=None if memory is None else memory_bytes(memory, "memory"),
        self_check=self_check,
    )
    if row is None:
        stop = Stop(std_error, None, top, ranking, seconds, bottom)
        game = valuation_game(asked, settings or {})
        planned = closed_form_plan(game, budget, stop)
        document = {"budget": {"evaluations": planned.evaluations, **stop.document()}, "seed": seed}
        manifest = manifest_of(name, game, planned, document)
        return run_planned(manifest, game, planned, stop, engine, store, recompute, watcher)
    if settings:
        raise SpecError(
            f"method {method!r} has no settings; its parameters are {', '.join(dict(row.defaults)) or 'none'}"
        )
    if row.exact and budget is not None:
        raise SpecError(f"method {method!r} is exact: leave out budget")
    training = asked.game()
    return explain(
        training,
        row.index,
        budget="exact" if row.exact else _usual_budget(training.n_players) if budget is None else budget,
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


def _usual_budget(n: int) -> int:
    return Permutations(n, 0).evaluations(1 + PAIRS)


def _parameters(
    method: str, defaults: tuple[tuple[str, float | None], ...], given: dict[str, float | None]
) -> dict[str, float]:
    usual = dict(defaults)
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
