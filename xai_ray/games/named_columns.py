"""Columns by name: a model, its rows, a background and the players must mean the same column by the same place.

Games compute on arrays, where a column is a place. Tables in another order than the model's would go through without an error, and every
number would be wrong: they are put into its order, or refused by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from xai_ray.errors import InputError
from xai_ray.games.players.arrays import ColumnGroups, Columns, Players
from xai_ray.games.removals.filling import Removal

UNNAMED = "column "
"""How columns of arrays are called, with their number."""


def feature_names(model: Any) -> tuple[str, ...]:
    """Names of the columns that a fitted scikit-learn estimator takes, or a method of one, where it knows them."""
    while isinstance(model, partial):
        model = model.func
    return _texts(getattr(getattr(model, "__self__", model), "feature_names_in_", None))


def column_names(frame: Any) -> tuple[str, ...]:
    """Of a data frame (pandas, polars) or an Arrow table the columns, of a Series its index; none of anything else."""
    if hasattr(frame, "column_names"):
        return _texts(frame.column_names)
    if hasattr(frame, "columns") and hasattr(frame, "to_numpy"):
        return _texts(frame.columns)
    return _texts(frame.index) if hasattr(frame, "iloc") else ()


def column_order(
    columns: Sequence[str],
    wanted: Sequence[str],
    where: str,
    who: str = "the model takes",
    drop: str = "drop = [{!r}]",
) -> list[int] | None:
    """Places of the wanted columns among these; None where they stay as they are: the same order, or no names on one of the sides.

    `who` says whose they are, `drop` how a column is left out. InputError that begins with `where` for columns too few or too many.
    """
    if not wanted or tuple(wanted) == tuple(columns):
        return None
    missing = [name for name in wanted if name not in columns]
    spare = [name for name in columns if name not in wanted]
    if not missing and not spare:
        return [list(columns).index(name) for name in wanted]
    if _unnamed(columns) or _unnamed(wanted):
        if len(wanted) == len(columns):
            return None
        raise InputError(f"{where}: {len(columns)} columns, {who} {len(wanted)}")
    lacks = f"{who} {missing[0]!r}, which is not among its {len(columns)} columns" if missing else ""
    few = (
        f"{who} {len(wanted)} columns, {', '.join(wanted[:4])}{', ...' if len(wanted) > 4 else ''}"
        if not missing
        else ""
    )
    extra = f"column {spare[0]!r} is none of them; leave it out with {drop.format(spare[0])}" if spare else ""
    raise InputError(f"{where}: {'; '.join(part for part in (lacks, few, extra) if part)}")


def check_column_order(model: Any, rows: Any, players: Any = None, background: Any = None) -> None:
    """InputError where two of these name the same columns in different orders; what has no names agrees with everything.

    `rows` and `background` are data frames, Series or Arrow tables; the model is one of scikit-learn's, or a method of one.
    """
    said = {
        "the model was fitted with": feature_names(model),
        "the rows have": column_names(rows),
        "the background has": column_names(background),
        "the players have": _told(players),
    }
    known = [(who, names) for who, names in said.items() if names]
    for at, (who, names) in enumerate(known):
        for other, wanted in known[:at]:
            if names != wanted and sorted(names) == sorted(wanted):
                place = next(i for i, (a, b) in enumerate(zip(names, wanted, strict=True)) if a != b)
                raise InputError(
                    f"columns in different orders: in place {place} {who} {names[place]!r}, {other} {wanted[place]!r}; put them into one "
                    "order, frame[list_of_names]"
                )


def check_once(names: Sequence[str], where: str) -> None:
    """InputError that begins with `where` for two columns of one name."""
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise InputError(f"{where}: two columns are called {twice!r}; give each a name of its own")


def named_inputs(model: Any, rows: Any, players: Players, removal: Removal) -> tuple[Any, Players, Removal]:
    """Rows and the removal's background as arrays with their columns in the model's order, where they are data frames.

    That order is the one the model knows (`feature_names_in_`), else that of the players' names where they are the frame's own, else the
    frame's. Players without names take those of the frame. Raises InputError for a column that is missing, to spare or named twice.
    """
    own, known, told = column_names(rows), feature_names(model), _told(players)
    if not own:
        return rows, players, removal
    check_once(own, "rows")
    wanted = known or (told if set(told) == set(own) else own)
    if told and set(told) == set(wanted) and told != wanted:
        at = next(i for i, (a, b) in enumerate(zip(told, wanted, strict=False)) if a != b)
        raise InputError(
            f"players: column {at} is named {told[at]!r}, the model takes {wanted[at]!r} there; name the columns in the model's order, or "
            "leave the names out"
        )
    return ordered(rows, wanted, "rows"), _named(players, wanted), _with_background(removal, wanted)


def ordered(frame: Any, wanted: Sequence[str], where: str) -> Any:
    """A data frame as an array with its columns in this order. Raises InputError."""
    order = column_order(column_names(frame), wanted, where, drop="frame.drop(columns=[{!r}])")
    return frame.to_numpy() if order is None else frame.to_numpy()[:, order]


def _told(players: Any) -> tuple[str, ...]:
    return _texts(
        getattr(players, "names", None) if isinstance(players, Columns) else getattr(players, "columns", None)
    )


def _named(players: Players, names: tuple[str, ...]) -> Players:
    if _told(players):
        return players
    if isinstance(players, Columns):
        return replace(players, names=names)
    return replace(players, columns=names) if isinstance(players, ColumnGroups) else players


def _with_background(removal: Any, wanted: tuple[str, ...]) -> Any:
    background = getattr(removal, "background", None)
    own = column_names(background)
    if not own:
        return removal
    check_once(own, "background")
    return replace(removal, background=ordered(background, wanted, "background"))


def _texts(names: Any) -> tuple[str, ...]:
    return () if names is None or callable(names) else tuple(str(name) for name in names)


def _unnamed(names: Sequence[str]) -> bool:
    return all(name.startswith(UNNAMED) for name in names)
