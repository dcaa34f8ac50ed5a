"""`cells`: every index that is a read-out, for all sets of up to three players, from one pool of coalitions.

The residuals of a cross-fitted quadratic surrogate are read out by cells (players of the set in the coalition, its size) and added to the
surrogate's closed form; see `adjusted` and `correction`. Cells: Kolpaczki et al., "SVARM-IQ" (AISTATS 2024). Correction: Witter, Liu, Musco
(2025), here with finite-population weights.
"""

from __future__ import annotations

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.estimators.adjusted import Adjusted, minimum
from xai_ray.estimators.cell_sums import LARGEST_SET
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.quadratic import Quadratic
from xai_ray.estimators.quadratic_fit import fit_folds
from xai_ray.estimators.readouts import exhausted_strata, read_strata, strata_law
from xai_ray.estimators.sized import SizedRows
from xai_ray.indices import READ_OUT, Question


def make(question: Question, design: Strata) -> Adjusted:
    """With the quadratic surrogate."""
    return Adjusted(question, design, "cells", ridge)


def ridge(rows: SizedRows) -> tuple[Quadratic, ...]:
    """A quadratic surrogate a fold."""
    count = len(rows.pairs.stratum)
    first = np.r_[0, 2 : 2 + count]
    second = np.r_[1, 2 + count : 2 + 2 * count]
    return fit_folds(rows.coalitions[first], rows.values[first], rows.values[second], rows.fold[first])


INFO = EstimatorInfo(
    name="cells",
    indices=READ_OUT,
    orders=tuple(range(1, LARGEST_SET + 1)),
    designs=("strata",),
    minimum=minimum,
    make=make,
    summary="every index of sets up to three players from one pool, cross-fitted quadratic surrogate with residual correction",
    source="after Kolpaczki et al., AISTATS 2024 (SVARM-IQ)",
    law=strata_law,
    edges=exhausted_strata,
    reads=read_strata,
)
