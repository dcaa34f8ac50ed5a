"""The sparsest AND and OR interactions of a game: v = v_and + v_or split so that the sum of their absolute values is least.

Li, Zhang, "Does a neural network really encode symbolic concepts?" (ICML 2023); Zhou et al., "Explaining generalization power of a DNN
using interactive concepts" (AAAI 2024). They descend on gamma in v_and = v/2 + gamma. Here the least L1 norm is a linear programme in the
interactions themselves (basis pursuit: Chen, Donoho, Saunders 1998), solved to its optimum: a = h - B o, with dividends h of v and
B(T, S) = (-1)^(t+1) for T within S, those of the game "some player of S is there".
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, hstack, identity, kron

from xai_ray.errors import InputError
from xai_ray.indices.transforms import coalition_sizes, count_players, moebius, superset_sums
from xai_ray.types import Floats, Values

LARGEST_SPARSE = 12
"""Players above which the linear programme, of 2^n equations with 3^n coefficients, is out of reach (n = 12: up to a minute an output)."""

TOLERANCE = 1e-9
"""Of the linear programme's feasibility and optimality, relative to the largest |v(T) - v(empty)|."""

TIE = 1e-7
"""By how much of its absolute value an interaction may cost more than another, where splits are equally sparse: larger sets and OR do."""

ZERO = 1e-11
"""What is smaller is the rounding of a zero of the optimum, relative to the same."""

_GOLDEN = 0.6180339887498949


def sparse_and_or(table: Values) -> tuple[Values, Values]:
    """AND and OR interactions of every set, each of shape (2^n, k), with the least sum of absolute values over all non-empty sets.

    What the data leave open is settled evenly: the empty set carries v(empty)/2 in both, and so do single players, whose AND and OR are
    one and the same game. Of equally sparse splits (up to 1e-7 of the norm) one with small sets is taken; which one, depends on the order
    of the players.
    Raises InputError for more than 12 players.
    """
    n = count_players(table)
    if n > LARGEST_SPARSE:
        raise InputError(f"the sparse split is for at most {LARGEST_SPARSE} players, the table has {n}")
    columns = [_split(np.ascontiguousarray(column).tobytes()) for column in table.T]
    return np.stack([a for a, _ in columns], axis=1), np.stack([o for _, o in columns], axis=1)


@lru_cache(maxsize=32)
def _split(column: bytes) -> tuple[Floats, Floats]:
    # AND and OR are two questions about one table: the second is answered from here.
    values = np.frombuffer(column, dtype=np.float64)
    rest = values - values[0]
    scale = float(np.abs(rest).max()) or 1.0
    dividends = moebius(rest[:, None] / scale)[:, 0]
    ors = _least(dividends)
    signs = _signs(count_players(rest[:, None]))
    ands = dividends - signs * superset_sums(ors[:, None])[:, 0]
    ands[np.abs(ands) <= ZERO] = 0.0
    single = coalition_sizes(count_players(rest[:, None])) == 1
    ands[single] = ors[single] = ands[single] / 2
    ands, ors = scale * ands, scale * ors
    ands[0] = ors[0] = values[0] / 2
    for out in (ands, ors):
        out.setflags(write=False)
    return ands, ors


def _least(dividends: Floats) -> Floats:
    """OR interactions (2^n,) of the least L1 norm; single players count as AND."""
    n = len(dividends).bit_length() - 1
    several = np.flatnonzero(coalition_sizes(n) > 1)
    subsets = csr_matrix(np.ones((1, 1)))
    for _ in range(n):
        subsets = kron(csr_matrix([[1.0, 1.0], [0.0, 1.0]]), subsets, format="csr")
    some = csr_matrix(subsets.multiply(_signs(n)[:, None]))[1:][:, several]
    every = identity(len(dividends) - 1, format="csr")
    # Equally sparse splits are many; these costs, a hair above 1, leave one, so that last bits of v do not choose.
    costs = 1.0 + TIE * (coalition_sizes(n) / n + np.mod(np.arange(1 << n) * _GOLDEN, 1.0))
    width, height = len(several), len(dividends) - 1
    found = linprog(
        np.concatenate([costs[1:], costs[1:], costs[several] + TIE / 3, costs[several] + TIE / 3]),
        A_eq=hstack([every, -every, some, -some], format="csr"),
        b_eq=dividends[1:],
        bounds=(0, None),
        method="highs-ipm",
        options={"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE},
    )
    if found.x is None or found.status != 0:
        raise InputError(
            f"the linear programme of the sparse split was not solved ({found.message}); ask for split = 'even'"
        )
    ors = np.zeros_like(dividends)
    ors[several] = found.x[2 * height : 2 * height + width] - found.x[2 * height + width :]
    ors[np.abs(ors) <= ZERO] = 0.0
    return ors


def _signs(n: int) -> Floats:
    """(-1)^(t+1) for every row."""
    return np.where(coalition_sizes(n) % 2 == 1, 1.0, -1.0)
