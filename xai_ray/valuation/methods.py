"""The methods of data valuation without coalitions of an index: one table, and one way to make each a job."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from xai_ray.errors import BudgetTooSmall, SpecError, UnknownName
from xai_ray.valuation import settings as s
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.making import (
    bootstraps,
    class_permutations,
    distributional,
    leave_one_out,
    near_votes,
    neighbour_votes,
    one_pass_banzhaf,
    transport,
    truncated,
)
from xai_ray.valuation.making_networks import gradient_passes, in_run, influence, tracin, trak
from xai_ray.valuation.pieces import ValuationGame


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """How a method becomes a job."""

    what: str
    needs: str
    """The estimator, and what else it cannot do without."""
    piece: str
    """What a budget counts, in the plural; "" where there is nothing to count."""
    make: Callable[[Asked, Any], ValuationGame]
    settings: type = s.Nothing
    usual: int | None = None
    """Pieces of a call without a budget; None for all there are."""
    takes: tuple[str, ...] = ()
    """Of `scores`, `groups`, `refit`, `empty` and `memory`."""
    tests: bool = True
    """Whether it needs test rows."""


CLOSED_FORMS: dict[str, ClosedForm] = {
    "knn": ClosedForm(
        "Shapley values of the votes of the K nearest points (Jia et al. 2019; soft: Wang and Jia 2023)",
        "KNeighborsClassifier",
        "test points",
        neighbour_votes,
        s.NeighbourSettings,
    ),
    "threshold_knn": ClosedForm(
        "Shapley values of the votes of all points within a radius (Wang et al. 2023)",
        "RadiusNeighborsClassifier",
        "test points",
        near_votes,
    ),
    "data_oob": ClosedForm(
        "accuracy, or minus the squared error, of bagged models on points they did not draw (Kwon, Zou 2023)",
        "any scikit-learn estimator",
        "bootstraps",
        bootstraps,
        s.BootstrapSettings,
        1000,
        ("refit",),
        tests=False,
    ),
    "truncated": ClosedForm(
        "Data Shapley from truncated permutations, or unbiased by roulette (Ghorbani, Zou 2019)",
        "any estimator",
        "permutations",
        truncated,
        s.TruncationSettings,
        512,
        ("scores", "groups", "refit", "empty", "memory"),
    ),
    "distributional": ClosedForm(
        "Shapley value in a random data set of so many points (Ghorbani, Kim, Zou 2020)",
        "any estimator",
        "permutations",
        distributional,
        s.DistributionalSettings,
        512,
        ("scores", "groups", "refit", "empty", "memory"),
    ),
    "one_pass_banzhaf": ClosedForm(
        "Data Banzhaf (Wang, Jia 2023; weighted: Li, Yu 2023) whose scores are not kept: for very many points; `banzhaf` keeps them, "
        "for other semivalues",
        "any estimator",
        "coalitions",
        one_pass_banzhaf,
        s.BanzhafSettings,
        4096,
        ("scores", "groups", "refit", "empty", "memory"),
    ),
    "class_wise": ClosedForm(
        "value to the own class, discounted by the others (Schoch, Xu, Ji 2022)",
        "a classifier",
        "permutations",
        class_permutations,
        usual=200,
        takes=("refit",),
    ),
    "gradient_shapley": ClosedForm(
        "G-Shapley: change of the score by each step of one pass of SGD (Ghorbani, Zou 2019)",
        "Network",
        "permutations",
        gradient_passes,
        usual=96,
        takes=("scores",),
    ),
    "loo": ClosedForm(
        "leave-one-out: the score of all points less that without the point",
        "any estimator",
        "",
        leave_one_out,
        takes=("scores", "groups", "refit", "empty", "memory"),
    ),
    "influence": ClosedForm(
        "rise of the test loss without the point, by derivatives (Koh, Liang 2017)",
        "LogisticRegression, or Network, whose Hessian is inverted by conjugate gradients, LiSSA or Arnoldi iteration",
        "",
        influence,
        s.InfluenceSettings,
    ),
    "in_run": ClosedForm(
        "In-Run Data Shapley: share of the fall of the test loss in one run of SGD (Wang et al. 2025)",
        "Network",
        "",
        in_run,
        s.InRunSettings,
    ),
    "tracin": ClosedForm(
        "gradients of point and test loss at checkpoints of one run (Pruthi et al. 2020)",
        "Network",
        "",
        tracin,
        s.TracinSettings,
    ),
    "trak": ClosedForm(
        "rise of the test margins by a kernel of projected gradients, over fits on random halves (Park et al. 2023)",
        "Network that classifies",
        "checkpoints",
        trak,
        s.TrakSettings,
        20,
    ),
    "lava": ClosedForm(
        "fall of the distance of training and test rows by optimal transport (Just et al. 2023)",
        "None: it trains nothing",
        "",
        transport,
        s.LavaSettings,
    ),
}
"""Name -> how it becomes a job."""


def valuation_game(asked: Asked, settings: Mapping[str, Any]) -> ValuationGame:
    """The job's game. Raises UnknownName for a method or a setting, SpecError for what does not go together, InputError."""
    if asked.method not in CLOSED_FORMS:
        raise UnknownName("method", asked.method, CLOSED_FORMS)
    row = CLOSED_FORMS[asked.method]
    given = {"scores": asked.scores, "groups": asked.groups, "refit": asked.refit or None, "empty": asked.empty}
    wrong = [name for name, what in given.items() if what is not None and name not in row.takes]
    if wrong:
        raise SpecError(
            f"method {asked.method!r} does not take {', '.join(wrong)}; leave {'it' if len(wrong) == 1 else 'them'} out, or take "
            'method "shapley"'
        )
    if asked.memory is not None and "memory" not in row.takes:
        able = ", ".join(name for name, other in CLOSED_FORMS.items() if "memory" in other.takes)
        raise SpecError(
            f"method {asked.method!r} cannot keep to a bound of memory: leave compute.memory (memory=) out, or take one of {able} or "
            '"shapley", which cut their batches to it'
        )
    return replace(row.make(asked, settled(asked.method, row, settings)), asked=asked)


