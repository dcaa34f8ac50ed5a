"""Columns of data frames by their names: put into the order that the model takes, or refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from xai_ray.errors import InputError
from xai_ray.games.players import ColumnGroups, Columns, Players
from xai_ray.games.removals.filling import Removal


def feature_names(model: Any) -> tuple[str, ...]:
    """Names of the columns that a fitted scikit-learn estimator takes, where it knows them."""
    names = getattr(getattr(model, "__self__", model), "feature_names_in_", None)
    return () if names is None else tuple(str(name) for name in names)


def column_names(frame: Any) -> tuple[str, ...]:
    """Of a data frame (pandas, polars); none of anything else."""
    if not hasattr(frame, "columns") or not hasattr(frame, "to_numpy"):
        return ()
    return tuple(str(name) for name in frame.columns)


def named_inputs(model: Any, rows: Any, players: Players, removal: Removal) -> tuple[Any, Players, Removal]:
    """Rows and the removal's background as arrays with their columns in the model's order, where they are data frames.

    That order is the one the model knows (`feature_names_in_`), else that of the players' names where they are the frame's own, else the
    frame's. Players without names take those of the frame. Raises InputError for a column that is missing, to spare or named twice.
    """
    own, known, told = column_names(rows), feature_names(model), _told(players)
    if not own:
        return rows, players, removal
    _check_once(own)
    wanted = known or (told if set(told) == set(own) else own)
    if told and set(told) == set(wanted) and told != wanted:
        at = next(i for i, (a, b) in enumerate(zip(told, wanted, strict=False)) if a != b)
        raise InputError(
            f"players: column {at} is named {told[at]!r}, the model takes {wanted[at]!r} there; name the columns in the model's order, or "
            "leave the names out"
        )
    return ordered(rows, wanted, "rows"), _named(players, wanted), _with_background(removal, wanted)


def ordered(frame: Any, wanted: Sequence[str], what: str) -> Any:
    """A data frame as an array with its columns in this order. Raises InputError."""
    own = column_names(frame)
    missing = [name for name in wanted if name not in own]
    spare = [name for name in own if name not in wanted]
    if missing:
        raise InputError(f"{what}: no column {missing[0]!r}, which the model takes; columns: {', '.join(own[:12])}")
    if spare:
        raise InputError(f"{what}: column {spare[0]!r} is none of the model's; leave it out")
    return frame.to_numpy()[:, [own.index(name) for name in wanted]]


def _told(players: Players) -> tuple[str, ...]:
    names = getattr(players, "names", None) if isinstance(players, Columns) else getattr(players, "columns", None)
    return () if names is None else tuple(str(name) for name in names)


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
    _check_once(own)
    return replace(removal, background=ordered(background, wanted, "background"))


def _check_once(names: tuple[str, ...]) -> None:
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise InputError(f"rows: two columns are named {twice!r}; give each column a name of its own")
