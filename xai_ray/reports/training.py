"""The part of a report that is about training points: the points themselves, curves, detection, methods side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.reports.choose import first_order, has
from xai_ray.reports.methods import Method, agreements, lowest_first, methods_of
from xai_ray.reports.point_cards import Card, card_decimals, cards
from xai_ray.reports.wording import decimals, number, shorten
from xai_ray.types import Floats, Ints, Mask
from xai_ray.valuation.detection import Detection, detection
from xai_ray.valuation.exhibits import Exhibits
from xai_ray.valuation.methods import CLOSED_FORMS
from xai_ray.valuation.point_curves import PointCurves, curve_counts, point_curves
from xai_ray.valuation.shown import shown_by

if TYPE_CHECKING:
    from xai_ray.reports.result import Result

MOST_ORDERS = 100
"""Random orders of curves at most: a report is not to train for days."""

_REMEDY_CLOSED = "call xai_ray.value(...) again with the same arguments and store, and report what it returns"


@dataclass(frozen=True, eq=False)
class TrainingPart:
    """What a report says of training points."""

    result: Result
    methods: tuple[Method, ...]
    shown: Exhibits
    noun: str
    """What the players are called: `points`, `groups`, or `players` where it is not known."""
    owner: Ints
    """The player of each point, shape (n_points,); where it is not known, each player stands for a point."""
    labels: Sequence[Any] | None
    curves: PointCurves | None
    """Of the complete methods, in their order."""
    judges: int = 0
    """Rows held out of the valuation that curves were scored on; 0 where these are the job's test points."""

    def headline(self) -> str:
        """What all points give, and the two ends of the ranking, with standard errors."""
        result, estimate = self.result, first_order(self.result)
        values, errors = estimate.values[:, 0], estimate.std_errors[:, 0]
        start, end = (float(v) for v in result.ends[:, 0])
        order = lowest_first(values)
        n, score = len(result.players), result.outputs[0]
        if estimate.question.shares_score:
            said = f"Trained on all {n:,} {self.noun}, {score} is {end:.4g}; on none of them it is {start:.4g}."
            said = said.replace(" -", " −")
        else:
            # Such values share out no score: their sum means nothing.
            said = f"What {n:,} {self.noun} are worth by {estimate.question.index}, in units of {score}."
        if not len(order):
            return said
        lowest, highest = self.cards
        two = order[[0, -1]]
        digits = card_decimals(values[two], errors[two])
        worst = "most harmful" if values[order[0]] < 0 else "least useful"
        best = "most useful" if values[order[-1]] >= 0 else "least harmful"
        ends = [(worst, lowest[0].name, order[0])] + [(best, c.name, order[-1]) for c in highest[:1]]
        told = [
            f"{what} is {shorten(name, 60)}, {_amount(float(values[i]), float(errors[i]), digits)}"
            for what, name, i in ends
        ]
        return f"{said} The {'; the '.join(told)}."

    @cached_property
    def cards(self) -> tuple[list[Card], list[Card]]:
        """See `point_cards.cards`; pictures are encoded once."""
        return cards(self.result, self.shown, self.owner, self.labels)

    def flagged(self) -> Mask | None:
        """Players with a point that is known to be bad, shape (n,); None without flags."""
        if self.shown.flagged is None:
            return None
        return np.bincount(self.owner, self.shown.flagged, len(self.result.players)) > 0

    @cached_property
    def detections(self) -> dict[str, Detection]:
        """Of each complete method; nothing where no curve is defined."""
        bad = self.flagged()
        if bad is None or bad.all() or not bad.any():
            return {}
        return {m.name: detection(m.values, bad) for m in self.methods if m.complete}

    def notes(self) -> list[str]:
        """What is missing, and why."""
        out = []
        bad = self.flagged()
        if bad is not None and (bad.all() or not bad.any()):
            which = "hold a point that is" if self.noun == "groups" else "are"
            some = f"all {self.noun} {which}" if bad.all() else f"no {self.noun} {which}"
            out.append(f"No ROC: {some} known to be bad, and a curve needs both kinds.")
        for m in self.methods:
            if not m.complete:
                gone = int((~np.isfinite(m.values)).sum())
                out.append(
                    f"{m.name} has no value for {gone:,} of {len(m.values):,} {self.noun} yet, so it is not compared; extend the budget."
                )
        if self.curves is None:
            out.append(f"No curves of what removing {self.noun} does: {_why_no_curves(self.result)}.")
        return out

    def summary(self) -> list[dict[str, str]]:
        """A row a method for the table; cells that cannot be filled are empty."""
        found = self.detections
        bad = self.flagged()
        share = 0.0 if bad is None else float(bad.mean())
        drops = _drops(self.curves)
        rows, complete = [], 0
        for m in self.methods:
            row = {
                "name": m.name,
                "by": m.estimator,
                "evaluations": "" if m.evaluations is None else f"{m.evaluations:,}",
                "std_error": _error(m),
            }
            if (one := found.get(m.name)) is not None:
                row |= {
                    "auroc": f"{one.auroc:.3f}",
                    "interval": auroc_ends(one),
                    "precision": f"{one.precision_at(share):.0%}",
                    "f1": f"{one.f1:.2f}",
                }
            if m.complete and drops is not None:
                row |= {"highest": _signed(drops[0][complete]), "lowest": _signed(drops[1][complete])}
            complete += m.complete
            rows.append(row)
        if drops is not None:
            rows.append({"name": "random order", "highest": _signed(drops[2]), "lowest": _signed(drops[2])})
        return rows

    def agreements(self) -> list[dict[str, str]]:
        """A row a pair of methods."""
        return [
            {
                "names": " and ".join(a.names),
                "spearman": "-" if np.isnan(a.spearman) else f"{a.spearman:.2f}".replace("-", "−"),
                "lowest": f"{a.lowest:.0%}",
                "highest": f"{a.highest:.0%}",
                "count": f"{a.count:,}",
            }
            for a in agreements(self.methods)
        ]


