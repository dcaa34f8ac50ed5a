"""What `cells` and `proxy` share: a surrogate in closed form, cross-fitted, with the read-out of what it leaves over.

Values of single players carry the whole correction and are unbiased; for larger sets it is drawn towards zero (`shrinking`): no longer
unbiased, consistent all the same, exact at full budget. What is read in the empty or the full context alone (Moebius and Co-Moebius
transforms, lower orders of Shapley-Taylor) rests on 2^s coalitions a set: it is exact where they were drawn and missing where not.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import ceil, log

from xai_ray.coalitions import Strata
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators.cell_means import read_means
from xai_ray.estimators.correction import Corrected, cross_fit
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.observed import KeepsRows, Observed, Rows
from xai_ray.estimators.readouts import exhausted_strata, pairs_in, sampled_sizes, single_context
from xai_ray.estimators.remembered import LastFit
from xai_ray.estimators.sized import FOLDS, SizedRows
from xai_ray.estimators.surrogate import Fitter
from xai_ray.estimators.whole import assemble
from xai_ray.estimators.workload import check_workload
from xai_ray.indices import Question, Readout, readouts
from xai_ray.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class Adjusted(KeepsRows):
    """Every index that is a read-out, for sets of up to three players, at every context size."""

    question: Question
    design: Strata
    name: str
    fitter: Fitter

    def finish(self, partial: Observed) -> Estimate:
        """Surrogate, correction, standard errors. Raises NotEnoughSamples when nothing of the answer can be estimated."""
        n, asked = self.design.n_players, readouts(self.question, self.design.n_players)
        if not partial.parts:
            raise NotEnoughSamples(f"{self.name} needs {minimum(self.question, n)} evaluations, has none")
        drawn = partial.rows()
        rows = SizedRows.of(drawn, self.design)
        check_workload(self.name, self.question, n, rows.values.shape[1])
        fitted = None if all(map(single_context, asked)) else self._fit(drawn, rows)

        def read(readout: Readout, sets: Ints) -> tuple[Floats, Floats]:
            # What is read one by one needs no surrogate.
            if fitted is None or single_context(readout):
                return read_means(rows, readout, sets, self.design.stochastic)
            return fitted.read_shrunk(readout, sets)

        return assemble(self.question, self.name, rows, read)

    def _fit(self, drawn: Rows, rows: SizedRows) -> Corrected | None:
        if len(rows.pairs.stratum) >= FOLDS:
            return corrected(self.name, drawn, rows, self.design.stochastic, self.fitter)
        # A game of so few coalitions needs no surrogate once all of them are there.
        if rows.exhausted:
            return None
        need = minimum(self.question, self.design.n_players)
        raise NotEnoughSamples(f"{self.name} needs {need} evaluations, too few are there")


_LAST: defaultdict[str, LastFit[Corrected]] = defaultdict(LastFit[Corrected])
"""By name of the surrogate."""


def corrected(name: str, drawn: Rows, rows: SizedRows, stochastic: bool, fitter: Fitter) -> Corrected:
    """The cross-fit of a surrogate to `drawn`, which `rows` are; the questions of a job share it."""
    return _LAST[name].of(drawn.coalitions, drawn.values, stochastic, lambda: cross_fit(rows, fitter))


def minimum(question: Question, n: int, stochastic: bool = False) -> int:
    """Evaluations that exhaust what is read one by one, with a held-out pair in every fold and a pair of every size besides.

    A stochastic game draws with replacement: there it takes the number of draws that meets all of those coalitions with a chance of
    95 %. The plan checks that every size is reached.
    """
    return evaluations_for(question, n, exhausted_strata(question, n), stochastic)


def evaluations_for(question: Question, n: int, edges: int, stochastic: bool) -> int:
    """The same with the first `edges` strata exhausted."""
    small = sum(pairs_in(n, h) for h in range(1, edges + 1))
    if not sampled_sizes(question, n):
        pairs = 1 + (ceil(small * (log(max(small, 1)) + 3.0)) if stochastic else small)
        return 2 * pairs
    return min(1 << min(n, 62), 2 + 2 * small + 2 * FOLDS + 4 * (n // 2))
