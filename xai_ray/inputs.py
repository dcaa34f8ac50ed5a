"""Reading what a spec names: pictures, rows of tables, texts. Every failure is an InputError that names the file."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError, UnknownName
from xai_ray.game_spec import Background, BundledRow, PassageList, TableRow, Text, TextRow
from xai_ray.games.named_columns import check_once
from xai_ray.row_spool import LARGE, native

Array = npt.NDArray[Any]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
TABLES = (".csv", ".parquet", ".arrow", ".feather", ".npy", ".npz")
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L")
"""Modes of pictures that would be clipped to 8 bits."""
NO_UTF8 = "the names of its columns are no UTF-8; save it in this encoding"
_BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")


@dataclass(frozen=True)
class ReadInput:
    """One of: a picture (height, width, 3) uint8, a row with column names, a text, a list of passages, an array."""

    picture: npt.NDArray[np.uint8] | None = None
    row: Array | None = None
    columns: tuple[str, ...] | None = None
    text: str | None = None
    passages: tuple[str, ...] | None = None
    array: Array | None = None


def read_input(source: Any, base: Path) -> ReadInput:
    """Read the `input` of a model game; relative paths start at the spec's folder."""
    if isinstance(source, Text):
        return ReadInput(text=source.text)
    if isinstance(source, TextRow):
        return ReadInput(text=_text(source, base))
    if isinstance(source, PassageList):
        return ReadInput(passages=_passages(source, base))
    if isinstance(source, TableRow):
        rows, columns = read_table(base / source.table, source.drop)
        return ReadInput(row=_row(rows, source.row, source.table), columns=columns)
    if isinstance(source, BundledRow):
        rows, columns = bundled(source.sklearn)
        return ReadInput(row=_row(rows, source.row, source.sklearn), columns=columns)
    if source.startswith("skimage:"):
        return ReadInput(picture=_skimage(source.removeprefix("skimage:")))
    path = base / source
    if path.suffix.lower() in PICTURES:
        return ReadInput(picture=read_picture(path))
    if path.suffix.lower() == ".npy":
        return ReadInput(array=read_npy(path))
    if path.suffix.lower() == ".txt":
        return ReadInput(text=_read_text(path).strip())
    raise InputError(
        f"game.input {source!r}: unknown ending; pictures {', '.join(PICTURES)}, arrays .npy, texts .txt, or {{ table, row }}"
    )


def read_background(source: Background, base: Path) -> tuple[Array, tuple[str, ...]]:
    """Rows and column names of a background."""
    if (source.table is None) == (source.sklearn is None):
        raise InputError("game.removal.background needs exactly one of `table` and `sklearn`")
    where = source.table or source.sklearn
    rows, columns = read_table(base / source.table, source.drop) if source.table else bundled(str(source.sklearn))
    if source.rows is not None:
        bounds = [int(part) if part else None for part in source.rows.split(":")]
        if len(bounds) == 3 and bounds[2] == 0:
            raise InputError(f'game.removal.background.rows = "{source.rows}": the step cannot be 0')
        rows = rows[slice(*bounds)]
    if len(rows) == 0:
        raise InputError(
            f"game.removal.background: no rows are left of {where} after rows = {source.rows!r}; it needs at least one"
        )
    return rows, columns


