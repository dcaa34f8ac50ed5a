"""Exact answers to every question from the complete table of 2^n values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xai_ray.indices.andor import and_or
from xai_ray.indices.cardinal import interactions
from xai_ray.indices.generalised import block_values
from xai_ray.indices.grouping import members
from xai_ray.indices.multivariate import extreme_interaction, multivariate_interaction
from xai_ray.indices.owen import owen_values
from xai_ray.indices.profile import pair_profile, player_profile
from xai_ray.indices.question import Question
from xai_ray.indices.resolve import resolve
from xai_ray.indices.sets import Sets, asked_sizes, rows_of, sets_of_size
from xai_ray.indices.sparse_andor import sparse_and_or
from xai_ray.indices.strength import root_mean_square_strength, strength_per_order
from xai_ray.indices.table import INDICES
from xai_ray.indices.transforms import check_finite, comoebius, count_players, moebius, walsh
from xai_ray.indices.weights import semivalue_weights
from xai_ray.types import Floats, Values


@dataclass(frozen=True, slots=True)
class ExactAnswer:
    """The exact values of c sets for k outputs."""

    question: Question
    """What was asked, with all defaults filled in."""
    coalitions: Sets
    """The c sets, by size, then lexicographic; each an ascending tuple of players. One empty set for J."""
    values: Floats
    """Shape (c, k), or (c, m, k) when the question has contexts; in units of v."""


def exact(table: Values, question: Question) -> ExactAnswer:
    """The answer from all values of a game: `table` has shape (2^n, k), player i is bit i of the row.

    Raises InputError for a table of another shape, NonFiniteValue for NaN or infinity, and what `resolve` raises.
    """
    asked = resolve(question, count_players(table))
    check_finite(table)
    answer = _ANSWERS.get(asked.index) or _BY_KIND[INDICES[asked.index].kind]
    coalitions, values = answer(np.ascontiguousarray(table, dtype=np.float64), asked)
    return ExactAnswer(asked, coalitions, values)


def _semivalue(table: Values, asked: Question) -> tuple[Sets, Floats]:
    n = count_players(table)
    values = np.einsum("m,imk->ik", semivalue_weights(asked, n), player_profile(table))
    if asked.players is None:
        return _players(n), values
    return tuple((player,) for player in asked.players), values[list(asked.players)]


def _order_m_values(table: Values, asked: Question) -> tuple[Sets, Floats]:
    return _players(count_players(table)), player_profile(table)[:, list(asked.contexts or ())]


def _multi_order(table: Values, asked: Question) -> tuple[Sets, Floats]:
    pairs = sets_of_size(asked, count_players(table), 2)
    return pairs, pair_profile(table, pairs)[:, list(asked.contexts or ())]


def _strength(table: Values, asked: Question) -> tuple[Sets, Floats]:
    summary = strength_per_order if asked.index == "J" else root_mean_square_strength
    return ((),), summary(_multi_order(table, asked)[1])[None]


def _owen(table: Values, asked: Question) -> tuple[Sets, Floats]:
    return _players(count_players(table)), owen_values(table, asked.groups or ())


def _group(asked: Question) -> tuple[int, ...]:
    return members((asked.groups or ((),))[0])


def _multivariate(table: Values, asked: Question) -> tuple[Sets, Floats]:
    return (tuple(sorted(_group(asked))),), multivariate_interaction(table, _group(asked))[None]


def _extreme(table: Values, asked: Question) -> tuple[Sets, Floats]:
    extreme = extreme_interaction(table, _group(asked), largest=asked.index == "BMAX")
    return (tuple(sorted(_group(asked))),), extreme.values[None]


def _transform(table: Values, asked: Question) -> tuple[Sets, Floats]:
    transformed = _and_or(table, asked) if asked.index in ("AND", "OR") else _TRANSFORMS[asked.index](table)
    found = [(size, sets_of_size(asked, count_players(table), size)) for size in asked_sizes(asked)]
    rows = np.concatenate([rows_of(sets, size) for size, sets in found])
    return tuple(one for _, sets in found for one in sets), transformed[rows]


def _and_or(table: Values, asked: Question) -> Values:
    found = sparse_and_or(table) if asked.split == "sparse" else and_or(table)
    return found[("AND", "OR").index(asked.index)]


def _players(n: int) -> Sets:
    return tuple((player,) for player in range(n))


_TRANSFORMS: dict[str, Callable[[Values], Values]] = {
    "Moebius": moebius,
    "CoMoebius": comoebius,
    "Fourier": walsh,
}

_BY_KIND: dict[str, Callable[[Values, Question], tuple[Sets, Floats]]] = {
    "value": _semivalue,
    "interaction": interactions,
    "transform": _transform,
    "generalised": block_values,
    "strength": _strength,
}

_ANSWERS: dict[str, Callable[[Values, Question], tuple[Sets, Floats]]] = {
    "PHIM": _order_m_values,
    "MOI": _multi_order,
    "Owen": _owen,
    "MVI": _multivariate,
    "BMAX": _extreme,
    "BMIN": _extreme,
}
"""Indices that their kind alone does not settle."""
