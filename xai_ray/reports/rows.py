"""An estimate as rows: one a set, or one a set and context; what tables, files and plots are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.estimators.estimate import Estimate
from xai_ray.types import Floats, Ints


@dataclass(frozen=True)
class Rows:
    """r rows for k outputs, ordered by set, then context."""

    estimate: Estimate
    sets: Ints
    """Shape (r,): position in `estimate.coalitions`."""
    contexts: Ints | None
    """Shape (r,): context size of each row; None when the index has no contexts."""
    values: Floats
    """Shape (r, k); NaN where missing."""
    std_errors: Floats
    """Shape (r, k)."""
    low: Floats
    """Shape (r, k): lower ends of the 95 % intervals."""
    high: Floats
    """Shape (r, k): upper ends of the 95 % intervals."""

    @property
    def missing(self) -> Ints:
        """Shape (k,): how many rows have no value."""
        return np.isnan(self.values).sum(axis=0)

    def strongest(self, output: int = 0, top: int | None = None) -> Ints:
        """Rows by falling |value|, ties by position; rows without a value are left out."""
        strength = np.abs(self.values[:, output])
        order = np.argsort(-strength, kind="stable")
        order = order[: int(np.count_nonzero(~np.isnan(strength)))]
        return order if top is None else order[:top]

    def shown(self, output: int = 0, top: int = 12) -> Ints:
        """What a table shows: the `top` strongest sets of the largest size, then half as many of each smaller size.

        Small sets would else crowd out the interactions. With more than three sizes, the `top` strongest of all.
        """
        sizes = np.array([len(s) for s in self.estimate.coalitions], dtype=np.int64)
        order, different = self.strongest(output), np.unique(sizes)[::-1]
        if len(different) > 3:
            return order[:top]
        size = sizes[self.sets[order]]
        parts = [order[size == s][: top if i == 0 else top // 2] for i, s in enumerate(different)]
        return np.concatenate([order[:0], *parts])

    def coalition(self, row: int) -> tuple[int, ...]:
        """The set of a row."""
        return self.estimate.coalitions[int(self.sets[row])]

    def context(self, row: int) -> int | None:
        """The context size of a row, or None."""
        return None if self.contexts is None else int(self.contexts[row])


def rows(estimate: Estimate) -> Rows:
    """All rows of an estimate."""
    c, k = len(estimate.coalitions), estimate.values.shape[-1]
    m = estimate.values.shape[1] if estimate.values.ndim == 3 else 1
    contexts = None
    if estimate.values.ndim == 3:
        contexts = np.tile(np.asarray(context_sizes(estimate), dtype=np.int64), c)
    low, high = estimate.intervals(0.95)
    flat = [
        np.asarray(a, dtype=np.float64).reshape(c * m, k) for a in (estimate.values, estimate.std_errors, low, high)
    ]
    return Rows(estimate, np.repeat(np.arange(c), m), contexts, flat[0], flat[1], flat[2], flat[3])


def context_sizes(estimate: Estimate) -> tuple[int, ...]:
    """Context sizes along axis 1 of `estimate.values`, shape (c, m, k)."""
    asked = estimate.question.contexts
    return tuple(range(estimate.values.shape[1])) if asked is None else tuple(int(m) for m in asked)


def is_first_order(estimate: Estimate, n_players: int) -> bool:
    """Whether the sets are the single players 0..n-1 in this order."""
    return single_players(estimate.coalitions, n_players)


def single_players(sets: tuple[tuple[int, ...], ...], n_players: int) -> bool:
    """Whether these are the single players 0..n-1 in this order."""
    return sets == tuple((i,) for i in range(n_players))
