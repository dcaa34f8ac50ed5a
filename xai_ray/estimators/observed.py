"""The universal partial: the draws seen so far with their values. Any estimator can be computed from it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xai_ray.coalitions import Draw
from xai_ray.types import Coalitions, Ints, Values


@dataclass(frozen=True)
class Observed:
    """Parts by ascending first draw; `merge` is a union, so observing a part twice changes nothing."""

    parts: dict[int, tuple[Draw, Values]] = field(default_factory=dict[int, tuple[Draw, Values]])

    def merge(self, other: Observed) -> Observed:
        """The union, in canonical order."""
        both = {**self.parts, **other.parts}
        return Observed({start: both[start] for start in sorted(both)})

    def rows(self) -> Rows:
        """All parts as one table; `draws` numbers rows across parts."""
        draws = [d for d, _ in self.parts.values()]
        offsets = np.cumsum([0, *(len(d) for d in draws)])
        return Rows(
            coalitions=np.concatenate([d.coalitions for d in draws]),
            values=np.concatenate([v for _, v in self.parts.values()]),
            owner=np.concatenate([d.owner + o for d, o in zip(draws, offsets[:-1], strict=True)]),
            stratum=np.concatenate([d.stratum for d in draws]),
            index=np.concatenate([d.index for d in draws]),
        )


class KeepsRows:
    """What estimators share whose partial is the rows themselves."""

    __slots__ = ()

    def empty(self) -> Observed:
        """No draws."""
        return Observed()

    def observe(self, draw: Draw, values: Values) -> Observed:
        """Keeps the rows."""
        return Observed({draw.start: (draw, values)})

    def merge(self, a: Observed, b: Observed) -> Observed:
        """Union."""
        return a.merge(b)


@dataclass(frozen=True, slots=True)
class Rows:
    """Evaluated coalitions: r rows, d draws, k outputs."""

    coalitions: Coalitions
    """Shape (r, n)."""
    values: Values
    """Shape (r, k)."""
    owner: Ints
    """Shape (r,): draw of each row."""
    stratum: Ints
    """Shape (d,)."""
    index: Ints
    """Shape (d,)."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The rows of a paired design, taken apart: p pairs (S, complement), without the empty and the grand coalition."""

    members: Coalitions
    """Shape (p, n): S, the member with at most n/2 players."""
    inside: Values
    """Shape (p, k): v(S)."""
    outside: Values
    """Shape (p, k): v(complement of S)."""
    stratum: Ints
    """Shape (p,): |S|."""
    index: Ints
    """Shape (p,): number of the pair within its stratum."""
    empty: Values
    """Shape (k,): v(empty coalition)."""
    grand: Values
    """Shape (k,): v(grand coalition)."""


def paired(rows: Rows) -> Pairs:
    """Rows of a `Strata` design as pairs. Its draw 0 is (empty, grand); row 2t and 2t+1 are a coalition and its complement."""
    inner = rows.stratum > 0
    return Pairs(
        members=rows.coalitions[0::2][inner],
        inside=rows.values[0::2][inner],
        outside=rows.values[1::2][inner],
        stratum=rows.stratum[inner],
        index=rows.index[inner],
        empty=rows.values[0],
        grand=rows.values[1],
    )
