"""`exact`: every index from the complete table of 2^n values, by butterfly transforms. No error, no variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xai_ray.coalitions import Design
from xai_ray.coalitions.exhaustive import pack
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.observed import KeepsRows, Observed
from xai_ray.indices import INDICES, Question, exact

LARGEST_EXACT = 24
"""Above this many players 2^n values no longer fit into memory with room for the transforms."""


@dataclass(frozen=True, slots=True)
class Exact(KeepsRows):
    """Answers any question once all 2^n coalitions are there, whatever design drew them."""

    question: Question
    design: Design
    name: str = "exact"

    def finish(self, partial: Observed) -> Estimate:
        """Fills the table and transforms it."""
        n = self.design.n_players
        seen = 0
        table = None
        if partial.parts and n <= 30:
            rows = partial.rows()
            table = np.full((1 << n, rows.values.shape[1]), np.nan)
            table[pack(rows.coalitions)] = rows.values
            seen = int((~np.isnan(table[:, 0])).sum())
        if table is None or seen < 1 << n:
            raise NotEnoughSamples(
                f"exact needs all 2^{n} coalitions ({2**n if n < 64 else 'far too many'} evaluations), {seen} are there; "
                'ask for [budget] evaluations = "exact" or take a sampled estimator'
            )
        answer = exact(table, self.question)
        return Estimate(
            answer.question, answer.coalitions, answer.values, np.zeros_like(answer.values), self.name, 1 << n
        )


INFO = EstimatorInfo(
    name="exact",
    indices=tuple(INDICES),
    orders=None,
    designs=("exhaustive", "strata"),
    minimum=lambda question, n, stochastic=False: 1 << n,
    make=Exact,
    summary="every index from all 2^n values, by butterfly transforms",
    source="Harsanyi 1963; Grabisch & Roubens 1999",
    largest=LARGEST_EXACT,
    beyond="All values are held in memory: use a sampled estimator, or fewer players (a coarser grid, column groups)",
    names_players=True,
)
