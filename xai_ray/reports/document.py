"""The JSON form of a result; the shape is fixed and bit-reproducible, so times and machines stay out of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from xai_ray.estimators.bands import half_widths
from xai_ray.estimators.estimate import Estimate
from xai_ray.reports.each_text import each_document
from xai_ray.reports.rows import context_sizes, is_first_order
from xai_ray.reports.wording import parameters
from xai_ray.types import Floats

if TYPE_CHECKING:
    from xai_ray.reports.result import Result


def result_document(result: Result, bands: bool = False) -> dict[str, Any]:
    """`{"job", "digest", "players", "outputs", "evaluations", "estimator", "estimates"}`; missing cells are None.
    Of a dataset job there is `rows`, how many, and the estimates are means over them.

    A job with stop rules has `stop`: {"by", "asked", "precise", "open"}; one that was checked against its estimator has `self_check`:
    {"refitted", "of", "largest", "differ", "tolerance", "beyond"} and, where that cannot be fitted, {"unfitted", "why"}. With `bands`
    every estimate has `half_widths`, shaped as its values: `value - half_width .. value + half_width` holds for all its entries of one
    output at once, with 95 % confidence.
    """
    if result.texts is not None:
        return each_document(result, result.texts)
    first = result.estimates[0]
    stop, check = result.provenance.get("stop"), result.provenance.get("self_check")
    return {
        "job": result.job,
        "digest": result.digest,
        "players": list(result.players),
        "outputs": list(result.outputs),
        "evaluations": result.evaluations,
        **({"rows": result.rows.n_rows} if result.rows is not None else {}),
        **({"stop": stop} if stop else {}),
        **({"self_check": check} if check else {}),
        "estimator": {"name": first.estimator, "evaluations": first.evaluations},
        "estimates": [estimate_document(estimate, len(result.players), bands) for estimate in result.estimates],
    }


def estimate_document(estimate: Estimate, n_players: int, bands: bool = False) -> dict[str, Any]:
    """One entry of `estimates`. `coalitions` are left out when they are the single players in order."""
    question = estimate.question
    largest = max((len(s) for s in estimate.coalitions), default=1)
    out: dict[str, Any] = {"index": question.index, "order": question.order or largest}
    if set_to := parameters(question):
        out["parameters"] = set_to
    if estimate.values.ndim == 3:
        out["contexts"] = list(context_sizes(estimate))
    if not is_first_order(estimate, n_players):
        out["coalitions"] = [list(s) for s in estimate.coalitions]
    out["values"] = nested(estimate.values)
    out["std_errors"] = nested(estimate.std_errors)
    if bands:
        out["half_widths"] = nested(half_widths(estimate.std_errors, estimate.degrees_of_freedom))
    out["estimator"] = estimate.estimator
    out["evaluations"] = estimate.evaluations
    if math.isfinite(estimate.degrees_of_freedom):
        out["degrees_of_freedom"] = estimate.degrees_of_freedom
    return out


def nested(array: Floats) -> list[Any]:
    """Nested lists of an array of shape (..., k); the last axis goes when k is 1; what is not finite becomes None."""
    squeezed = array[..., 0] if array.shape[-1] == 1 else array
    gone = ~np.isfinite(squeezed)
    if not gone.any():
        return squeezed.tolist()
    boxed = squeezed.astype(object)
    boxed[gone] = None
    return boxed.tolist()