def pieces_of(game: ValuationGame, budget: int | None) -> int:
    """Draws that a budget of pieces affords; None takes the usual number, or all there are.

    Raises SpecError where there is nothing to count, BudgetTooSmall for fewer than a block of them, or fewer than two.
    """
    row, design = CLOSED_FORMS[game.method], game.design
    if budget is None:
        budget = row.usual if design.pieces is None else design.pieces
        assert budget is not None
    elif design.undivided and budget != design.pieces:
        raise SpecError(
            f"method {game.method!r} is computed as a whole, there is nothing to count: leave the budget out"
        )
    elif isinstance(budget, bool) or not isinstance(budget, int):
        raise SpecError(f"budget counts {row.piece}, a whole number; got {budget!r}")
    draws = design.affordable(budget)
    if draws != design.pieces and draws < 2:
        raise BudgetTooSmall(
            f"budget of {budget} {row.piece}: {game.method!r} needs at least "
            + ("2" if design.fold == "share" else f"{max(2, design.block)}, which are summed at a time")
        )
    return draws


def settled(method: str, row: ClosedForm, given: Mapping[str, Any]) -> Any:
    """The settings of a method. Raises UnknownName and SpecError that name the setting."""
    known = [field.name for field in fields(row.settings)]
    if not isinstance(given, Mapping):
        raise SpecError(f"settings of method {method!r} are names with values, as {{'name': value}}; got {given!r}")
    for name in given:
        if name not in known:
            if not known:
                raise SpecError(f"method {method!r} has no settings, got {name!r}; leave it out")
            raise UnknownName("setting", name, known, f"settings of method {method!r}")
    try:
        return TypeAdapter(row.settings).validate_json(json.dumps(dict(given)), strict=True)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = ".".join(str(part) for part in wrong["loc"][:1])
        raise SpecError(f"settings of method {method!r}: {name} = {wrong['input']!r}: {wrong['msg']}") from None
    except (TypeError, ValueError) as error:
        raise SpecError(f"settings of method {method!r} are numbers and words: {error}") from None


def described_methods() -> list[dict[str, Any]]:
    """What `xai-ray methods` prints."""
    return [
        {
            "method": name,
            "estimator": row.needs,
            "budget counts": row.piece,
            "settings": ", ".join(f"{f.name} = {f.default!r}" for f in fields(row.settings)),
            "also takes": ", ".join(row.takes),
            "what": row.what,
        }
        for name, row in CLOSED_FORMS.items()
    ]
