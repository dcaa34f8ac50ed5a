"""What is kept of the correction of cells that a design seldom draws from.

A cell is a size and the number of players of the set in the coalition. With m rows of it expected a set, a row that is drawn counts for
1 / m of its kind. At a thousand players the coalition of a pair alone is drawn once in thousands of designs, and then stands for
thousands: the largest values of such an answer were those of the few sets that were hit. Below a tenth of a row a set the surrogate
is the better guess, so the share m^2 / (m^2 + RARE^2 (1 - f)) of the correction is kept, f the drawn share of the size: all of it where a
size ran out.
"""

from __future__ import annotations

import numpy as np

from xai_ray.estimators.cell_sums import pattern_shares
from xai_ray.estimators.sized import SizedRows
from xai_ray.types import Floats

RARE = 0.05
"""Rows a set and cell of which half the correction is kept. Games of 10 to 16 players have more in every cell from ten evaluations a
player on.
"""


def kept_shares(rows: SizedRows, size: int) -> tuple[Floats, Floats]:
    """What is kept of the correction, by players of a set of `size` in the coalition and by size, shape (size + 1, n + 1); and what
    standard errors are of it: the noise of what is kept with the residual that is left out, taken as one of its coalition.
    """
    expected = rows.drawn * pattern_shares(rows.n_players, size)
    undrawn = 1.0 - np.minimum(rows.share, 1.0)
    scale = expected**2 + RARE**2 * undrawn
    kept = np.divide(expected**2, scale, out=np.ones_like(expected), where=expected > 0)
    left_out = np.divide(expected, undrawn, out=np.zeros_like(expected), where=undrawn > 0)
    return kept, np.sqrt(kept**2 + (1.0 - kept) ** 2 * left_out)
