"""The loss games of a spec: a model, labelled rows, a removal and a loss become one `LossGame`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray import game_spec as s
from xai_ray import games
from xai_ray.errors import InputError, SpecError
from xai_ray.games.named_columns import column_order
from xai_ray.inputs import arrow_table, bundled, bundled_targets, read_table
from xai_ray.model_games import columns_of, made_model, numerics_of, removal_of
from xai_ray.spec import Compute
from xai_ray.zoo.model import ZooModel

Array = npt.NDArray[Any]
_WITH_COLUMNS = (".csv", ".parquet", ".arrow", ".feather")


def loss_game(game: s.LossGameSpec, compute: Compute, seed: int, base: Path) -> games.LossGame:
    """Build the game. Raises InputError and SpecError that name the key."""
    if compute.memory is not None:
        raise SpecError("compute.memory is for training games; a model has compute.batch")
    made = made_model(game.model, base)
    rows, columns, labels, weights = _dataset(game.dataset, game.against == "label", base)
    rows, columns = _placed(rows, columns, made)
    classes = None
    if labels is not None and made.outputs != "raw" and labels.dtype.kind not in "iub":
        labels, classes = labels.astype(str), made.class_names or None
    players = games.Columns(columns)
    if isinstance(game.players, s.Groups):
        players = games.ColumnGroups(game.players.groups, columns)
    return games.LossGame(
        made.model,
        rows,
        labels,
        removal=removal_of(game.removal, made, seed, base, columns),
        loss=game.loss,
        players=players,
        outputs=made.outputs,
        convention=game.convention,
        classes=classes,
        rows=game.sample,
        weights=weights,
        seed=seed,
        clip=game.clip,
        batch=compute.batch,
        threads=compute.threads,
        device="auto",
        numerics=numerics_of(compute),
    )


def _dataset(
    given: s.LabelledRows, labelled: bool, base: Path
) -> tuple[Array, tuple[str, ...], Array | None, Array | None]:
    """Rows (r, d), names of the columns, labels (r,) and weights (r,) of the rows that are asked for."""
    if (given.table is None) == (given.sklearn is None):
        raise InputError("game.dataset needs exactly one of `table` and `sklearn`")
    weights = None
    if given.sklearn is not None:
        for key in ("label", "weights"):
            if getattr(given, key) is not None:
                raise SpecError(
                    f"game.dataset.{key} is for tables; a bundled data set brings its labels, and no weights"
                )
        rows, columns = bundled(given.sklearn)
        labels = bundled_targets(given.sklearn) if labelled else None
    else:
        path = base / str(given.table)
        rows, columns, labels = _table(given, labelled, path)
        weights = None if given.weights is None else _numbers(path, given.weights)
    if given.rows is not None:
        bounds = [int(part) if part else None for part in given.rows.split(":")]
        if len(bounds) == 3 and bounds[2] == 0:
            raise InputError(f'game.dataset.rows = "{given.rows}": the step cannot be 0')
        rows, labels, weights = (None if part is None else part[slice(*bounds)] for part in (rows, labels, weights))
        assert rows is not None
    if len(rows) == 0:
        raise InputError(f"game.dataset: no rows are left after rows = {given.rows!r}; it needs at least one")
    return np.asarray(rows, dtype=np.float64), columns, labels, weights


def _table(given: s.LabelledRows, labelled: bool, path: Path) -> tuple[Array, tuple[str, ...], Array | None]:
    dropped = given.drop if given.weights is None else (given.weights, *given.drop)
    if not labelled:
        dropped = dropped if given.label is None else (given.label, *dropped)
        return *read_table(path, dropped), None
    if given.label is None:
        raise SpecError('game.dataset needs `label`, the column that holds the labels; or say against = "output"')
    rows, columns = read_table(path, (given.label, *dropped))
    return rows, columns, _column(path, given.label, "labels")


def _column(path: Path, name: str, what: str) -> Array:
    """One column of a table (r,)."""
    if path.suffix.lower() in _WITH_COLUMNS:
        column = arrow_table(path).column(name)
        if column.null_count:
            raise InputError(f"table {path}: {column.null_count} {what} of column {name!r} are missing")
        return column.to_numpy(zero_copy_only=False)
    whole, names = read_table(path)
    return whole[:, names.index(name)]


def _numbers(path: Path, name: str) -> Array:
    found = _column(path, name, "weights")
    if found.dtype.kind not in "iubf":
        raise InputError(f"table {path}: weights of column {name!r} are numbers, got {found[0]!r}")
    return found


def _placed(rows: Array, columns: tuple[str, ...], made: ZooModel) -> tuple[Array, tuple[str, ...]]:
    """Rows and columns in the order of the model. Raises InputError for other columns, and for values that are missing."""
    order = column_order(columns, columns_of(made), "game.dataset")
    if order is not None:
        rows, columns = rows[:, order], tuple(columns[i] for i in order)
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        raise InputError(
            f"game.dataset: row {bad[0][0]}: {columns[bad[0][1]]!r} is missing or not finite; fill it in, or leave the row out"
        )
    return rows, columns
