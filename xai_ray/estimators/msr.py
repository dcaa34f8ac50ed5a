"""`msr`: maximum sample reuse. Every semivalue, and order-m Shapley values, with every coalition used for every player.

Wang, Jia, "Data Banzhaf" (AISTATS 2023), for any semivalue: the mean of v over the coalitions of each size with the player minus the
mean over those without, by the weights of the index. Here on paired strata: each mean is level plus covariance with membership, so that
the level of a size costs no variance; the straight line from v(empty) to v(N) is taken out first. Unbiased, exact at full budget.

Standard errors: variance of the pairs' contributions within strata, with finite-population correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed, Pairs, paired
from xai_ray.estimators.realised import by_strata, realised
from xai_ray.indices import Question, readouts
from xai_ray.types import Coalitions, Floats, Values

_PRIOR_PAIRS = 2.0
"""The variance of a player's contributions is averaged with this many pseudo-pairs of the mean over players."""
_NEGLIGIBLE = 1e-12
"""Sizes with less than this share of the index's weight need not be drawn."""


@dataclass(frozen=True, slots=True)
class MaximumSampleReuse(KeepsRows):
    """SV, BV, WBV, BETA, SEMI and PHIM of every player."""

    question: Question
    design: Strata
    name: str = "msr"

    def finish(self, partial: Observed) -> Estimate:
        """Sums over strata what each says about every player."""
        n = self.design.n_players
        if not partial.parts:
            raise NotEnoughSamples(f"msr needs {minimum(n)} evaluations, has none")
        rows = partial.rows()
        pairs = paired(rows)
        (readout,) = readouts(self.question, n)
        out, into = readout.cells[:, 0], readout.cells[:, 1]
        missing = self._missing(np.abs(out) + np.abs(into), pairs)
        total = pairs.grand - pairs.empty
        at = np.arange(n + 1) / n
        # The line v(empty) + (s/n) total is answered exactly; the strata estimate what is left.
        base = (out + into).sum(axis=1)[:, None] * pairs.empty + ((out + into) @ at)[:, None] * total
        values = np.repeat(base[None], n, axis=0)
        variance, weighted = np.zeros_like(values), np.zeros_like(values)
        counts, undrawn = realised(self.design, pairs.stratum)
        for h in np.flatnonzero(counts[1:]) + 1:
            mine = _Stratum.of(pairs, int(h), self.design, float(undrawn[h]))
            level, spread = mine.read(into, out)
            values += level
            variance += spread
            weighted += spread**2 / max(mine.drawn - 1, 0.5)
        values[:, missing], variance[:, missing] = np.nan, np.nan
        return self._estimate(values, np.sqrt(variance), _freedom(variance, weighted), len(rows.coalitions))

    def _missing(self, weight: Floats, pairs: Pairs) -> list[int]:
        """Columns (contexts) that read a size nothing was drawn of. Raises NotEnoughSamples when no column is left."""
        n = self.design.n_players
        drawn = np.zeros(n + 1, dtype=np.bool_)
        drawn[[0, n]] = True
        drawn[pairs.stratum] = drawn[n - pairs.stratum] = True
        unseen = (weight > _NEGLIGIBLE * weight.sum(axis=1, keepdims=True)) & ~drawn
        missing = unseen.any(axis=1)
        if missing.all():
            sizes = ", ".join(map(str, np.flatnonzero(unseen.any(axis=0))[:8]))
            raise NotEnoughSamples(
                f"msr: no coalition of size {sizes} was drawn, which {self.question.index} needs; extend the budget to "
                f"{max(minimum(n), 4 * len(pairs.stratum))} evaluations or more"
            )
        return np.flatnonzero(missing).tolist()

    def _estimate(self, values: Floats, errors: Floats, freedom: float, evaluations: int) -> Estimate:
        players = tuple((i,) for i in range(self.design.n_players))
        if self.question.contexts is None:
            values, errors = values[:, 0], errors[:, 0]
        return Estimate(self.question, players, values, errors, self.name, evaluations, freedom)


