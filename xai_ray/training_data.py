"""Reading what a training game is made of: rows with targets from files, bundled data sets and factories, and rows held out for testing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray import training_spec as s
from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import InputError, SpecError, UnknownName
from xai_ray.factories import imported, made
from xai_ray.inputs import arrow_table, bundled, bundled_targets, read_table
from xai_ray.valuation import Exhibits, exhibits

Array = npt.NDArray[Any]

_NAMES = ("X", "y", "X_test", "y_test", "groups", "names", "texts", "images", "flagged", "X_holdout", "y_holdout")
"""What a factory may return by name."""


@dataclass(frozen=True)
class Rows:
    """Rows as they came, unchecked: n training and m test rows."""

    X: Any
    """Shape (n, d)."""
    y: Any
    """Shape (n,)."""
    X_test: Any = None
    """Shape (m, d), or None."""
    y_test: Any = None
    groups: Any = None
    """Group of each training row, shape (n,), or None."""
    names: Any = None
    """Name of each training row, shape (n,), or None."""
    texts: Any = None
    """Text of each training row, shape (n,), or None: what people read of it."""
    images: Any = None
    """Picture of each training row, shape (n, height, width) or (n, height, width, 3), or None."""
    flagged: Any = None
    """Whether each training row is known to be bad, shape (n,), or None."""
    X_holdout: Any = None
    """Rows that take no part in the valuation, for the curves of reports, shape (h, d), or None."""
    y_holdout: Any = None

    def exhibits(self) -> Exhibits:
        """What people see of the training rows, and rows held out for curves, checked. Raises InputError."""
        holdout = None if self.X_holdout is None and self.y_holdout is None else (self.X_holdout, self.y_holdout)
        if self.texts is None and self.images is None and self.flagged is None and holdout is None:
            return Exhibits()
        return exhibits(
            len(self.X), texts=self.texts, images=self.images, flagged=self.flagged, holdout=holdout, where="game.data"
        )


def read_rows(game: s.TrainingGameSpec, base: Path, tests: bool = True) -> Rows:
    """The data of a spec, with test rows if there must be `tests`; relative paths start at `base`.

    Raises InputError and SpecError that name the key.
    """
    match game.data:
        case s.LabelledTable():
            rows = _table(game.data, game, base)
        case s.Arrays():
            rows = _arrays(base / game.data.arrays, game.groups)
        case s.LabelledBundle():
            rows = Rows(bundled(game.data.sklearn)[0], bundled_targets(game.data.sklearn))
        case _:
            rows = _made(game.data, base)
    if game.groups is not None and rows.groups is None:
        raise SpecError(
            f"game.groups = {game.groups!r}: groups are a column of a table, an array of an .npz file, or `groups` of what a factory "
            "returns by name"
        )
    if isinstance(game.test, s.HeldOut):
        if rows.X_test is not None:
            raise SpecError(
                "game.test holds a share of the rows out, but the data come with test rows; leave one of them out"
            )
        rows = held_out(rows, game.test.share, game.test.seed)
    elif tests and (rows.X_test is None or rows.y_test is None):
        raise SpecError(
            "game.test: the data come without test rows; give test = { share = 0.5, seed = 0 }"
            + (' or test = { table = "test.csv" }' if isinstance(game.data, s.LabelledTable) else "")
        )
    return _with_holdout(rows, game)


def _with_holdout(rows: Rows, game: s.TrainingGameSpec) -> Rows:
    """With rows for the curves of reports where the spec asks for them."""
    if isinstance(game.holdout, s.TableOfTests) and not isinstance(game.data, s.LabelledTable):
        raise SpecError("game.holdout: a table goes with data from a table; give holdout = { share = 0.2, seed = 0 }")
    if not isinstance(game.holdout, s.HeldOut):
        return rows
    if rows.X_holdout is not None:
        raise SpecError(
            "game.holdout takes a share of the rows, but the data come with X_holdout; leave one of them out"
        )
    kept = held_out(rows, game.holdout.share, game.holdout.seed, "game.holdout")
    return replace(kept, X_test=rows.X_test, y_test=rows.y_test, X_holdout=kept.X_test, y_holdout=kept.y_test)


def held_out(rows: Rows, share: float, seed: int, where: str = "game.test") -> Rows:
    """Move a share of the rows, drawn by the seed and at least one, to the test rows; both keep their order. What is drawn for another
    key of the spec is another draw.
    """
    X, y = np.asarray(rows.X), np.asarray(rows.y)
    n = len(X)
    count = max(1, round(share * n))
    if count >= n:
        raise SpecError(f"{where}.share = {share} of {n} rows leaves none for training")
    if len(y) != n:
        raise InputError(f"y has {len(y)} entries for {n} rows of its features")
    words = random_words(seed, Stream.HELD_OUT, int(where != "game.test"), np.arange(n, dtype=np.int64), 1)[:, 0]
    test = np.zeros(n, dtype=np.bool_)
    test[np.argsort(words, kind="stable")[:count]] = True
    # Points keep the numbers that they have in the data.
    names = [f"point {i}" for i in range(n)] if rows.names is None else rows.names
    groups = None if rows.groups is None else np.asarray(rows.groups)[~test]
    seen = rows.exhibits()
    return replace(
        rows,
        X=X[~test],
        y=y[~test],
        X_test=X[test],
        y_test=y[test],
        groups=groups,
        names=np.asarray(names)[~test],
        texts=None if seen.texts is None else [seen.texts[i] for i in np.flatnonzero(~test)],
        images=None if seen.images is None else seen.images[~test],
        flagged=None if seen.flagged is None else seen.flagged[~test],
    )


def _table(data: s.LabelledTable, game: s.TrainingGameSpec, base: Path) -> Rows:
    path = base / data.table
    X, y, columns = _features(path, data, game.groups)
    groups = None if game.groups is None else _column(path, game.groups, "game.groups")
    texts = None if data.text is None else _column(path, data.text, "game.data.text")
    flagged = None if data.flagged is None else _column(path, data.flagged, "game.data.flagged")
    found = Rows(X, y, groups=groups, texts=texts, flagged=flagged)
    if isinstance(game.test, s.TableOfTests):
        tested, truth, _ = _features(base / game.test.table, data, None, columns, "game.test")
        found = replace(found, X_test=tested, y_test=truth)
    if isinstance(game.holdout, s.TableOfTests):
        held, told, _ = _features(base / game.holdout.table, data, None, columns, "game.holdout")
        found = replace(found, X_holdout=held, y_holdout=told)
    return found


def _features(
    path: Path, data: s.LabelledTable, groups: str | None, wanted: tuple[str, ...] | None = None, where: str = ""
) -> tuple[Array, Array, tuple[str, ...]]:
    """Features (r, d), targets (r,) and the names of the features; `wanted` are those that there must be in the table of the key
    `where`.
    """
    y = _column(path, data.target, "game.data.target")
    shown = (name for name in (data.text, data.flagged, groups) if name is not None)
    drop = dict.fromkeys((data.target, *data.drop, *shown))
    if wanted is not None:
        names = arrow_table(path).column_names
        missing = [name for name in wanted if name not in names]
        if missing:
            raise InputError(
                f"{where}: {path} has no column {missing[0]!r}; its rows need the columns of the training rows"
            )
        drop = dict.fromkeys(name for name in names if name not in wanted)
    rows, columns = read_table(path, tuple(drop))
    if wanted is not None:
        rows = rows[:, [columns.index(name) for name in wanted]]
    return rows, y, columns


def _column(path: Path, name: str, where: str) -> Array:
    if path.suffix.lower() in (".npy", ".npz"):
        raise InputError(f'{where}: {path} has no named columns; give data = {{ arrays = "{path.name}" }}')
    table = arrow_table(path)
    if name not in table.column_names:
        raise UnknownName("column", name, table.column_names, f"{where}, {path}")
    column = table.column(name).combine_chunks()
    if column.null_count:
        row = int(np.flatnonzero(np.asarray(column.is_null()))[0])
        raise InputError(f"{where}: {path} has no entry in column {name!r} at row {row}; fill it in or drop the row")
    return column.to_numpy(zero_copy_only=False)


def _arrays(path: Path, groups: str | None) -> Rows:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise InputError(f"game.data.arrays: no file at {path}") from None
    except (OSError, ValueError, EOFError, AttributeError, TypeError) as error:
        raise InputError(
            f"game.data.arrays: cannot read {path} ({str(error).splitlines()[0]}); write it with numpy.savez, without objects"
        ) from None
    for name in ("X", "y", *(() if groups is None else (groups,))):
        if name not in found:
            raise UnknownName("array", name, found, f"game.data.arrays, {path}")
    if ("X_test" in found) != ("y_test" in found):
        raise InputError(f"game.data.arrays: {path} has one of X_test and y_test; test rows need both")
    return Rows(
        found["X"],
        found["y"],
        found.get("X_test"),
        found.get("y_test"),
        None if groups is None else found[groups],
        *(found.get(name) for name in ("names", "texts", "images", "flagged", "X_holdout", "y_holdout")),
    )


def _made(data: s.DataFactory, base: Path) -> Rows:
    where = f"game.data.factory = {data.factory!r}"
    found = made(imported(data.factory, base, where), data.arguments, where)
    if isinstance(found, Mapping):
        wrong = [str(name) for name in found if name not in _NAMES]
        if wrong or not {"X", "y"} <= set(found):
            raise InputError(
                f"{where} returned the names {', '.join(map(str, found))}; X and y are needed, {', '.join(_NAMES)} are known"
            )
        return Rows(**found)
    if isinstance(found, tuple | list) and len(found) in (2, 4):
        return Rows(*found)
    raise InputError(
        f"{where} returned {type(found).__name__}{f' of {len(found)}' if isinstance(found, tuple | list) else ''}; return (X, y, X_test, "
        "y_test), (X, y) with game.test.share, or a dict of these names"
    )
