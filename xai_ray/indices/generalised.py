"""Generalised values and joint Shapley values: weighted marginal contributions v(T + S) - v(T) of a set as a block."""

from __future__ import annotations

from math import comb

import numpy as np

from xai_ray.indices.question import Question
from xai_ray.indices.sets import Sets, asked_sizes, rows_of, sets_of_size
from xai_ray.indices.transforms import by_size, count_players, subset_sums, superset_sums
from xai_ray.indices.weights import cardinal_weights
from xai_ray.types import Floats, Values


def block_values(table: Values, question: Question) -> tuple[Sets, Values]:
    """The asked sets and their values, shape (sets, k), for SGV, BGV, CHGV and JointSV. Takes a resolved question."""
    n = count_players(table)
    order = question.order or n
    shifted = table - table[0]
    sets: Sets = ()
    parts: list[Values] = []
    for size in asked_sizes(question):
        if question.index == "JointSV":
            weights = joint_weights(n, order)[: n - size + 1]
        else:
            weights = cardinal_weights(question.index, size, n, order)
        found = sets_of_size(question, n, size)
        rows = rows_of(found, size)
        pad = np.zeros(size)
        present = superset_sums(by_size(shifted, np.concatenate([pad, weights])))[rows]
        absent = subset_sums(by_size(shifted, np.concatenate([weights, pad])))[table.shape[0] - 1 - rows]
        parts.append(present - absent)
        sets += found
    return sets, np.concatenate(parts)


def joint_weights(n: int, order: int) -> Floats:
    """Shape (n,): weight q_t of v(T + S) - v(T) for every S of at most `order` players. Harris, Pymar, Rowat (2022).

    Blocks of at most `order` players join until all are in: what reaches a set of t players leaves it again in equal
    parts, one for each block that may join.
    """
    weights = np.zeros(n)
    weights[0] = 1 / sum(comb(n, s) for s in range(1, order + 1))
    for t in range(1, n):
        arriving = sum(comb(t, s) * weights[s] for s in range(max(t - order, 0), t))
        weights[t] = arriving / sum(comb(n - t, s) for s in range(1, min(order, n - t) + 1))
    return weights