@dataclass(frozen=True, slots=True)
class _Stratum:
    """The pairs of one stratum: p pairs, k outputs; values less the line between the ends."""

    members: Coalitions
    """Shape (p, n)."""
    inside: Values
    """Shape (p, k), less their mean."""
    outside: Values
    levels: tuple[Values, Values]
    """Those means, shape (k,) each."""
    size: int
    undrawn: float
    unbiased: float
    """What makes the mean product of the sample a covariance of the population: p (N-1) / ((p-1) N)."""

    @classmethod
    def of(cls, pairs: Pairs, h: int, design: Strata, undrawn: float) -> _Stratum:
        mine, n = pairs.stratum == h, design.n_players
        line = pairs.grand - pairs.empty
        inside = pairs.inside[mine] - pairs.empty - line * (h / n)
        outside = pairs.outside[mine] - pairs.empty - line * (1 - h / n)
        levels = inside.mean(axis=0), outside.mean(axis=0)
        drawn, pool = int(mine.sum()), design.pool(h)
        if drawn == 1 and undrawn > 0:
            # One pair knows no covariance: its plain product is unbiased.
            nothing = np.zeros_like(levels[0])
            return cls(pairs.members[mine], inside, outside, (nothing, nothing), h, undrawn, 1.0)
        factor = 0.0 if drawn == 1 else drawn / (drawn - 1)
        population = 1.0 if design.stochastic else 1.0 - 1 / pool if pool < 1 << 60 else 1.0
        return cls(
            pairs.members[mine], inside - levels[0], outside - levels[1], levels, h, undrawn, factor * population
        )

    @property
    def drawn(self) -> int:
        """Pairs p."""
        return len(self.members)

    def read(self, into: Floats, out: Floats) -> tuple[Floats, Floats]:
        """What the stratum adds to each player's r values, and its variance, each (n, r, k); `into`, `out` are (r, n+1)."""
        n, h = self.members.shape[1], self.size
        t = n - h
        middle = 0.5 if h == t else 1.0
        # A pair gives `member` to the players of S and `other` to those of its complement, shape (p, r, k).
        w = middle * np.stack([into[:, h] * n / h, out[:, h] * n / t, into[:, t] * n / t, out[:, t] * n / h])
        member = w[0][:, None] * self.inside[:, None] + w[3][:, None] * self.outside[:, None]
        other = w[1][:, None] * self.inside[:, None] + w[2][:, None] * self.outside[:, None]
        share = np.full((n, 1, 1), h / n)
        if h == t:
            share = np.full((n, 1, 1), (h - 1) / (n - 1))
            share[0] = 1.0
        inner, outer = self.levels
        level = share * (w[0][:, None] * inner + w[3][:, None] * outer)
        level = level + (1 - share) * (w[1][:, None] * inner + w[2][:, None] * outer)
        mean = self._by_player(member, other) / self.drawn
        if self.undrawn == 0:
            return level + self.unbiased * mean, np.zeros_like(mean)
        square = self._by_player(member**2, other**2) / self.drawn - (mean**2 if self.drawn > 1 else 0.0)
        pooled = (self.drawn * square + _PRIOR_PAIRS * square.mean(axis=0)) / (self.drawn + _PRIOR_PAIRS)
        spread = np.maximum(pooled, 0.0) * max(self.unbiased, 1.0) ** 2 / max(self.drawn - 1, 1)
        return level + self.unbiased * mean, self.undrawn * spread

    def _by_player(self, member: Floats, other: Floats) -> Floats:
        """Sum over pairs of `member` where the player is in S and of `other` where not, shape (n, r, k)."""
        flat = (member - other).reshape(self.drawn, -1)
        sums = self.members.T.astype(np.float64) @ flat + other.reshape(self.drawn, -1).sum(axis=0)
        return sums.reshape(-1, *member.shape[1:])


def _freedom(variance: Floats, weighted: Floats) -> float:
    """Satterthwaite's degrees of freedom, from the means over players, contexts and outputs."""
    known = ~np.isnan(variance) & (variance > 0)
    if not known.any():
        return inf
    scale = variance[known].mean()
    return max(1.0, float(((variance[known] / scale) ** 2).mean() / (weighted[known] / scale**2).mean()))


def minimum(n: int) -> int:
    """Evaluations that exhaust the singles and reach every size the index weighs."""
    return min(1 << min(n, 62), 2 + 8 * n)


def size_law(question: Question, n: int) -> Floats:
    """Neyman's allocation for values of equal variance: sqrt(w^2 n/s + w'^2 n/(n-s)) by size, then by stratum."""
    if n < 2:
        return np.ones(0)
    (readout,) = readouts(question, n)
    out, into = readout.cells[:, 0, 1:n], readout.cells[:, 1, 1:n]
    s = np.arange(1, n)
    each = np.sqrt(into**2 * (n / s) + out**2 * (n / (n - s)))
    sums = each.sum(axis=1, keepdims=True)
    law = np.zeros(n + 1)
    law[1:n] = np.divide(each, sums, out=np.zeros_like(each), where=sums > 0).mean(axis=0)
    return by_strata(law) if law.any() else by_strata(np.ones(n + 1))


INFO = EstimatorInfo(
    name="msr",
    indices=("SV", "BV", "WBV", "BETA", "SEMI", "PHIM"),
    orders=(1,),
    designs=("strata",),
    minimum=lambda question, n, stochastic=False: minimum(n),
    make=MaximumSampleReuse,
    summary="every semivalue from the mean of v by size and membership; every coalition serves every player",
    source="Wang & Jia, AISTATS 2023",
    law=size_law,
    edges=1,
    largest=5_000,
    beyond="It holds every coalition unpacked: use 'leverage' or 'permutation' for Shapley values",
)
