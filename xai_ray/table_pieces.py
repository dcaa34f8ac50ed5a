"""Tables of numbers read in pieces: Parquet by row groups, CSV by blocks, Arrow from the mapped file. Memory: a piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xai_ray.errors import InputError
from xai_ray.games.named_columns import check_once
from xai_ray.inputs import NO_UTF8, check_commas, is_number, ragged_line
from xai_ray.row_spool import PIECE, Spool


@dataclass(frozen=True)
class TablePieces:
    """A table's rows of numbers and, on request, a column of names."""

    rows: Any
    """Shape (R, d), float64; see `Spool`."""
    columns: tuple[str, ...]
    names: tuple[Any, ...] | None
    """The column of names."""


def read_pieces(path: Path, drop: Sequence[str], name: str | None, where: str) -> TablePieces:
    """All rows of a .parquet, .csv, .arrow or .feather file without the columns `drop` and `name`. Raises InputError."""
    with _readable(path):
        schema = _schema(path)
        for kind, asked in (("to drop", drop), ("(id)", (name,) if name is not None else ())):
            missing = [c for c in asked if c not in schema.names]
            if missing:
                some = ", ".join(schema.names[:12]) + (", ..." if len(schema.names) > 12 else "")
                raise InputError(f"{where}: no column {missing[0]!r} {kind}; columns: {some}")
        check_once(schema.names, f"table {path}")
        kept = [c for c in schema.names if c not in drop and c != name]
        text = [c for c in kept if not is_number(schema.field(c).type)]
        if text:
            check_commas(schema.names, f"table {path}")
            shown = _first_text(path, schema, text[0])
            raise InputError(
                f"table {path}: column {text[0]!r} does not hold numbers{shown}; encode it (a category as numbers or one "
                f"column each), or leave it out with drop = [{text[0]!r}]"
            )
        spool, names = Spool(), list[Any]()
        for batch in _batches(path, schema, kept, name):
            if kept:
                numbers = [_floats(batch.column(c)) for c in kept]
                spool.add(np.stack(numbers, axis=1))
            if name is not None:
                names += batch.column(name).to_pylist()
    return TablePieces(spool.rows(), tuple(kept), None if name is None else tuple(names))


def _first_text(path: Path, schema: Any, column: str) -> str:
    """Which entry of a column is no number, and in which row."""
    at = 0
    for batch in _batches(path, schema, (), column):
        for entry in batch.column(column).to_pylist():
            try:
                float(entry if entry is not None else "nan")
            except (TypeError, ValueError):
                return f" (row {at} has {str(entry)[:40]!r})"
            at += 1
    return ""


def _floats(column: Any) -> Any:
    return column.to_numpy(zero_copy_only=False).astype(np.float64)


def _schema(path: Path) -> Any:
    from pyarrow import csv, feather, parquet

    ending = path.suffix.lower()
    if ending == ".parquet":
        with parquet.ParquetFile(path) as file:
            return file.schema_arrow
    if ending == ".csv":
        with csv.open_csv(path) as file:
            return file.schema
    return feather.read_table(path, memory_map=True).schema


def _batches(path: Path, schema: Any, kept: Sequence[str], name: str | None) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv, feather, parquet

    wanted = [*kept, *([name] if name is not None else [])]
    ending = path.suffix.lower()
    if ending == ".parquet":
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(PIECE, columns=wanted)
    elif ending == ".csv":
        # Types are those of the first block, where whole numbers may yet become others.
        types = {c: pa.float64() for c in kept if not pa.types.is_boolean(schema.field(c).type)}
        options = csv.ConvertOptions(include_columns=wanted, column_types=types)
        with csv.open_csv(path, convert_options=options) as file:
            yield from file
    else:
        yield from feather.read_table(path, columns=wanted, memory_map=True).to_batches(PIECE)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise InputError(f"no table at {path}") from None
    except UnicodeDecodeError:
        raise InputError(f"cannot read the table {path}: {NO_UTF8}") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"cannot read the table {path}: {ragged_line(path) or str(error).splitlines()[0]}; every row needs the columns of the first "
            "line, and numbers in them"
        ) from None
