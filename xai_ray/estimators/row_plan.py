"""From questions and a budget a row to the design of a dataset job."""

from __future__ import annotations

from collections.abc import Sequence

from xai_ray.coalitions import RowBlocks
from xai_ray.errors import SpecError
from xai_ray.estimators.plan import Ask, Plan, plan
from xai_ray.estimators.row_answers import check_whole, row_ask

_NUMBERS = 1 << 26
"""Input numbers that a unit runs through the model: about a second of work."""
_LARGEST_BLOCK = 256


def plan_rows(
    asks: Sequence[Ask],
    n: int,
    rows: int,
    evaluations: int | None,
    seed: int,
    *,
    stochastic: bool = False,
    numbers: int = 1,
    unit_rows: int | None = None,
    parts: int = 1,
) -> Plan:
    """The plan of `rows` rows of n players each, with `evaluations` of v a row (None: all 2^n).

    `numbers`: how many numbers one evaluation puts into the model (fillings times the size of a row); it sizes the units,
    unless `unit_rows` says how many rows one has. `parts`: those of the background, which `numbers` counts together. Raises what
    `plan` raises, and SpecError for questions that a dataset job does not answer.
    """
    for ask in asks:
        check_whole(ask.question)
    sampled = evaluations is not None and (stochastic or evaluations < 1 << min(n, 62))
    named = [row_ask(ask, n, evaluations, parts=parts) if sampled and evaluations is not None else ask for ask in asks]
    one = plan(named, n, evaluations, seed, stochastic)
    budget = one.design.evaluations(one.draws)
    if unit_rows is not None and unit_rows < 1:
        raise SpecError(f"unit_rows = {unit_rows}: at least one row a unit")
    block = unit_rows or max(1, min(_LARGEST_BLOCK, _NUMBERS // max(1, budget * numbers), rows))
    return Plan(one.asks, RowBlocks(one.design, one.draws, rows, block, seed, parts), rows)
