"""`proxy`: boosted trees read in closed form, cross-fitted, with the read-out of what they leave over; see `adjusted`.

After RegressionMSR (Witter, Liu, Musco, NeurIPS 2025) and ProxySHAP (2026). All sets asked for are answered, touched by a leaf or not:
a set that no tree has seen still has its correction and its standard error.
"""

from __future__ import annotations

from xai_ray.coalitions import Strata
from xai_ray.estimators.adjusted import Adjusted, minimum
from xai_ray.estimators.boosted import Boosted, BoostedTrees
from xai_ray.estimators.cell_sums import LARGEST_SET
from xai_ray.estimators.fold_fits import FoldFits
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.readouts import exhausted_strata, read_strata, strata_law
from xai_ray.estimators.remembered import LastFit
from xai_ray.estimators.sized import SizedRows
from xai_ray.indices import READ_OUT, Question

_LAST: LastFit[FoldFits] = LastFit()


def make(question: Question, design: Strata) -> Adjusted:
    """With boosted trees."""
    return Adjusted(question, design, "proxy", trees)


def trees(rows: SizedRows) -> FoldFits:
    """Boosted trees a fold, each grown when it is first asked for."""
    table = BoostedTrees(rows.coalitions, rows.values)

    def fold(f: int) -> Boosted:
        return table.fit(rows.fold != f)

    return _LAST.of(rows.coalitions, rows.values, rows.fold.tobytes(), lambda: FoldFits(fold))


INFO = EstimatorInfo(
    name="proxy",
    indices=READ_OUT,
    orders=tuple(range(1, LARGEST_SET + 1)),
    designs=("strata",),
    minimum=minimum,
    make=make,
    summary="cross-fitted boosted trees in closed form, with the read-out of what they leave over",
    source="after Witter, Liu & Musco, NeurIPS 2025 (RegressionMSR)",
    law=strata_law,
    edges=exhausted_strata,
    reads=read_strata,
)
