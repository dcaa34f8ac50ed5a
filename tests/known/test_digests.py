"""Digests of arrays of any layout, in pieces."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pytest

from xai_ray.games import digest
from xai_ray.games.digest import fingerprint

ARRAYS = {
    "fortran, three dimensions": np.asfortranarray(np.arange(7 * 5 * 3.0).reshape(7, 5, 3)),
    "fortran, two dimensions": np.asfortranarray(np.arange(35).reshape(7, 5)),
    "one long row": np.asfortranarray(np.arange(2 * 90.0).reshape(1, 2, 90)),
    "strided": np.arange(200.0)[::3],
    "reversed": np.arange(24.0).reshape(2, 3, 4)[:, ::-1],
    "transposed": np.arange(24, dtype=">i4").reshape(2, 3, 4).transpose(2, 0, 1),
    "in place": np.arange(24.0).reshape(2, 3, 4),
    "a number": np.array(3.0),
    "none": np.zeros((3, 0, 2), order="F"),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("piece", [1, 8, 100, 1 << 24])
def test_the_digest_is_that_of_the_bytes_in_row_major_order(name, piece, monkeypatch):
    monkeypatch.setattr(digest, "_PIECE", piece)
    array = ARRAYS[name]
    whole = array.tobytes(order="C")
    expected = hashlib.sha256(f"array {array.dtype.str} {array.shape} {len(whole)}\n".encode() + whole).hexdigest()
    assert fingerprint([array]) == expected


@pytest.mark.parametrize("shape", [(300, 64, 512), (1, 64, 300 * 512)])
def test_another_layout_is_not_copied_whole(shape):
    array = np.zeros(shape, order="F")
    tracemalloc.start()
    fingerprint([array])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 2
