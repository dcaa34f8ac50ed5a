"""A question: which index, of which order, over which contexts and sets."""

from __future__ import annotations

from dataclasses import dataclass

from xai_ray.indices.grouping import Group
from xai_ray.indices.table import INDICES


@dataclass(frozen=True, slots=True)
class Question:
    """Fields that an index does not use stay at their defaults; `xai_ray.indices.resolve` checks them against n."""

    index: str
    """Tag of the index in the table (`SV`, `SII`, `MOI`, ...)."""
    order: int | None = None
    """Size of the largest sets asked for; None takes the index's usual one."""
    contexts: tuple[int, ...] | None = None
    """Context sizes m of order-m Shapley values and multi-order interactions; None takes all of them."""
    pairs: tuple[tuple[int, int], ...] | None = None
    """Restricts pairwise answers to these pairs; None takes all."""
    p: float | None = None
    """Keep-rate of the weighted Banzhaf value."""
    alpha: float | None = None
    """First parameter of the Beta semivalue."""
    beta: float | None = None
    """Second parameter of the Beta semivalue."""
    weights: tuple[float, ...] | None = None
    """Semivalue: weight of each predecessor-set size 0..n-1, summing to one."""
    groups: tuple[Group, ...] | None = None
    """Coalition structure of the Owen value, whose groups may be grouped in turn; a set A (one group) of the multivariate interaction."""
    split: str | None = None
    """How v is split for AND and OR interactions: "sparse", or None for the even split (resolving "even" gives None)."""
    players: tuple[int, ...] | None = None
    """Restricts a semivalue to these players; None takes all."""

    @property
    def shares_score(self) -> bool:
        """Whether it asks an index of a game; not so a value of data points by a method of its own, whose sum means nothing."""
        return self.index in INDICES