def read_table(path: Path, drop: tuple[str, ...] = ()) -> tuple[Array, tuple[str, ...]]:
    """A table of numbers as rows (r, d) and column names. Raises InputError for text columns, missing files and missing values."""
    if path.suffix.lower() not in TABLES:
        raise InputError(f"table {path}: unknown ending {path.suffix!r}; one of {', '.join(TABLES)}")
    if path.suffix.lower() in (".npy", ".npz"):
        rows = read_npy(path)
        if rows.ndim != 2:
            raise InputError(f"table {path}: needs two dimensions (rows, columns), has shape {rows.shape}")
        names = tuple(f"column {i}" for i in range(rows.shape[1]))
    else:
        table = arrow_table(path)
        check_once(table.column_names, f"table {path}")
        text = [f.name for f in table.schema if not is_number(f.type) and f.name not in drop]
        if text:
            check_commas(table.column_names, f"table {path}")
            raise InputError(
                f"table {path}: column {text[0]!r} does not hold numbers; encode it, or leave it out with drop = [{text[0]!r}]"
            )
        names = tuple(table.column_names)
        rows = (
            np.stack([table.column(c).to_numpy().astype(np.float64) for c in names if c not in drop], axis=1)
            if names
            else np.empty((0, 0))
        )
    missing = [c for c in drop if c not in names]
    if missing:
        raise InputError(f"table {path}: no column {missing[0]!r} to drop; columns: {', '.join(names)}")
    kept = tuple(c for c in names if c not in drop)
    if path.suffix.lower() in (".npy", ".npz") and drop:
        rows = rows[:, [i for i, c in enumerate(names) if c not in drop]]
    return rows, kept


def bundled(name: str) -> tuple[Array, tuple[str, ...]]:
    """A data set that scikit-learn bundles: rows (r, d) and column names."""
    if name not in _BUNDLED:
        raise UnknownName("data set", name, _BUNDLED, "sklearn")
    from sklearn import datasets

    found: Any = getattr(datasets, f"load_{name}")()
    return found.data, tuple(str(c) for c in found.feature_names)


def bundled_targets(name: str) -> Array:
    """The targets of a data set that scikit-learn bundles, shape (r,): names of classes, or numbers."""
    if name not in _BUNDLED:
        raise UnknownName("data set", name, _BUNDLED, "sklearn")
    from sklearn import datasets

    found: Any = getattr(datasets, f"load_{name}")()
    names = getattr(found, "target_names", None)
    return np.asarray(found.target) if names is None else np.asarray(names)[found.target]


def _row(rows: Array, at: int, where: str) -> Array:
    if at >= len(rows):
        raise InputError(f"game.input.row = {at}: {where} has rows 0..{len(rows) - 1}")
    return rows[at]


