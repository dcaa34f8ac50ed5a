"""Multivariate interaction B([A]) and its extremes over contiguous partitions of A. Zhang et al. (AAAI 2021).

Only the players outside A and one merged block C of A play; the rest of A stays absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from xai_ray.indices.sets import mask_of, unions
from xai_ray.indices.transforms import coalition_sizes, count_players
from xai_ray.types import Floats, Values

Run = tuple[int, ...]

_TIE = 1e-12
"""Differences below this share of the largest phi are rounding."""


@dataclass(frozen=True, slots=True)
class Extreme:
    """An extreme over the 2^(|A|-1) partitions of A into contiguous runs, with the partition that attains it."""

    values: Floats
    """Shape (k,): sum over the runs of phi([C] | N_C) minus the sum over single players."""
    partitions: tuple[tuple[Run, ...], ...]
    """The runs of the best partition, for each output."""


def multivariate_interaction(table: Values, members: Run) -> Values:
    """B([A]) = phi([A] | N_A) - sum_{a in A} phi(a | N_a), shape (k,)."""
    singles = [(player,) for player in members]
    merged = merged_values(table, members, [members, *singles])
    return merged[0] - merged[1:].sum(axis=0)


def merged_values(table: Values, members: Run, blocks: list[Run]) -> Values:
    """phi([C] | N_C) of each block C, shape (blocks, k): sum over S outside of s! (r-s)! / (r+1)! [v(S + C) - v(S)]."""
    n = count_players(table)
    outside = unions(1 << player for player in range(n) if player not in members)
    r = n - len(members)
    weights = np.array([1 / ((r + 1) * comb(r, s)) for s in range(r + 1)])[coalition_sizes(r)]
    return np.stack([weights @ (table[outside | mask_of(block)] - table[outside]) for block in blocks])


def contiguous_runs(size: int) -> tuple[tuple[int, int], ...]:
    """First and last position of every run of `size` ordered players."""
    return tuple((a, b) for b in range(size) for a in range(b + 1))


def extreme_interaction(table: Values, members: Run, largest: bool) -> Extreme:
    """B_max or B_min over contiguous partitions of the ordered A."""
    runs = contiguous_runs(len(members))
    values = merged_values(table, members, [members[a : b + 1] for a, b in runs])
    return best_partition(values, runs, members, largest)


def best_partition(values: Values, runs: Sequence[tuple[int, int]], members: Run, largest: bool) -> Extreme:
    """The extreme over contiguous partitions from phi([C] | N_C) of every run, shape (runs, k): best[b] = max_a best[a-1] + phi([a..b]).

    Where partitions tie up to rounding, runs are as short as possible.
    `runs` holds the first and last position of each row of `values`; all |A|(|A|+1)/2 of them, in any order.
    """
    size, outputs = len(members), values.shape[1]
    phi = dict(zip(runs, values, strict=True))
    best = np.zeros((size + 1, outputs))
    start = np.zeros((size, outputs), dtype=np.int64)
    for b in range(size):
        ends = np.stack([best[a] + phi[a, b] for a in range(b + 1)])
        gain = ends if largest else -ends
        # Of runs that tie up to rounding the shortest: players that do not interact stay apart.
        tie = gain >= gain.max(axis=0) - _TIE * np.abs(values).max(axis=0)
        start[b] = b - tie[::-1].argmax(axis=0)
        best[b + 1] = np.take_along_axis(ends, start[b][None, :], axis=0)[0]
    singles = np.stack([phi[a, a] for a in range(size)]).sum(axis=0)
    cuts = tuple(_runs(members, [int(first) for first in start[:, output]]) for output in range(outputs))
    return Extreme(best[size] - singles, cuts)


def _runs(members: Run, start: list[int]) -> tuple[Run, ...]:
    runs: list[Run] = []
    end = len(members)
    while end > 0:
        first = start[end - 1]
        runs.append(members[first:end])
        end = first
    return tuple(reversed(runs))
