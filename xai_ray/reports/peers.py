"""Results as objects of shap and shapiq, for their plots and tools."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from xai_ray.errors import InputError, NotEnoughSamples, XaiRayError
from xai_ray.estimators.estimate import Estimate
from xai_ray.reports.choose import first_order, output_position, pairwise
from xai_ray.reports.rows import is_first_order
from xai_ray.types import Floats

if TYPE_CHECKING:
    import shap
    import shapiq

    from xai_ray.reports.result import Result


def to_shap(result: Result, index: str | None = None) -> shap.Explanation:
    """Values of shape (n,) or (n, k); for pairs shap's symmetric interaction matrix, (n, n) or (n, n, k).

    Each off-diagonal cell of the matrix holds half of the pair's interaction (shap's own convention, so that an
    efficient index adds up to v(N) - v(empty) over the whole matrix); the diagonal holds the index's value of the
    single player, 0 if it was not asked.
    `base_values` is v(empty). Raises NotEnoughSamples where values are missing.
    """
    try:
        import shap
    except ImportError as error:
        raise _uninstalled("shap") from error
    estimate = _convertible(result, index)
    one = len(result.outputs) == 1
    if is_first_order(estimate, len(result.players)):
        values, errors = estimate.values, estimate.std_errors
    else:
        values, errors = _matrix(estimate, estimate.values, result), _matrix(estimate, estimate.std_errors, result)
    return shap.Explanation(
        values=values[..., 0] if one else values,
        base_values=float(result.ends[0, 0]) if one else result.ends[0].copy(),
        data=_data(result),
        feature_names=list(result.players),
        output_names=None if one else list(result.outputs),
        error_std=errors[..., 0] if one else errors,
    )


def to_shapiq(result: Result, index: str | None = None, output: int = 0) -> shapiq.InteractionValues:
    """Values of one output, with v(empty) as the baseline and as the value of the empty set.

    shapiq reads sets that are not there as 0, and its plots need single players to be there: where they were not asked
    they are written as 0, but for SII, whose values of single players are the Shapley values, if the result has them.
    Raises NotEnoughSamples where values are missing.
    """
    try:
        from shapiq import InteractionValues
    except ImportError as error:
        raise _uninstalled("shapiq") from error
    k = output_position(result, output)
    estimate = _convertible(result, index)
    scores = {s: float(v) for s, v in zip(estimate.coalitions, estimate.values[:, k], strict=True)}
    if not any(len(s) == 1 for s in scores):
        scores |= dict.fromkeys(((i,) for i in range(len(result.players))), 0.0)
        scores |= _shapley(result, k) if estimate.question.index == "SII" else {}
    baseline = float(result.ends[0, k])
    scores.setdefault((), baseline)
    sets = sorted(scores, key=lambda s: (len(s), s))
    known: dict[str, Any] = {
        "values": np.array([scores[s] for s in sets]),
        "interaction_lookup": {s: i for i, s in enumerate(sets)},
        "interactions": {s: scores[s] for s in sets},
        "index": estimate.question.index,
        "max_order": len(sets[-1]),
        "min_order": 0,
        "n_players": len(result.players),
        "estimated": bool((estimate.std_errors > 0).any()),
        "estimation_budget": int(estimate.evaluations),
        "baseline_value": baseline,
    }
    return InteractionValues(**_accepted(InteractionValues, known))


def _accepted(kind: type, known: dict[str, Any]) -> dict[str, Any]:
    # The constructor's arguments change between releases; what it demands and we do not have must not pass unseen.
    taken = inspect.signature(kind.__init__).parameters
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    needed = {n for n, p in taken.items() if p.default is p.empty and p.kind in named and n != "self"}
    if unknown := needed - known.keys():
        raise InputError(f"this release of shapiq asks for {', '.join(sorted(unknown))}; install shapiq 1.4")
    return {name: value for name, value in known.items() if name in taken}


def _convertible(result: Result, index: str | None) -> Estimate:
    """The estimate asked for, else the first one with one value a set; complete."""
    estimate = _choose(result, index)
    if estimate.question.players is not None:
        raise NotEnoughSamples(
            f"{result.job}: {estimate.question.index} was asked of {len(estimate.coalitions)} of {len(result.players)} players, and these "
            "objects hold them all; take to_pandas() or to_arrow(), or ask without players"
        )
    gone = int(np.isnan(estimate.values).sum())
    if gone:
        raise NotEnoughSamples(
            f"{result.job}: {gone} values of {estimate.question.index} are missing, and these objects cannot say so; "
            "extend the budget, or ask for fewer sets"
        )
    return estimate


def _choose(result: Result, index: str | None) -> Estimate:
    if index is None:
        for estimate in result.estimates:
            if estimate.values.ndim == 2:
                return estimate
        return first_order(result)
    try:
        return first_order(result, index)
    except XaiRayError:
        return pairwise(result, index)


def _matrix(estimate: Estimate, values: Floats, result: Result) -> Floats:
    n = len(result.players)
    if max(len(s) for s in estimate.coalitions) > 2:
        raise InputError(f"shap draws pairs at most; {estimate.question.index} has larger sets: use to_shapiq()")
    keep = [r for r, s in enumerate(estimate.coalitions) if s]
    ends = np.array([(estimate.coalitions[r][0], estimate.coalitions[r][-1]) for r in keep], dtype=np.int64)
    half = values[keep] * np.where(ends[:, :1] == ends[:, 1:], 1.0, 0.5)
    out = np.zeros((n, n, values.shape[1]))
    out[ends[:, 0], ends[:, 1]] = half
    out[ends[:, 1], ends[:, 0]] = half
    return out


def _shapley(result: Result, output: int) -> dict[tuple[int, ...], float]:
    for estimate in result.estimates:
        if estimate.question.index == "SV" and is_first_order(estimate, len(result.players)):
            return {(i,): float(v) for i, v in enumerate(estimate.values[:, output])}
    return {}


def _data(result: Result) -> Any:
    """Words for a text, the column's own value for a table; nothing for other views."""
    if result.view is None or result.view.kind not in ("text", "table"):
        return None
    pairs = zip(result.view.labels, result.players, strict=True)
    return np.array([label.removeprefix(f"{name} = ") for label, name in pairs], dtype=object)


def _uninstalled(package: str) -> InputError:
    return InputError(f'{package} is not installed; run: pip install "xai-ray[oracle]"')
