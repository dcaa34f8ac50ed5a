"""Datasets larger than what is kept in memory: read in pieces into a mapped file, and the same bits as in memory."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv_files
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

import xai_ray as xr
from tests.cli.conftest import cli
from tests.cli.runs import Cli
from tests.rows.models import Net, table
from tests.rows.test_row_doors import NAMES, SOURCES, folder, spec
from xai_ray import dataset_rows, inputs, npz_pieces, row_spool, table_pieces
from xai_ray.dataset_rows import read_dataset
from xai_ray.errors import InputError
from xai_ray.game_spec import Dataset

__all__ = ["cli", "folder"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts as large is a few hundred bytes, and a piece five rows."""
    for module in (row_spool, inputs):
        monkeypatch.setattr(module, "LARGE", 300)
    for module in (row_spool, table_pieces, dataset_rows):
        monkeypatch.setattr(module, "PIECE", 5)


@pytest.mark.parametrize("kind", SOURCES)
def test_large_is_read_as_small(folder: Path, small: None, kind: str) -> None:
    expected = np.load(folder / "rows.npy")[2:11]
    found = read_dataset(Dataset(**SOURCES[kind], rows="2:11"), folder)
    assert isinstance(found.rows, np.memmap)
    np.testing.assert_array_equal(np.asarray(found.rows), expected)
    turned = [3, 1, 0, 2, 5, 4]
    names = found.columns or NAMES
    wanted = tuple(names[i] for i in turned)
    again = read_dataset(Dataset(**SOURCES[kind]), folder, wanted)
    np.testing.assert_array_equal(np.asarray(again.rows), np.load(folder / "rows.npy")[:, turned])


