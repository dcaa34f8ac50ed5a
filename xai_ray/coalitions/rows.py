"""Single rows of a design's sequence of evaluations, without making the draws that hold them where that can be spared."""

from __future__ import annotations

import numpy as np

from xai_ray.coalitions.design import Design
from xai_ray.coalitions.permutations import Permutations
from xai_ray.types import Coalitions, Ints


def coalitions_of_rows(design: Design, rows: Ints) -> Coalitions:
    """Coalitions of the evaluations `rows` (r,), counted over all draws of the design, shape (r, n)."""
    return np.stack([_coalition(design, int(row)) for row in rows])


def _coalition(design: Design, row: int) -> Coalitions:
    draw = design.affordable(row)
    within = row - design.evaluations(draw)
    if not isinstance(design, Permutations) or design.stochastic or draw == 0:
        return design.draw(draw, draw + 1).coalitions[within]
    # A draw holds all prefixes, n times as much as the order that they are of.
    order = design.orders(np.array([draw - 1], dtype=np.int64))[0]
    half = design.rows_per_draw // 2
    members = np.zeros(design.n_players, dtype=np.bool_)
    members[(order if within < half else order[::-1])[: within % half + 1]] = True
    return members
