"""Reading the rows of a dataset job: tables, arrays and folders of pictures. Every failure names the file, the row and the column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xai_ray.errors import InputError
from xai_ray.game_spec import Dataset
from xai_ray.games.named_columns import column_order
from xai_ray.inputs import PICTURES, TABLES, Array, bundled, read_npy, read_picture
from xai_ray.npz_pieces import read_npz
from xai_ray.row_spans import span_of
from xai_ray.row_spool import PIECE, Spool, respooled
from xai_ray.table_pieces import read_pieces

_BUNDLED = "sklearn:"


@dataclass(frozen=True)
class ReadRows:
    """R rows of one layout."""

    rows: Array
    """Shape (R, *input)."""
    columns: tuple[str, ...] | None
    """Names of the columns of a table that has some."""
    ids: tuple[int | str, ...] | None
    """Names of the rows: the column `id`, or the names of files."""


def read_dataset(
    source: Dataset, base: Path, wanted: Sequence[str] = (), preprocess: Callable[[Any], Any] | None = None
) -> ReadRows:
    """The rows that `source` names. `wanted` are the columns that the model takes, in its order; `preprocess` turns pictures into inputs.

    Raises InputError.
    """
    where = f"game.input.dataset = {source.dataset!r}"
    path = base / source.dataset
    if source.dataset.startswith(_BUNDLED):
        rows, columns = bundled(source.dataset.removeprefix(_BUNDLED))
        found = _dropped(rows, columns, source, where)
    elif path.is_dir():
        return _pictures(path, source, where, preprocess)
    elif path.suffix.lower() in (".npy", ".npz"):
        rows = read_npz(path) if path.suffix.lower() == ".npz" else read_npy(path, mapped=True)
        if rows.ndim == 0:
            raise InputError(f"{where}: it holds one number and no rows; save an array of shape (rows, columns)")
        found = ReadRows(rows, None, None)
        if rows.ndim == 2:
            found = _dropped(rows, tuple(f"column {i}" for i in range(rows.shape[1])), source, where)
    elif path.suffix.lower() in TABLES:
        found = _table(path, source, where)
    else:
        raise InputError(
            f"{where}: unknown ending; a table ({', '.join(TABLES)}), a folder of pictures or {_BUNDLED}NAME"
        )
    found = _cut(found, source, where)
    if source.id is not None and found.ids is None:
        raise InputError(
            f"{where}: id = {source.id!r} names a column of a table, and these rows have no names of columns"
        )
    return _checked(_ordered(found, wanted, where), where)


def _table(path: Path, source: Dataset, where: str) -> ReadRows:
    found = read_pieces(path, source.drop, source.id, where)
    ids = found.names
    if ids is not None:
        if any(name is None for name in ids):
            raise InputError(f"{where}: column {source.id!r} (id) is empty in row {ids.index(None)}")
        if not all(isinstance(name, int) for name in ids):
            ids = tuple(str(name) for name in ids)
    return ReadRows(found.rows, found.columns, ids)


def _dropped(rows: Array, columns: tuple[str, ...], source: Dataset, where: str) -> ReadRows:
    missing = [name for name in source.drop if name not in columns]
    if missing:
        raise InputError(f"{where}: no column {missing[0]!r} to drop; columns: {', '.join(columns[:12])}")
    if not source.drop and rows.flags.c_contiguous:
        return ReadRows(rows, columns, None)
    kept = [i for i, name in enumerate(columns) if name not in source.drop]
    return ReadRows(respooled(rows, kept), tuple(columns[i] for i in kept), None)


def _cut(found: ReadRows, source: Dataset, where: str) -> ReadRows:
    count = len(found.rows)
    if count == 0:
        raise InputError(f"{where}: it has no rows")
    part = span_of(source.rows, count, where)
    return ReadRows(found.rows[part], found.columns, None if found.ids is None else found.ids[part])


def _ordered(found: ReadRows, wanted: Sequence[str], where: str) -> ReadRows:
    """Columns in the order of the model, where both have names."""
    if found.columns is None or not wanted:
        return found
    order = column_order(found.columns, wanted, where)
    rows = found.rows if order is None else respooled(found.rows, order)
    return ReadRows(rows, tuple(wanted), found.ids)


def _checked(found: ReadRows, where: str) -> ReadRows:
    if not np.issubdtype(found.rows.dtype, np.inexact):
        return found
    for start in range(0, len(found.rows), PIECE):
        finite = np.isfinite(found.rows[start : start + PIECE])
        if finite.all():
            continue
        row, *place = np.argwhere(~finite)[0].tolist()
        row += start
        name = found.columns[place[0]] if found.columns is not None else f"place {place}"
        called = f"row {row}" if found.ids is None else f"row {row} ({found.ids[row]})"
        raise InputError(f"{where}: {called}, {name!r} is missing or not finite; fill it in, or leave the row out")
    return found


def _pictures(path: Path, source: Dataset, where: str, preprocess: Callable[[Any], Any] | None) -> ReadRows:
    if source.drop or source.id is not None:
        raise InputError(f"{where}: drop and id are for tables; pictures are called by their files")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
    if not files:
        raise InputError(f"{where}: no picture in the folder; endings {', '.join(PICTURES)}")
    files = files[span_of(source.rows, len(files), where)]
    spool, shape = Spool(), None
    for file in files:
        picture = read_picture(file)
        if preprocess is not None:
            array = np.asarray(preprocess(picture))
        else:
            array = np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.float32) / 255.0
        shape = shape or array.shape
        if array.shape != shape:
            raise InputError(
                f"{where}: {file.name} gives an input of shape {array.shape}, {files[0].name} one of {shape}; "
                "bring the pictures to one size"
            )
        spool.add(array[None])
    return ReadRows(spool.rows(), None, tuple(file.name for file in files))
