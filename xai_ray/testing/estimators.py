"""The contract of an estimator: partials merge in any cut and order, nothing changes its arguments, a full budget is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from xai_ray.coalitions import Design
from xai_ray.coalitions.exhaustive import pack
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.protocol import Estimator
from xai_ray.indices import exact
from xai_ray.types import Values

TOLERANCE = 1e-9


def check_estimator(
    make: Callable[[Design], Estimator[Any]], design: Design, draws: int, table: Values, cut: Iterable[tuple[int, int]]
) -> Estimate:
    """Run the contract on the first `draws` draws of `design` for the game with this table (2^n, k); returns the estimate.

    `cut` lists parts [start, stop) of the draws in any order. Raises AssertionError that says which law broke.
    """
    estimator = make(design)

    def part(start: int, stop: int) -> Any:
        draw = design.draw(start, stop)
        return estimator.observe(draw, table[pack(draw.coalitions)])

    whole = estimator.finish(part(0, draws))
    merged = estimator.empty()
    kept = part(0, draws)
    for start, stop in cut:
        merged = estimator.merge(merged, part(start, stop))
    assert_same(estimator.finish(merged), whole, "merging parts in any cut and order must give one answer")
    neutral = estimator.merge(kept, estimator.empty())
    assert_same(estimator.finish(neutral), whole, "the empty partial must be neutral")
    estimator.merge(kept, part(0, 1))
    assert_same(estimator.finish(kept), whole, "observe and merge must not change what they were given")
    sets, shape = len(whole.coalitions), whole.values.shape
    assert shape == whole.std_errors.shape, (
        f"values {shape} and standard errors {whole.std_errors.shape} differ in shape"
    )
    assert shape[0] == sets, f"{sets} sets need as many rows, got {shape}"
    assert shape[-1] == table.shape[1], f"{table.shape[1]} outputs need a last axis of that length, got {shape}"
    assert whole.evaluations <= design.evaluations(draws), "more evaluations reported than were made"
    if design.capacity == draws:
        truth = exact(table, whole.question)
        assert whole.coalitions == truth.coalitions, "sets differ from those of the exact answer"
        scale = 1.0 + float(np.abs(table).max())
        error = float(np.abs(whole.values - truth.values).max())
        assert error <= TOLERANCE * scale, f"full budget must be exact, off by {error:.3g}"
        assert (whole.std_errors == 0).all(), "an exact answer has no standard error"
    return whole


def assert_same(found: Estimate, expected: Estimate, law: str) -> None:
    """Equal values and standard errors, up to rounding."""
    scale = 1.0 + float(np.nanmax(np.abs(expected.values), initial=0.0))
    for a, b in ((found.values, expected.values), (found.std_errors, expected.std_errors)):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=TOLERANCE * scale, err_msg=law)