def values_training_points(result: Result) -> bool:
    """Whether the players of a result are training points or groups of them."""
    return shown_by(result.game) is not None or _game_of_spec(result).get("kind") == "training"


def training_part(
    result: Result,
    *,
    curves: int = 0,
    seed: int = 0,
    shown: Exhibits | None = None,
    beside: Mapping[str, Any] | None = None,
    holdout: tuple[Any, Any] | None = None,
) -> TrainingPart | None:
    """The part of a report, None for a result without one value a player. `curves` random orders, 0 for no curves: they train models,
    which are scored on the `holdout` (rows, targets), else on that of the job's data, else on the job's test points.

    Raises SpecError for curves of what trains no models, InputError for what is `beside` of other players, and what training raises.
    """
    at_hand, n = shown_by(result.game, holdout), len(result.players)
    if curves:
        check_curves(curves, result, holdout)
    methods = tuple(methods_of(result, beside))
    if not has(result, "first_order"):
        return None
    complete = [m.values for m in methods if m.complete]
    found = None
    if curves and at_hand is not None and complete:
        found = point_curves(at_hand.game(), np.stack(complete), random_orders=curves, seed=seed)
    if at_hand is not None:
        noun = "points" if len(at_hand.owner) == n else "groups"
        seen = shown or at_hand.exhibits
        return TrainingPart(result, methods, seen, noun, at_hand.owner, _short(at_hand.targets), found, at_hand.judges)
    noun = "points" if shown or _points_alone(result) else "players"
    return TrainingPart(result, methods, shown or Exhibits(), noun, np.arange(n, dtype=np.int64), None, found)


def check_curves(curves: int, result: Result, holdout: tuple[Any, Any] | None = None) -> None:
    """Raises SpecError for a number of random orders that is none, or a result of which no models can be trained."""
    if not 0 <= curves <= MOST_ORDERS or int(curves) != curves:
        raise SpecError(f"curves = {curves}: a number of random orders, 1 to {MOST_ORDERS}, or 0 for no curves")
    at_hand, spec = shown_by(result.game, holdout), _game_of_spec(result)
    if at_hand is not None and not at_hand.lacks:
        return
    ask = "leave curves out"
    if at_hand is not None:
        why = at_hand.lacks
    elif spec:
        why = "the data are not at hand" if spec.get("kind") == "training" else "it has no training game"
    else:
        why = "it has no training game"
        ask += f", or {_REMEDY_CLOSED if _closed(result) else 'give value_report its game=...'}"
    raise SpecError(f"job {result.job}: curves take training points away and train again, and {why}; {ask}")


def models_of_curves(result: Result, curves: int, beside: Mapping[str, Any] | None = None) -> int:
    """How many models the curves of a result train, at most."""
    n = len(result.players)
    between = int(((counts := curve_counts(n)) < n).sum() - (counts == 0).sum())
    complete = sum(m.complete for m in methods_of(result, beside))
    return (4 * complete + curves) * between + 1 if complete else 0


def _why_no_curves(result: Result) -> str:
    """What a report without curves says of them."""
    at_hand, spec = shown_by(result.game), _game_of_spec(result)
    if at_hand is not None and at_hand.lacks:
        return at_hand.lacks
    if spec and spec.get("estimator") is None:
        return "there is no estimator to train"
    if spec:
        ask = f"xai-ray report {result.job} --curves 10, or value_report(..., curves=10)"
    elif at_hand is not None:
        ask = "value_report(..., curves=10)"
    else:
        ask = f"{_REMEDY_CLOSED} with curves=10" if _closed(result) else "value_report(..., curves=10, game=...)"
    return f"they train models. Ask for them: {ask}"


def _closed(result: Result) -> bool:
    return result.estimates[0].estimator in CLOSED_FORMS


def _game_of_spec(result: Result) -> dict[str, Any]:
    """The game as the spec of the job has it; empty for a job from Python objects."""
    spec = result.provenance.get("spec")
    game = spec.get("game") if isinstance(spec, dict) else None
    return game if isinstance(game, dict) else {}


def _points_alone(result: Result) -> bool:
    """Whether the spec says that each player is one point. What a factory returns may name groups."""
    game = _game_of_spec(result)
    return game.get("kind") == "training" and game.get("groups") is None and "factory" not in game.get("data", {})


def _drops(curves: PointCurves | None) -> tuple[Floats, Floats, float] | None:
    if curves is None:
        return None
    highest, lowest, random = (curves.weighted_drop(order)[:, 0] for order in ("highest", "lowest", "random"))
    return highest, lowest, float(random.mean())


def _amount(value: float, error: float, digits: int | None) -> str:
    shown = number(value, digits).replace("-", "−")
    return f"{shown} (exact)" if error == 0 else f"{shown}\u00a0±\u00a0{number(error, digits, sign=False)}"


def _error(method: Method) -> str:
    if method.std_errors is None or not np.isfinite(method.std_errors).any():
        return ""
    middle = float(np.nanmedian(method.std_errors))
    one = np.array([middle])
    return "exact" if middle == 0 else number(middle, decimals(one, one), sign=False)


def auroc_ends(found: Detection) -> str:
    """The 95 % interval of an AUROC."""
    low, high = found.auroc_interval
    return f"{low:.3f} … {high:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _short(targets: Sequence[Any]) -> Sequence[Any]:
    return [f"{t:g}" if isinstance(t, float) else t for t in targets]