def _skimage(name: str) -> npt.NDArray[np.uint8]:
    try:
        from skimage import data
    except ImportError:
        raise InputError('game.input "skimage:..." needs scikit-image: pip install "xai-ray[images]"') from None
    if name not in data.__all__:
        raise UnknownName("picture", name, data.__all__, 'game.input "skimage:..."')
    picture = np.asarray(getattr(data, name)())
    return _rgb(picture, f"skimage:{name}")


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """A picture (height, width, 3). Raises InputError that names the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode in _DEEP:
                raise InputError(
                    f"the picture {path} has mode {image.mode} (more than 8 bits a channel); convert it to 8 bits a channel"
                )
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except FileNotFoundError:
        raise InputError(f"no picture at {path}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"cannot read the picture {path}: {error}; is the file whole?") from None


def _rgb(picture: Array, where: str) -> npt.NDArray[np.uint8]:
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    if picture.ndim != 3 or picture.shape[-1] < 3:
        raise InputError(f"{where} has shape {picture.shape}, not (height, width, 3)")
    return np.ascontiguousarray(picture[..., :3]).astype(np.uint8)


def _text(source: TextRow, base: Path) -> str:
    lines = read_lines(base / source.texts)
    header = lines[0].split("\t") if lines else []
    if source.column not in header:
        raise InputError(
            f"{base / source.texts}: no column {source.column!r} in its first line; columns: {', '.join(header)}"
        )
    if source.row + 1 >= len(lines):
        raise InputError(f"game.input.row = {source.row}: {base / source.texts} has rows 0..{len(lines) - 2}")
    cells = lines[source.row + 1].split("\t")
    at = header.index(source.column)
    if at >= len(cells) or not cells[at].strip():
        raise InputError(f"{base / source.texts}: row {source.row} has no text in column {source.column!r}")
    return cells[at].strip()


def _passages(source: PassageList, base: Path) -> tuple[str, ...]:
    if not isinstance(source.passages, str):
        return source.passages
    path = base / source.passages
    if path.suffix.lower() not in (".txt", ".json"):
        raise InputError(f"game.input.passages: {path} is neither .txt (a passage a line) nor .json (a list of texts)")
    if path.suffix.lower() == ".txt":
        return tuple(line.strip() for line in read_lines(path) if line.strip())
    try:
        found = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"game.input.passages: cannot read {path}: {error}") from None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise InputError(f"game.input.passages: {path} does not hold a list of texts")
    return tuple(found)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, which end in a newline, or in a carriage return and a newline. Raises InputError."""
    # `str.splitlines` ends a line at form feeds, line separators and others too, which texts hold.
    lines = _read_text(path).split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def read_npy(path: Path, mapped: bool = False) -> Array:
    """The array of a .npy file, or the only one of a .npz file, in native byte order. With `mapped`, a large .npy file is not read but
    mapped into memory.

    Raises InputError that names the file.
    """
    try:
        mode = "r" if mapped and path.suffix.lower() == ".npy" and path.stat().st_size > LARGE else None
        loaded = np.load(path, allow_pickle=False, mmap_mode=mode)
        if isinstance(loaded, np.ndarray):
            return native(loaded)
        with loaded:
            keys = list(loaded.keys())
            if len(keys) != 1:
                raise InputError(f"{path} holds the arrays {', '.join(keys)}; a table file needs exactly one")
            found = loaded[keys[0]]
    except FileNotFoundError:
        raise InputError(f"no file at {path}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        remedy = "; save numbers, as array.astype(float) has them" if "allow_pickle" in str(error) else ""
        raise InputError(f"cannot read the array {path}: {error}{remedy}") from None
    if not isinstance(found, np.ndarray):
        raise InputError(f"{path}: its member {keys[0]!r} is no array of numpy; write the file with numpy.savez")
    return native(found)


def check_commas(columns: Sequence[str], where: str) -> None:
    """InputError for a table of one column that other marks than commas seem to part."""
    mark = next((m for m in ";\t|" if len(columns) == 1 and m in columns[0]), None)
    if mark is not None:
        raise InputError(
            f"{where}: one column, {columns[0]!r}; entries are parted by commas, here it seems by {mark!r}"
        )


def arrow_table(path: Path) -> Any:
    """A .csv, .parquet, .arrow or .feather file as a pyarrow.Table. Raises InputError that names the file."""
    import pyarrow
    from pyarrow import csv as arrow_csv
    from pyarrow import feather, parquet

    try:
        if path.suffix.lower() == ".csv":
            found = arrow_csv.read_csv(path)
        else:
            found = parquet.read_table(path) if path.suffix.lower() == ".parquet" else feather.read_table(path)
        # Names are decoded when they are first asked for.
        _ = found.column_names
        return found
    except FileNotFoundError:
        raise InputError(f"no table at {path}") from None
    except UnicodeDecodeError:
        raise InputError(f"cannot read the table {path}: {NO_UTF8}") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"cannot read the table {path}: {ragged_line(path) or str(error).splitlines()[0]}") from None


def ragged_line(path: Path) -> str | None:
    """Which line of a .csv file has not as many entries as its first; None where all have, or it cannot be read as text."""
    if path.suffix.lower() != ".csv":
        return None
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            count = len(next(lines, []))
            for entries in lines:
                if entries and len(entries) != count:
                    return f"line {lines.line_num} has {len(entries)} entries, the first line has {count}"
    except (OSError, ValueError, csv.Error):
        return None
    return None


def is_number(kind: Any) -> bool:
    """Whether a type of Arrow holds numbers."""
    from pyarrow import types

    # A column without a single entry has the type null: numbers that are all missing.
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind)


def _read_text(path: Path) -> str:
    """Without the byte order mark that some editors put first, and bytes that are no UTF-8 replaced."""
    return _read_bytes(path).decode("utf-8-sig", errors="replace")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no file at {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
