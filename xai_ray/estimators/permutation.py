"""`permutation`: the Shapley value, or another semivalue, as a mean marginal contribution over random orders and their reverses.

Castro, Gomez, Tejada (Computers & OR 2009), ApproShapley; antithetic pairs: Mitchell, Cooper, Frank, Holmes, "Sampling permutations
for Shapley value estimation" (JMLR 2022). Every place in an order is equally likely, so a semivalue with weight w_t of t predecessors
is the mean of n w_t times the marginal contribution at place t: Kwon, Zou, "Beta Shapley" (AISTATS 2022). Unbiased for any budget; the
partial is additive, 20 x n numbers an output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xai_ray.coalitions import Draw, Permutations
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.groups import GROUPS, jackknife, pooled, rotate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.indices import Question, semivalue_weights
from xai_ray.types import Floats, Ints, Values

SEMIVALUES = ("SV", "BV", "WBV", "BETA", "SEMI")
"""What orders answer, with weights by place for all but the first."""
PAIRS = 3
"""Antithetic pairs below which there is no usable standard error."""


@dataclass(frozen=True, slots=True)
class MarginalSums:
    """Sums over antithetic pairs by replicate group: G groups, n players, k outputs."""

    sums: Floats
    """Shape (G, n, k): mean of the two weighted marginal contributions, ends of the chains left out when they are shared."""
    at_ends: Floats
    """Shape (G, n): how often a player joined first (and, in the reverse, last), per pair counted a half each way."""
    counts: Ints
    """Shape (G,): pairs."""
    ends: Floats
    """Shape (2, k): v(empty), v(grand), summed over the times draw 0 was observed."""
    ends_seen: int


@dataclass(frozen=True, slots=True)
class Permutation:
    """Standard errors by delete-a-group jackknife over 20 groups of pairs."""

    question: Question
    design: Permutations
    name: str = "permutation"

    @property
    def reads_coalitions(self) -> bool:
        """False: orders say where a player joins, in n times less memory."""
        return False

    @property
    def _weights(self) -> Floats:
        """n w_t by number of predecessors t, shape (n,)."""
        return place_weights(self.question, self.design.n_players)

    @property
    def _shown_by_ends(self) -> bool:
        """Whether there is one player and no noise: no chain has an inside."""
        return self.design.n_players == 1 and not self.design.stochastic

    def empty(self) -> MarginalSums:
        """Zero sums; the number of outputs broadcasts on the first merge."""
        n = self.design.n_players
        zero = np.zeros((GROUPS, n, 1))
        return MarginalSums(zero, np.zeros((GROUPS, n)), np.zeros(GROUPS, dtype=np.int64), np.zeros((2, 1)), 0)

    def observe(self, draw: Draw, values: Values) -> MarginalSums:
        """Marginal contributions along each chain, added up by group."""
        n, k = self.design.n_players, values.shape[1]
        has_ends = draw.start == 0
        ends = values[:2].copy() if has_ends else np.zeros((2, k))
        skip = 2 if has_ends else 0
        pairs = len(draw) - int(has_ends)
        sums, at_ends = np.zeros((GROUPS, n, k)), np.zeros((GROUPS, n))
        group = rotate(draw.stratum, draw.index, GROUPS)[int(has_ends) :]
        if pairs and not self._shown_by_ends:
            per_pair, first = self._pair_means(draw.index[int(has_ends) :], values[skip:])
            np.add.at(sums, group, per_pair)
            np.add.at(at_ends, group, first)
        counts = np.bincount(group, minlength=GROUPS).astype(np.int64)
        return MarginalSums(sums, at_ends, counts, ends, int(has_ends))

    def _pair_means(self, chains: Ints, values: Values) -> tuple[Floats, Floats]:
        """Per pair and player the mean marginal contribution (pairs, n, k), and 1/2 where the player is at an end (pairs, n)."""
        position = places(self.design, chains)
        steps = np.diff(walked(self.design, values), axis=2) * self._weights[:, None]
        marginals = np.take_along_axis(steps, position[..., None], axis=2)
        first = (position == 0).sum(axis=1) / 2.0
        return marginals.mean(axis=1), first

    def merge(self, a: MarginalSums, b: MarginalSums) -> MarginalSums:
        """Sums add."""
        return MarginalSums(
            a.sums + b.sums,
            a.at_ends + b.at_ends,
            a.counts + b.counts,
            a.ends + b.ends,
            a.ends_seen + b.ends_seen,
        )

    def finish(self, partial: MarginalSums) -> Estimate:
        """Mean and jackknife standard error."""
        n = self.design.n_players
        pairs = int(partial.counts.sum())
        if not partial.ends_seen or (not self._shown_by_ends and pairs < PAIRS):
            raise NotEnoughSamples(
                f"{self.name} needs the ends and {PAIRS} antithetic pairs ({self.design.evaluations(PAIRS + 1)} evaluations), "
                f"has {pairs} pairs"
            )
        empty, grand = partial.ends / partial.ends_seen
        evaluations = self.design.evaluations(pairs + 1)
        players = tuple((i,) for i in range(n))
        if self._shown_by_ends:
            exact = (grand - empty)[None] * self._weights
            return Estimate(self.question, players, exact, np.zeros_like(exact), self.name, evaluations)
        sums = partial.sums
        if not self.design.stochastic:
            weights = self._weights
            sums = sums + partial.at_ends[..., None] * (weights[-1] * grand - weights[0] * empty)
        values, errors, freedom = jackknife(sums, partial.counts)
        return Estimate(self.question, players, values, pooled(errors, freedom), self.name, evaluations, freedom + 1)


def place_weights(question: Question, n: int) -> Floats:
    """n times the weight of each number of predecessors, shape (n,): what a marginal contribution counts at each place."""
    # Ones to the bit: n times 1/n may not be.
    return n * semivalue_weights(question, n) if question.index in SEMIVALUES[1:] else np.ones(n)


def places(design: Permutations, chains: Ints) -> Ints:
    """Place of each player in permutations `chains` and in their reverses, shape (pairs, 2, n)."""
    place = np.argsort(design.orders(chains), axis=1)
    return np.stack([place, design.n_players - 1 - place], axis=1)


def walked(design: Permutations, values: Values) -> Floats:
    """The values of whole draws as chains of prefixes, shape (pairs, 2, n + 1, k); ends that the draws share are 0."""
    n, k, half = design.n_players, values.shape[1], design.rows_per_draw // 2
    values = values.reshape(-1, 2, half, k)
    along = np.zeros((len(values), 2, n + 1, k))
    if design.stochastic:
        # Forward rows have lengths 0..n-1, backward rows 1..n; each chain borrows its missing end from the other.
        along[:, 0, :n], along[:, 0, n] = values[:, 0], values[:, 1, n - 1]
        along[:, 1, 1:], along[:, 1, 0] = values[:, 1], values[:, 0, 0]
    else:
        along[:, :, 1:n] = values
    return along


def minimum(n: int, stochastic: bool = False) -> int:
    """Evaluations of the ends and the fewest antithetic pairs that have a standard error."""
    return Permutations(n, 0, stochastic).evaluations(2 if n == 1 and not stochastic else PAIRS + 1)


def orders_design(questions: Sequence[Question], n: int, seed: int, stochastic: bool) -> Permutations:
    """One design for all questions."""
    return Permutations(n, seed, stochastic)


INFO = EstimatorInfo(
    name="permutation",
    indices=SEMIVALUES,
    orders=(1,),
    designs=("permutations",),
    minimum=lambda question, n, stochastic=False: minimum(n, stochastic),
    make=Permutation,
    summary="mean marginal contribution over antithetic pairs of orders, weighted by place",
    source="Castro et al. 2009; Mitchell et al., JMLR 2022; Kwon & Zou, AISTATS 2022",
    design=orders_design,
)
