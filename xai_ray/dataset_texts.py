"""Reading a dataset of texts: a column of a table, or the lines of a .txt file. Every failure names the file, the row and the column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xai_ray.errors import InputError
from xai_ray.game_spec import Dataset
from xai_ray.inputs import NO_UTF8, read_lines
from xai_ray.row_spans import span_of

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_REMEDY = "name the column of texts, or leave `column` out to explain rows of numbers"
_TABLES = (".csv", ".tsv", ".parquet", ".arrow", ".feather")


@dataclass(frozen=True)
class ReadTexts:
    """R texts."""

    texts: tuple[str, ...]
    first: int
    """Number of the first in the file, from 0."""
    ids: tuple[str, ...] | None
    """Names of the texts: the column `id`."""


def is_texts(source: Any) -> bool:
    """Whether an input is a dataset of texts: one with a `column`, or a .txt file."""
    return isinstance(source, Dataset) and (source.column is not None or source.dataset.lower().endswith(".txt"))


def read_texts(source: Dataset, base: Path) -> ReadTexts:
    """The texts that `source` names. Raises InputError, also for a text that is empty."""
    where, path = f"game.input.dataset = {source.dataset!r}", base / source.dataset
    if source.drop:
        raise InputError(f"{where}: drop is for columns of numbers; `column` names the one of texts")
    if source.background_parts != 1:
        raise InputError(f"{where}: background_parts is for rows of numbers, which share a background; leave it out")
    if path.suffix.lower() == ".txt":
        if source.column is not None or source.id is not None:
            raise InputError(f"{where}: a .txt file has a text a line and no columns; leave out column and id")
        texts, names = read_lines(path), None
    elif path.suffix.lower() in _TABLES:
        assert source.column is not None
        columns = _columns(path, [source.column, *([source.id] if source.id is not None else [])], where)
        texts, names = columns[0], columns[1] if source.id is not None else None
    else:
        raise InputError(
            f"{where}: unknown ending; texts are a column of a table ({', '.join(_TABLES)}) or lines of .txt"
        )
    if not texts:
        raise InputError(f"{where}: it has no rows")
    part = span_of(source.rows, len(texts), where)
    for row, text in enumerate(texts[part], start=part.start):
        if text is None or not str(text).strip():
            column = f" in column {source.column!r}" if source.column is not None else ""
            raise InputError(f"{where}: row {row} has no text{column}; fill it in, or leave the row out")
    return ReadTexts(
        tuple(str(t) for t in texts[part]), part.start, None if names is None else tuple(str(n) for n in names[part])
    )


def _columns(path: Path, wanted: list[str], where: str) -> list[list[Any]]:
    import pyarrow as pa
    from pyarrow import csv, feather, parquet

    ending = path.suffix.lower()
    try:
        if ending in _DELIMITERS:
            parse = csv.ParseOptions(delimiter=_DELIMITERS[ending], newlines_in_values=True)
            types = csv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()))
            table = csv.read_csv(path, parse_options=parse, convert_options=types)
        else:
            table = parquet.read_table(path) if ending == ".parquet" else feather.read_table(path, memory_map=True)
    except FileNotFoundError:
        raise InputError(f"no table at {path}") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot read the table {path}: {str(error).splitlines()[0]}") from None
    try:
        names = table.column_names
    except UnicodeDecodeError:
        raise InputError(f"cannot read the table {path}: {NO_UTF8}") from None
    for name in wanted:
        if names.count(name) != 1:
            raise InputError(f"{where}: it has no one column {name!r}; columns: {', '.join(names[:12])}")
    kind = table.schema.field(wanted[0]).type
    if pa.types.is_dictionary(kind):
        # As pandas stores categories.
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(f"{where}: column {wanted[0]!r} holds {kind}, not texts; {_REMEDY}")
    columns = [table.column(name).to_pylist() for name in wanted]
    # A CSV file says nothing of types, and was read as texts.
    if ending in _DELIMITERS and _numbers(columns[0]):
        shown = next(entry for entry in columns[0] if entry and entry.strip())
        raise InputError(
            f"{where}: every entry of column {wanted[0]!r} is a number (the first is {shown[:40]!r}), not a text; {_REMEDY}"
        )
    return columns


def _numbers(entries: list[str | None]) -> bool:
    """Whether all that is there are numbers, and something is."""
    there = [entry for entry in entries if entry and entry.strip()]
    return bool(there) and all(map(_is_number, there))


def _is_number(entry: str) -> bool:
    try:
        float(entry)
    except ValueError:
        return False
    # `nan` and `infinity` are words too.
    return any(map(str.isdigit, entry))
