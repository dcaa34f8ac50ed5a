"""A pool of evaluated draws that answers any question its design can carry, without a new evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xai_ray.coalitions import Design, Draw, Permutations
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import table
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.exact import LARGEST_EXACT
from xai_ray.estimators.protocol import Estimator, RowEstimator
from xai_ray.estimators.row_sums import INDEPENDENT
from xai_ray.indices import Question, resolve
from xai_ray.library_threads import library_threads
from xai_ray.types import Floats, Values

Together = tuple[bool, tuple[Floats, Floats] | None]
"""Whether errors of rows are not independent by themselves, and then what `RowEstimator` says."""

FOLD_DRAWS = 1_024
"""Draws observed at a time. Fixed, so that sums are folded in one order whatever the units were."""

_FOLD_CELLS = 1 << 28
"""Entries of the coalitions' matrix observed at a time, where a draw is so large that 1,024 of them would hold more."""


@dataclass(frozen=True)
class Pool:
    """The values of the first `draws` draws of a design."""

    design: Design
    draws: int
    values: Values
    """Shape (r, k), r = design.evaluations(draws)."""

    def __post_init__(self) -> None:
        expected = self.design.evaluations(self.draws)
        if len(self.values) != expected:
            raise ValueError(f"{self.draws} draws have {expected} evaluations, got {len(self.values)} values")

    @property
    def evaluations(self) -> int:
        """Evaluations of v in the pool."""
        return len(self.values)

    @property
    def complete(self) -> bool:
        """Whether all 2^n coalitions are there."""
        return self.design.capacity == self.draws and self.design.describe()["kind"] in ("exhaustive", "strata")

    def prefix(self, draws: int) -> Pool:
        """The pool of the first draws alone."""
        return Pool(self.design, draws, self.values[: self.design.evaluations(draws)])

    def answer(self, question: Question, estimator: str = "auto") -> Estimate:
        """Estimate with standard errors. With all 2^n values, every estimator's limit is the exact answer, and that is returned
        under the estimator's name. Raises SpecError or NotEnoughSamples when this pool cannot answer, and says what would.
        """
        return self.of_rows(question, estimator)[0]

    def of_rows(self, question: Question, estimator: str = "auto") -> tuple[Estimate, Callable[[], Together]]:
        """`answer`, and a call for what a mean over outputs that are rows takes."""
        question = resolve(question, self.design.n_players)
        kind = self.design.describe()["kind"]
        name = estimator if estimator != "auto" else self._choose(question, kind)
        table.check(name, question, self.design.n_players)
        whole = question.players is None or table.info(name).names_players
        built = self._built(question if whole else replace(question, players=None), name)
        # How BLAS splits a product over threads moves last bits, so an answer is computed on one.
        with library_threads(1):
            partial = self._partial(built)
            found = replace(built.finish(partial), estimator=name)
        return found if whole else _only(found, question), lambda: _together(built, name, partial)

    def _built(self, question: Question, name: str) -> Estimator[Any]:
        everything = self.complete and self.design.n_players <= LARGEST_EXACT
        return table.build("exact" if everything else name, question, self.design)

    def _partial(self, built: Estimator[Any]) -> Any:
        partial = built.empty()
        fold = self._fold_draws()
        for start in range(0, self.draws, fold):
            stop = min(start + fold, self.draws)
            draw = self._draw(start, stop, getattr(built, "reads_coalitions", True))
            rows = slice(self.design.evaluations(start), self.design.evaluations(stop))
            partial = built.merge(partial, built.observe(draw, self.values[rows]))
        return partial

    def _draw(self, start: int, stop: int, coalitions: bool) -> Draw:
        """Without coalitions where orders do: those of 10,000 players are 200 million entries a draw."""
        design = self.design
        if isinstance(design, Permutations) and not coalitions:
            return design.outline(start, stop)
        return design.draw(start, stop)

    def _fold_draws(self) -> int:
        cells = (self.design.evaluations(3) - self.design.evaluations(2)) * self.design.n_players
        return FOLD_DRAWS if FOLD_DRAWS * cells <= _FOLD_CELLS else max(1, _FOLD_CELLS // cells)

    def _choose(self, question: Question, kind: str) -> str:
        try:
            return table.choose(question, self.design.n_players, self.complete, len(self.values), kind)
        except table.SpecError as error:
            raise NotEnoughSamples(str(error)) from None

    def ends(self) -> Values:
        """v(empty) and v(grand), shape (2, k)."""
        if self.design.describe()["kind"] == "exhaustive":
            return self.values[[0, -1]]
        return np.asarray(self.values[:2])


def _together(built: Estimator[Any], name: str, partial: Any) -> Together:
    if built.name == "exact" or name in INDEPENDENT:
        return False, None
    if not isinstance(built, RowEstimator):
        return True, None
    with library_threads(1):
        return True, built.over_rows(partial)


def _only(estimate: Estimate, question: Question) -> Estimate:
    """The asked players of an estimate of all."""
    asked = {(player,) for player in question.players or ()}
    kept = [at for at, members in enumerate(estimate.coalitions) if members in asked]
    return replace(
        estimate,
        question=question,
        coalitions=tuple(estimate.coalitions[at] for at in kept),
        values=estimate.values[kept],
        std_errors=estimate.std_errors[kept],
    )
