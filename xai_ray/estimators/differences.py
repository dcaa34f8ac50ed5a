"""What `paired`, `star` and `cube` share: an interaction is a mean of second differences, one unit a (draw, pair, context size).

Where every round holds every size, a cardinal index is the sum of its strata's means; where draws take their size from a law, it is one
mean of differences weighted by index weight over law (Horvitz, Thompson 1952). Either way it is unbiased, for every pair by itself.

Standard errors: variance over the units of a pair, averaged with `PRIOR` pseudo-units of the mean variance over pairs of the same
column, times the share of contexts not drawn where they are drawn without replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from xai_ray.coalitions.rounds import Differences, SecondDifferences
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.indices import Question, pair_profile_weights
from xai_ray.types import Floats, Ints, Values

PAIR_INDICES = ("MOI", "SII", "STII", "BII", "CHII", "FSII", "FBII")
"""Indices whose sets of size 2 are means of second differences. FSII and FBII of order 2 have first-order terms as well, which are
not; answers leave them out."""
PRIOR = 4.0
"""Pseudo-units of the mean variance over pairs."""


@dataclass(frozen=True, slots=True)
class MeanDifferences(KeepsRows):
    """The estimator of a design of second differences."""

    question: Question
    design: SecondDifferences
    name: str

    def finish(self, partial: Observed) -> Estimate:
        """Means and standard errors over units. Entries without a unit are NaN; raises NotEnoughSamples when all are."""
        design = self.design
        numbers = _asked(self.question, design)
        units = [self._units(start, len(draw), values) for start, (draw, values) in partial.parts.items()]
        if not units:
            raise NotEnoughSamples(f"{self.name}: no draw is there yet")
        pair, column, value = (np.concatenate(part) for part in zip(*units, strict=True))
        columns = self._columns()
        stats = _Moments.of(pair * columns + column, value, len(design.pair_list) * columns)
        shaped = stats.shaped(len(design.pair_list), columns)
        mean, variance = shaped.mean, shaped.variance(self._pools(columns))
        mean, variance, counts = mean[numbers], variance[numbers], shaped.count[numbers].astype(np.float64)
        freedom = float(np.mean(counts)) - 1.0 + 2 * PRIOR
        if self.question.index != "MOI":
            read = self._read_columns(columns)
            mean, variance = mean[:, read].sum(axis=1), variance[:, read].sum(axis=1)
            freedom = (float(np.mean(counts[:, read])) - 1.0 + 2 * PRIOR) * int(read.sum())
        if np.isnan(mean).all():
            raise NotEnoughSamples(
                f"{self.name}: no pair has all it needs yet; one round costs about {self._round():,} evaluations"
            )
        errors = np.sqrt(variance)
        freedom = inf if not np.nan_to_num(errors).any() else freedom
        return self._estimate(partial, numbers, mean, errors, freedom)

    def _units(self, start: int, draws: int, values: Values) -> tuple[Ints, Ints, Floats]:
        """Pair, column and value (units, k) of some draws."""
        design = self.design
        found = design.differences(start, start + draws)
        v = values[found.rows]
        # Grouped so that additive games cancel to the last bit in most cases.
        delta = (v[:, 3] - v[:, 2]) - (v[:, 1] - v[:, 0])
        if self.question.index == "MOI":
            return self._by_context(found, delta)
        u = pair_profile_weights(self.question.index, design.n_players)
        chances = design.chances()
        weight = np.divide(u, chances, out=np.zeros_like(u), where=chances > 0)
        share = weight[found.context] * design.law_share(found.context, found.slot)
        column = np.zeros(len(found.slot), dtype=np.int64) if design.drawn_by_law else found.slot
        return _summed(found.draw, found.pair, column, delta * share[:, None], design.n_players)

    def _by_context(self, found: Differences, delta: Values) -> tuple[Ints, Ints, Floats]:
        n = self.design.n_players
        column_of = np.full(n - 1, -1, dtype=np.int64)
        contexts = np.array(self.question.contexts, dtype=np.int64)
        column_of[contexts] = np.arange(len(contexts))
        here = column_of[found.context] >= 0
        column = column_of[found.context[here]]
        return _summed(found.draw[here], found.pair[here], column, (delta * found.mean_share[:, None])[here], n)

    def _columns(self) -> int:
        if self.question.index == "MOI":
            return len(self.question.contexts or ())
        return 1 if self.design.drawn_by_law else self.design.slots

    def _pools(self, columns: int) -> Floats:
        """Units of a pair in all, by column; infinite when they are drawn with replacement. Shape (columns,)."""
        if self.question.index == "MOI":
            pools = [self.design.contexts_of(None, m) for m in self.question.contexts or ()]
        else:
            pools = [None if self.design.drawn_by_law else self.design.contexts_of(c, None) for c in range(columns)]
        return np.array([inf if p is None or p > 1 << 53 else float(p) for p in pools])

    def _read_columns(self, columns: int) -> Any:
        """Which columns the index reads. Raises NotEnoughSamples when it reads a context size that the design never draws."""
        design = self.design
        u, chances = pair_profile_weights(self.question.index, design.n_players), design.chances()
        missing = np.flatnonzero((u > 0) & (chances <= 0))
        if len(missing):
            raise NotEnoughSamples(
                f"{self.name}: {self.question.index} reads context sizes {', '.join(map(str, missing[:8]))}, which this job did not "
                f"draw; ask {self.question.index} in the spec, so that the design draws for it"
            )
        return np.ones(columns, dtype=np.bool_) if design.drawn_by_law else design.reads(u)

    def _round(self) -> int:
        return self.design.first_rows + self.design.round_cost()

    def _estimate(self, partial: Observed, numbers: Ints, mean: Floats, errors: Floats, freedom: float) -> Estimate:
        evaluations = sum(len(values) for _, values in partial.parts.values())
        sets = tuple((int(i), int(j)) for i, j in self.design.pair_list[numbers])
        if self.question.index == "STII" and self.question.pairs is None:
            n = self.design.n_players
            singles = _singles(partial, self.design, self.name)
            sets = tuple((i,) for i in range(n)) + sets
            mean = np.concatenate([singles, mean])
            errors = np.concatenate([np.zeros_like(singles), errors])
        return Estimate(self.question, sets, mean, errors, self.name, evaluations, freedom)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of the units of each cell."""

    count: Ints
    """Shape (cells,) or (pairs, columns)."""
    mean: Floats
    """Shape (cells, k) or (pairs, columns, k); NaN where there is no unit."""
    squares: Floats
    """Same shape: sum of squared deviations from the mean."""

    @classmethod
    def of(cls, cell: Ints, value: Floats, cells: int) -> _Moments:
        count = np.bincount(cell, minlength=cells)
        sums = np.stack([np.bincount(cell, weights=v, minlength=cells) for v in value.T], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums / count[:, None]
        rest = (value - mean[cell]) ** 2
        squares = np.stack([np.bincount(cell, weights=r, minlength=cells) for r in rest.T], axis=1)
        return cls(count, mean, squares.astype(np.float64))

    def shaped(self, pairs: int, columns: int) -> _Moments:
        k = self.mean.shape[1]
        return _Moments(
            self.count.reshape(pairs, columns),
            self.mean.reshape(pairs, columns, k),
            self.squares.reshape(pairs, columns, k),
        )

    def variance(self, pools: Floats) -> Floats:
        """Variance of the means, shape (pairs, columns, k); NaN without a unit, and where no pair of a column has two."""
        count = self.count[..., None].astype(np.float64)
        spare = np.maximum(count - 1.0, 0.0).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            typical = self.squares.sum(axis=0) / spare
            own = (self.squares + PRIOR * typical) / (count - 1.0 + PRIOR)
            open_share = 1.0 - count / pools[:, None]
            variance = np.where(open_share > 0, own * open_share / count, 0.0)
        return np.where(count > 0, variance, np.nan)


def _summed(draw: Ints, pair: Ints, column: Ints, value: Values, n: int) -> tuple[Ints, Ints, Floats]:
    """One unit a (draw, pair, column): the sum of its values."""
    order = np.lexsort((column, pair, draw))
    draw, pair, column, value = draw[order], pair[order], column[order], value[order]
    if not len(draw):
        return pair, column, value
    new = np.r_[True, (draw[1:] != draw[:-1]) | (pair[1:] != pair[:-1]) | (column[1:] != column[:-1])]
    first = np.flatnonzero(new)
    return pair[first], column[first], np.add.reduceat(value, first, axis=0)


def _asked(question: Question, design: SecondDifferences) -> Ints:
    """Numbers of the asked pairs."""
    pairs = design.pair_list
    if question.pairs is None:
        n = design.n_players
        if len(pairs) == n * (n - 1) // 2:
            return np.arange(len(pairs), dtype=np.int64)
        raise NotEnoughSamples(
            f"this job drew {len(pairs)} pairs of {n * (n - 1) // 2}; ask for pairs that it drew, or run one with all pairs"
        )
    number = {(int(i), int(j)): at for at, (i, j) in enumerate(pairs)}
    missing = [pair for pair in question.pairs if pair not in number]
    if missing:
        raise NotEnoughSamples(
            f"pair {missing[0]} was not drawn ({len(missing)} pairs in all); run a job that asks for it"
        )
    return np.array([number[pair] for pair in question.pairs], dtype=np.int64)


def _singles(partial: Observed, design: SecondDifferences, name: str) -> Values:
    """v({i}) - v(empty), shape (n, k), from draw 0."""
    if not design.singles or 0 not in partial.parts:
        raise NotEnoughSamples(
            f"{name}: STII needs the single players; ask STII in the spec, so that the design draws them, or give pairs"
        )
    values = partial.parts[0][1]
    return values[2 : 2 + design.n_players] - values[0]


def asked_fields(questions: Sequence[Question], n: int, seed: int, stochastic: bool) -> dict[str, Any]:
    """Arguments of a design in rounds that serves all the questions: context sizes, their law, pairs, and the single players for STII.

    With multi-order interactions among the questions every round holds all asked sizes; without, sizes are drawn by the mean of
    the laws of the indices.
    """
    profiles = [pair_profile_weights(q.index, n) for q in questions if q.index != "MOI"]
    law = np.mean(profiles, axis=0) if profiles else np.zeros(n - 1)
    ordered = [q for q in questions if q.index == "MOI"]
    contexts = set(np.flatnonzero(law).tolist()).union(*(q.contexts or () for q in ordered))
    sizes = tuple(sorted(int(m) for m in contexts))
    given = [q.pairs for q in questions]
    pairs = None if None in given else tuple(sorted({pair for some in given for pair in some or ()}))
    return {
        "n_players": n,
        "seed": seed,
        "contexts": sizes,
        "pairs": None if pairs is not None and len(pairs) == n * (n - 1) // 2 else pairs,
        "law": () if ordered else tuple(float(law[m]) for m in sizes),
        "singles": any(q.index == "STII" and q.pairs is None for q in questions),
        "stochastic": stochastic,
    }


def least(design: Any, n: int) -> int:
    """Evaluations of two rounds, so that there is a spread; never more than the complete table of a deterministic game."""
    need = int(design.first_rows + 2 * design.round_cost())
    return need if design.stochastic else min(1 << min(n, 62), need)
