"""`svarmiq`: means of cells without a surrogate, for every index that is a read-out and sets of up to three players.

Kolpaczki, Muschalik, Fumagalli, Hammer, Huellermeier, "SVARM-IQ: Efficient Approximation of Any-order Shapley Interactions through
Stratification" (AISTATS 2024); for single players stratified SVARM (Kolpaczki et al., AAAI 2024). All cells of a size at once are
matrix products. A cell that was never seen makes its sets missing, where the paper counts it as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial as fixed
from math import ceil, comb, log

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.adjusted import evaluations_for
from xai_ray.estimators.cell_means import read_means
from xai_ray.estimators.cell_sums import LARGEST_SET, pattern_shares
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.estimators.readouts import pairs_in, read_strata, single_coalitions, single_context, strata_law
from xai_ray.estimators.sized import SizedRows
from xai_ray.estimators.whole import assemble
from xai_ray.indices import READ_OUT, Question, readouts
from xai_ray.types import Floats


@dataclass(frozen=True, slots=True)
class SvarmIQ(KeepsRows):
    """Values and interactions of orders 1 to 3, at every context size."""

    question: Question
    design: Strata
    name: str = "svarmiq"

    def finish(self, partial: Observed) -> Estimate:
        """Cell means. Raises NotEnoughSamples when no set has all its cells."""
        if not partial.parts:
            raise NotEnoughSamples(
                f"svarmiq needs {minimum(self.question, self.design.n_players)} evaluations, has none"
            )
        rows = SizedRows.of(partial.rows(), self.design)
        try:
            return assemble(self.question, self.name, rows, fixed(read_means, rows, stochastic=self.design.stochastic))
        except NotEnoughSamples as error:
            need = meeting_all(self.question, self.design.n_players)
            raise NotEnoughSamples(
                f"{error}; about {need:,} evaluations meet every cell, or take 'cells', which needs fewer"
            ) from None


def minimum(question: Question, n: int, stochastic: bool = False) -> int:
    """As for `cells`, with every stratum exhausted in which a cell holds a single coalition: without it, its set would be missing."""
    return evaluations_for(question, n, single_coalitions(question, n), stochastic)


def meeting_all(question: Question, n: int) -> int:
    """Evaluations at which about one cell of the rarest kind is expected to be missing.

    Every cell is one of many that a draw of its size falls into, so all are met after about ln(number of cells) / share draws of that
    size (the coupon collector's time), or once the size is exhausted.
    """
    edges, law = single_coalitions(question, n), strata_law(question, n)
    draws = _draws_to_meet(question, n)[edges:]
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = np.where(draws > 0, draws * law[edges:].sum() / law[edges:], 0.0)
    small = sum(pairs_in(n, h) for h in range(1, edges + 1))
    return min(1 << min(n, 62), 2 * (1 + small + ceil(float(pairs.max(initial=0.0)))))


def _draws_to_meet(question: Question, n: int) -> Floats:
    """Pairs of each stratum 1..n//2 after which its rarest cell is expected to be met, shape (n//2,); 0 where none is read."""
    need = np.zeros(n // 2)
    for readout in readouts(question, n):
        if single_context(readout):
            continue
        read, shares = readout.cells.any(axis=0), pattern_shares(n, readout.size)
        rarest = np.where(read & (shares > 0), shares, np.inf).min(axis=0)
        sets = comb(n, readout.size) if question.pairs is None else len(question.pairs)
        for h in range(1, n // 2 + 1):
            share = min(rarest[h], rarest[n - h])
            if np.isfinite(share):
                need[h - 1] = max(need[h - 1], min((log(sets) + 1.0) / share, float(pairs_in(n, h))))
    return need


INFO = EstimatorInfo(
    name="svarmiq",
    indices=READ_OUT,
    orders=tuple(range(1, LARGEST_SET + 1)),
    designs=("strata",),
    minimum=minimum,
    make=SvarmIQ,
    summary="stratified means of cells, without a surrogate",
    source="Kolpaczki et al., AISTATS 2024",
    law=strata_law,
    edges=single_coalitions,
    reads=read_strata,
)