def test_a_job_of_mapped_rows_has_the_bits_and_the_name_of_one_in_memory(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = spec(folder, {"dataset": "rows.parquet", "id": "who"})
    assert cli("run", source, "--store", "memory", "--out", "memory-out", "-q").code == 0
    monkeypatch.setattr(row_spool, "LARGE", 300)
    ended = cli("run", source, "--store", "mapped", "--out", "mapped-out", "-q")
    assert ended.code == 0, ended.err
    assert Path("memory-out/result.arrow").read_bytes() == Path("mapped-out/result.arrow").read_bytes()


def test_a_module_takes_mapped_rows(tmp_path: Path) -> None:
    rows = table(9, 5)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    given = {"players": xr.Columns(), "removal": xr.Marginal(table(4, 5, 9)), "behaviour": xr.LogOdds()}
    games = [xr.RowsGame(Net(5, 3).double(), r, **given) for r in (rows, mapped)]  # pyright: ignore[reportArgumentType]
    assert isinstance(games[1].rows, np.memmap)
    assert games[0].digest == games[1].digest
    found = [xr.explain_rows(game, budget="exact", unit_rows=4) for game in games]
    assert found[0].values.tobytes() == found[1].values.tobytes()


@pytest.mark.parametrize("kind", ["parquet", "csv", "arrow", "npz", "npz by columns"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    count, bytes_kept = 400_000, 1 << 20
    monkeypatch.setattr(row_spool, "LARGE", bytes_kept)
    for module in (row_spool, table_pieces, dataset_rows):
        monkeypatch.setattr(module, "PIECE", 4_000)
    source, whole = pa.table({name: np.arange(count) + 0.5 for name in "abcdef"}), 6 * 8 * count
    path = tmp_path / f"rows.{kind[:7].split()[0]}"
    monkeypatch.setattr(npz_pieces, "_PIECE_BYTES", 6 * 8 * 4_000)
    rows = np.repeat(np.arange(count)[:, None] + 0.5, 6, axis=1)
    write = {
        "npz": lambda: np.savez_compressed(path, rows),
        "npz by columns": lambda: np.savez(path, np.asfortranarray(rows)),
        "parquet": lambda: parquet.write_table(source, path, row_group_size=4_000),
        "csv": lambda: csv_files.write_csv(source, path),
        "arrow": lambda: feather.write_feather(source, str(path)),
    }
    write[kind]()
    tracemalloc.start()
    try:
        found = read_dataset(Dataset(dataset=path.name), tmp_path)
        given = {"players": xr.Columns(), "removal": xr.Zeros(), "behaviour": xr.Raw()}
        game = xr.RowsGame(_sums, found.rows, **given)  # pyright: ignore[reportArgumentType]
        largest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert game.n_rows == count
    assert largest < 6 * bytes_kept < whole / 3
    assert game.rows[-1, 0] == count - 0.5


def _sums(rows: np.ndarray) -> np.ndarray:
    return rows.sum(axis=1)


def test_whole_numbers_that_become_others_late(tmp_path: Path) -> None:
    lines = ["a,b", *(f"{i},1" for i in range(200_000)), "0.5,2"]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    found = read_dataset(Dataset(dataset="rows.csv"), tmp_path)
    assert found.rows.shape == (200_001, 2)
    assert found.rows[-1].tolist() == [0.5, 2.0]


def test_a_missing_value_far_down_is_named(tmp_path: Path, small: None) -> None:
    rows = np.arange(60.0).reshape(20, 3)
    rows[17, 1] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(InputError, match="row 17, 'column 1' is missing"):
        read_dataset(Dataset(dataset="rows.npy"), tmp_path)


def test_a_full_disk_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**given: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_spool, "LARGE", 8)
    monkeypatch.setattr(row_spool.tempfile, "TemporaryFile", full)
    with pytest.raises(InputError, match="No space left on device; set TMPDIR"):
        row_spool.Spool().add(np.zeros((4, 4)))


def damaged(path: Path, kind: str) -> str:
    rows = table(50, 6)
    match kind:
        case "objects":
            np.savez(path, np.array([[i, str(i) * 9] for i in range(50)], dtype=object))
            return "Python objects"
        case "cut":
            np.savez(path, rows)
            path.write_bytes(path.read_bytes()[:400])
            return "is the file whole"
        case "bits":
            np.savez(path, rows)
            whole = bytearray(path.read_bytes())
            whole[900] ^= 1
            path.write_bytes(whole)
            return "Bad CRC-32"
        case _:
            np.savez(path, rows, rows)
            return "needs exactly one"


@pytest.mark.parametrize("kind", ["objects", "cut", "bits", "two"])
def test_a_large_npz_that_is_damaged_is_named(tmp_path: Path, small: None, kind: str) -> None:
    words = damaged(tmp_path / "rows.npz", kind)
    with pytest.raises(InputError, match=words) as raised:
        read_dataset(Dataset(dataset="rows.npz"), tmp_path)
    assert "rows.npz" in str(raised.value)


@pytest.mark.parametrize("order", ["C", "F"])
def test_pictures_of_a_large_npz(tmp_path: Path, small: None, order: str) -> None:
    rows = np.random.default_rng(0).random((7, 3, 4, 5)).astype(np.float32)
    np.savez_compressed(tmp_path / "rows.npz", np.asarray(rows, order=order))  # pyright: ignore[reportArgumentType, reportCallIssue]
    found = read_dataset(Dataset(dataset="rows.npz", rows="1:6"), tmp_path)
    assert isinstance(found.rows, np.memmap)
    np.testing.assert_array_equal(np.asarray(found.rows), rows[1:6])


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", ["turned.npy", "turned.npz"])
def test_another_byte_order_is_turned_to_this_machine_s(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, large: bool
) -> None:
    rows = np.load(folder / "rows.npy")
    turned = rows.astype(rows.dtype.newbyteorder("S"))
    np.save(folder / "turned.npy", turned)
    np.savez(folder / "turned.npz", rows=turned)
    if large:
        for module in (row_spool, inputs):
            monkeypatch.setattr(module, "LARGE", 300)
        monkeypatch.setattr(row_spool, "PIECE", 5)
    for source in (Dataset(dataset=name), Dataset(dataset=name, drop=("column 1",))):
        found = read_dataset(source, folder).rows
        assert found.dtype == rows.dtype
        assert isinstance(found, np.memmap) == large
        np.testing.assert_array_equal(np.asarray(found), np.delete(rows, 1, axis=1) if source.drop else rows)
    game = xr.RowsGame(
        Net(6, 3).double(),  # pyright: ignore[reportArgumentType]
        read_dataset(Dataset(dataset=name), folder).rows,
        players=xr.Columns(),
        removal=xr.Zeros(),
        behaviour=xr.LogOdds(),
    )
    assert np.isfinite(xr.explain_rows(game, budget="exact").values).all()


@pytest.mark.parametrize("name", ["one.npy", "one.npz", "other.npz"])
def test_files_without_rows_are_named(folder: Path, name: str) -> None:
    np.save(folder / "one.npy", np.array(3.0))
    np.savez(folder / "one.npz", np.array(3.0))
    with zipfile.ZipFile(folder / "other.npz", "w") as archive:
        archive.writestr("notes.txt", "no array")
    said = (
        "is no array of numpy; write the file with" if name == "other.npz" else "one number and no rows; save an array"
    )
    with pytest.raises(InputError, match=f"{name}.*{said}"):
        read_dataset(Dataset(dataset=name), folder)


def test_rows_of_which_nothing_is_dropped_are_not_copied(folder: Path, small: None) -> None:
    found = read_dataset(Dataset(dataset="rows.npy"), folder).rows
    assert isinstance(found, np.memmap)
    assert found.filename is not None
    assert Path(str(found.filename)).name == "rows.npy"
