"""Masked rows on the host: the kernels of torch give numpy's `where` to the bit."""

from __future__ import annotations

import sys
import warnings
from unittest import mock

import numpy as np
import pytest
import torch

from xai_ray.games.passes.choosing import chosen

SHAPES = {
    "shared fillings": ((40, 1, 7), (40, 1, 7), (1, 25, 7)),
    "fillings of their own": ((40, 1, 7), (40, 1, 7), (40, 25, 7)),
    "one filling": ((40, 1, 7), (1, 7), (1, 1, 7)),
    "pictures": ((6, 1, 1, 5, 4), (3, 5, 4), (1, 8, 3, 5, 4)),
    "a grid": ((6, 1, 1, 7), (1, 5, 1, 7), (1, 1, 8, 7)),
    "nothing": ((0, 1, 7), (0, 1, 7), (1, 25, 7)),
}


def numbers(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    drawn = (np.random.default_rng(seed).normal(size=shape) * 50).astype(dtype)
    if drawn.dtype.kind == "f" and drawn.size:
        odd = np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0], dtype=dtype)
        drawn.flat[: len(odd)] = odd
    return drawn


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "u1", "u2", "?", ">f8", "c16"])
@pytest.mark.parametrize("shapes", list(SHAPES))
def test_bits_are_those_of_where(shapes: str, dtype: str) -> None:
    of_mask, of_kept, of_filled = SHAPES[shapes]
    mask = np.random.default_rng(0).random(of_mask) < 0.5
    kept, filled = numbers(of_kept, dtype, 1), numbers(of_filled, dtype, 2)
    want = np.where(mask, kept, filled)
    for part in (kept, filled):
        part.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = chosen(mask, kept, filled)
    assert (found.dtype, found.shape) == (want.dtype, want.shape)
    assert found.tobytes() == want.tobytes()
    with mock.patch.dict(sys.modules):
        del sys.modules["torch"]
        assert chosen(mask, kept, filled).tobytes() == want.tobytes()


def test_mixed_types_are_promoted_as_numpy_does() -> None:
    mask = np.random.default_rng(0).random((9, 1, 3)) < 0.5
    kept, filled = numbers((9, 1, 3), "f4", 1), numbers((1, 20, 3), "f8", 2)
    found = chosen(mask, kept, filled)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.where(mask, kept, filled))


def test_torch_takes_over_where_there_are_many_fillings() -> None:
    mask = np.zeros((9, 1, 3), dtype=bool)
    with mock.patch.object(torch, "bitwise_and", side_effect=AssertionError("called")):
        with pytest.raises(AssertionError, match="called"):
            chosen(mask, np.zeros((9, 1, 3)), np.ones((1, 20, 3)))
        assert (chosen(mask, np.zeros((9, 1, 3)), np.ones((1, 1, 3))) == 1).all()


@pytest.mark.parametrize("loaded", [True, False])
def test_rows_lie_as_models_read_them_whatever_the_order_of_the_mask(loaded: bool) -> None:
    mask = (np.random.default_rng(0).random((40, 8)) < 0.5)[:, np.arange(7)]
    assert not mask.flags.c_contiguous
    kept, filled = numbers((40, 1, 7), "f4", 1), numbers((1, 25, 7), "f4", 2)
    with mock.patch.dict(sys.modules):
        if not loaded:
            del sys.modules["torch"]
        assert chosen(mask[:, None], kept, filled).flags.c_contiguous
