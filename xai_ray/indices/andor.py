"""AND and OR interactions of a game split into v = v_and + v_or. Li, Zhang (ICML 2023); Zhou et al. (2023)."""

from __future__ import annotations

from xai_ray.errors import InputError
from xai_ray.indices.transforms import moebius
from xai_ray.types import Values


def and_or(table: Values, gamma: Values | None = None) -> tuple[Values, Values]:
    """AND and OR interactions of every set, each of shape (2^n, k), for v_and = v/2 + gamma and v_or = v/2 - gamma.

    `gamma` has the shape of the table; without it the split is even. The empty set carries v_and(empty) and
    v_or(empty), so v(T) = sum of AND over S in T + sum of OR over S that meet T + OR(empty), for every gamma.
    """
    if gamma is not None and gamma.shape != table.shape:
        raise InputError(f"gamma must have the shape of the table {table.shape}, got {gamma.shape}")
    shift = 0.0 if gamma is None else gamma
    v_and, v_or = table / 2 + shift, table / 2 - shift
    # The row of N - L is the row of L counted from the end.
    or_interactions = -moebius(v_or[::-1])
    or_interactions[0] = v_or[0]
    return moebius(v_and), or_interactions
