"""Butterfly transforms against sums written out, and on games whose transforms are known."""

from __future__ import annotations

import numpy as np
import pytest

from xai_ray.errors import InputError
from xai_ray.indices.transforms import (
    by_size,
    coalition_sizes,
    comoebius,
    count_players,
    inverse_walsh,
    moebius,
    subset_sums,
    superset_sums,
    walsh,
)

N = 5
ROWS = range(2**N)


def size(row: int) -> int:
    return row.bit_count()


TABLE = np.random.default_rng(0).normal(size=(2**N, 3)) + 4

WRITTEN_OUT = {
    subset_sums: lambda S, T: float(T & ~S == 0),
    superset_sums: lambda S, T: float(S & ~T == 0),
    moebius: lambda S, T: float(T & ~S == 0) * (-1) ** size(S & ~T),
    comoebius: lambda S, T: float((S | T) == 2**N - 1) * (-1) ** size(S & ~T),
    walsh: lambda S, T: (-1) ** size(S & T) / 2**N,
    inverse_walsh: lambda S, T: float((-1) ** size(S & T)),
}


@pytest.mark.parametrize("transform", WRITTEN_OUT, ids=lambda f: f.__name__)
def test_transform_is_its_matrix(transform) -> None:
    matrix = np.array([[WRITTEN_OUT[transform](S, T) for T in ROWS] for S in ROWS])
    before = TABLE.copy()
    np.testing.assert_allclose(transform(TABLE), matrix @ TABLE, atol=1e-11)
    np.testing.assert_array_equal(TABLE, before)
    np.testing.assert_allclose(transform(TABLE[::-1]), matrix @ TABLE[::-1], atol=1e-11)
    np.testing.assert_allclose(transform(np.asfortranarray(TABLE)), matrix @ TABLE, atol=1e-11)


def test_inverses() -> None:
    np.testing.assert_allclose(subset_sums(moebius(TABLE)), TABLE, atol=1e-12)
    np.testing.assert_allclose(moebius(subset_sums(TABLE)), TABLE, atol=1e-12)
    np.testing.assert_allclose(inverse_walsh(walsh(TABLE)), TABLE, atol=1e-12)
    np.testing.assert_allclose(comoebius(TABLE), superset_sums(moebius(TABLE)), atol=1e-10)


def test_a_unanimity_game_is_one_dividend() -> None:
    carrier = 0b10110
    game = np.array([[float(row & carrier == carrier)] for row in ROWS])
    expected = np.zeros((2**N, 1))
    expected[carrier] = 1
    np.testing.assert_array_equal(moebius(game), expected)


def test_a_parity_is_one_fourier_coefficient() -> None:
    members = 0b01101
    game = np.array([[(-1.0) ** size(row & members)] for row in ROWS])
    expected = np.zeros((2**N, 1))
    expected[members] = 1
    np.testing.assert_array_equal(walsh(game), expected)


def test_parseval() -> None:
    np.testing.assert_allclose((walsh(TABLE) ** 2).sum(axis=0), (TABLE**2).mean(axis=0))


def test_sizes() -> None:
    assert coalition_sizes(N).tolist() == [size(row) for row in ROWS]
    weights = np.arange(N + 1.0) ** 2
    np.testing.assert_array_equal(by_size(TABLE, weights), np.array([size(row) ** 2 * TABLE[row] for row in ROWS]))


@pytest.mark.parametrize("rows", [0, 1, 3, 6, 31])
def test_a_length_that_is_no_power_of_two_is_an_error(rows: int) -> None:
    with pytest.raises(InputError, match=r"shape \(2\^n, outputs\)"):
        count_players(np.zeros((rows, 1)))
