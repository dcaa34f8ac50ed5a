"""Sets of players and their rows in a table."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, combinations

import numpy as np

from xai_ray.indices.question import Question
from xai_ray.indices.table import INDICES
from xai_ray.types import Ints

Sets = tuple[tuple[int, ...], ...]


def asked_sizes(question: Question) -> range:
    """Sizes of the sets that a resolved question about sets asks for."""
    order = question.order
    if order is None:
        raise ValueError("resolve the question first")
    first = {"of_order": order, "up_to_order": 1, "all_up_to_order": 0}[INDICES[question.index].sets]
    return range(first, order + 1)


def sets_of_size(question: Question, n: int, size: int) -> Sets:
    """The asked sets of one size, in lexicographic order; `pairs` restricts those of size 2."""
    if size == 2 and question.pairs is not None:
        return question.pairs
    return tuple(combinations(range(n), size))


def rows_of(sets: Sets, size: int) -> Ints:
    """Rows of sets of one size in a table, shape (len(sets),)."""
    players = np.fromiter(chain.from_iterable(sets), dtype=np.int64, count=len(sets) * size)
    return (np.int64(1) << players).reshape(len(sets), size).sum(axis=1)


def unions(masks: Iterable[int]) -> Ints:
    """Rows of the unions of c disjoint coalitions, shape (2^c,); bit b of the position says whether number b is in."""
    rows = np.zeros(1, dtype=np.int64)
    for mask in masks:
        rows = np.concatenate([rows, rows | mask])
    return rows


def mask_of(players: Iterable[int]) -> int:
    """Row of one set."""
    return sum(1 << player for player in players)
