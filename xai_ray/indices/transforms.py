"""Butterfly transforms of a table of values, shape (2^n, k), player i is bit i of the row: n 2^n additions an output.

Yates, The design and analysis of factorial experiments (1937); Kennes, Smets, Computational aspects of the Moebius
transformation (1990).
"""

from __future__ import annotations

import numpy as np

from xai_ray.errors import InputError, NonFiniteValue
from xai_ray.types import Floats, Ints, Values


def count_players(table: Values) -> int:
    """Number of players of a table of shape (2^n, k); raises InputError for another shape."""
    rows = table.shape[0] if table.ndim == 2 else 0
    if rows < 2 or rows & (rows - 1):
        raise InputError(
            f"a table of values has shape (2^n, outputs) with n >= 1 players, got {table.shape}; "
            "row r is the coalition of the players whose bit is set in r"
        )
    return rows.bit_length() - 1


def check_finite(table: Values) -> None:
    """Raises NonFiniteValue, naming the first coalition, if a value is NaN or infinite."""
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        players = [i for i in range(row.bit_length()) if row >> i & 1]
        raise NonFiniteValue(f"the value of coalition {players} (row {row} of the table) is {table[row].tolist()}")


def coalition_sizes(n: int) -> Ints:
    """Shape (2^n,): the number of players in each row."""
    sizes = np.zeros(1, dtype=np.int64)
    for _ in range(n):
        sizes = np.concatenate([sizes, sizes + 1])
    return sizes


def halves(table: Values, player: int) -> tuple[Values, Values]:
    """Views of the rows without and with the player, each of shape (2^(n-1-player), 2^player, k)."""
    cube = table.reshape(-1, 2, 1 << player, table.shape[-1])
    return cube[:, 0], cube[:, 1]


def subset_sums(table: Values) -> Values:
    """Row S: the sum over L in S (zeta transform; the inverse of `moebius`)."""
    out = _copy(table)
    for player in range(count_players(table)):
        without, present = halves(out, player)
        present += without
    return out


def superset_sums(table: Values) -> Values:
    """Row S: the sum over T containing S."""
    out = _copy(table)
    for player in range(count_players(table)):
        without, present = halves(out, player)
        without += present
    return out


def moebius(table: Values) -> Values:
    """Row S: the Harsanyi dividend h(S) = sum_{L in S} (-1)^{|S|-|L|} v(L)."""
    out = _copy(table)
    for player in range(count_players(table)):
        without, present = halves(out, player)
        present -= without
    return out


def comoebius(table: Values) -> Values:
    """Row S: the discrete derivative delta_S v(N - S), the sum of the dividends of all T containing S."""
    out = _copy(table)
    for player in range(count_players(table)):
        without, present = halves(out, player)
        # (absent, present) becomes (present, present - absent): outside S the player is in, inside S it is differenced.
        present -= without
        without += present
    return out


def walsh(table: Values) -> Values:
    """Row T: the Fourier coefficient 2^-n sum_S (-1)^{|T & S|} v(S), so that v(S) = sum_T (-1)^{|T & S|} beta_T."""
    return inverse_walsh(table) / table.shape[0]


def inverse_walsh(coefficients: Values) -> Values:
    """Row S: sum_T (-1)^{|T & S|} beta_T."""
    out = _copy(coefficients)
    for player in range(count_players(coefficients)):
        without, present = halves(out, player)
        without += present
        present *= -2
        present += without
    return out


def by_size(table: Values, weights: Floats) -> Values:
    """Each row times the weight of its size; `weights` has shape (n+1,)."""
    return table * weights[coalition_sizes(count_players(table))][:, None]


def _copy(table: Values) -> Values:
    return np.array(table, dtype=np.float64, order="C")
