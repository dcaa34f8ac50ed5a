"""The JSON form of a result; the shape is fixed and bit-reproducible, so times and machines stay out of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from xai_ray.estimators.estimate import Estimate
from xai_ray.reports.rows import context_sizes, is_first_order
from xai_ray.reports.wording import parameters
from xai_ray.types import Floats

if TYPE_CHECKING:
    from xai_ray.reports.result import Result


def result_document(result: Result) -> dict[str, Any]:
    """`{"job", "digest", "players", "outputs", "evaluations", "estimator", "estimates"}`; missing cells are None."""
    first = result.estimates[0]
    return {
        "job": result.job,
        "digest": result.digest,
        "players": list(result.players),
        "outputs": list(result.outputs),
        "evaluations": result.evaluations,
        "estimator": {"name": first.estimator, "evaluations": first.evaluations},
        "estimates": [estimate_document(estimate, len(result.players)) for estimate in result.estimates],
    }


def estimate_document(estimate: Estimate, n_players: int) -> dict[str, Any]:
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
