"""Mapped rows on their way to workers: beside the pickle, read where they lie, and the same bits."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import xai_ray as xr
from tests.rows.models import Net, table
from xai_ray.coalitions import Permutations
from xai_ray.engine.shipping import shipped, unshipped

ROWS = 30_000


@pytest.fixture
def games(tmp_path: Path) -> tuple[xr.RowsGame, xr.RowsGame]:
    """Of mapped rows, and of the same in memory."""
    np.save(tmp_path / "rows.npy", table(ROWS, 200))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    model = Net(200, 1).double()
    given = {"players": xr.Columns(), "removal": xr.Zeros(), "behaviour": xr.Raw(), "batch": 64}
    one, other = (xr.RowsGame(model, rows, **given) for rows in (mapped, table(ROWS, 200)))  # pyright: ignore[reportArgumentType]
    return one, other


def pairs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, ROWS, 64), rng.random((64, 200)) < 0.5, np.zeros(64, dtype=np.int64)


def test_workers_read_mapped_rows_where_they_lie(games: tuple[xr.RowsGame, xr.RowsGame]) -> None:
    mapped, there = games
    parcel = shipped(mapped, Permutations(200, 0, False), pickle.dumps)
    assert len(parcel[0]) < 1 << 20
    assert max(part.nbytes for part in parcel[1]) == there.rows.nbytes
    tracemalloc.start()
    try:
        game, _ = unshipped(parcel)
        assert isinstance(game, xr.RowsGame)
        values = game.row_values(*pairs())
        largest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert any(np.shares_memory(game.rows, part) for part in parcel[1])
    assert largest < there.rows.nbytes / 2
    assert values.tobytes() == there.row_values(*pairs()).tobytes()


def test_a_worker_passes_them_on(games: tuple[xr.RowsGame, xr.RowsGame]) -> None:
    mapped, there = games
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(mapped))))
    assert again.digest == there.digest
    assert again.row_values(*pairs()).tobytes() == there.row_values(*pairs()).tobytes()
    assert isinstance(again.halved(), xr.RowsGame)
    own = pickle.loads(pickle.dumps(there))
    assert not isinstance(own.rows, np.memmap)
