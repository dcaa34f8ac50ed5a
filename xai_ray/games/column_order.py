"""Columns by name: a model, its rows, a background and the players must mean the same column by the same place.

Games compute on arrays, where a column is a place. DataFrames in another order than the model was fitted with would go through
without an error, and every number would be wrong.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from xai_ray.errors import InputError


def check_column_order(model: Any, rows: Any, players: Any = None, background: Any = None) -> None:
    """InputError where two of these name the same columns in different orders; what has no names agrees with everything.

    `rows` and `background` are DataFrames, Series or Arrow tables; the model is one of scikit-learn's, or a method of one.
    """
    said = {
        "the model was fitted with": _fitted_names(model),
        "the rows have": _names(rows),
        "the background has": _names(background),
        "the players have": _texts(getattr(players, "columns", None) or getattr(players, "names", None)),
    }
    known = [(who, names) for who, names in said.items() if names is not None]
    for at, (who, names) in enumerate(known):
        for other, wanted in known[:at]:
            if names != wanted and sorted(names) == sorted(wanted):
                place = next(i for i, (a, b) in enumerate(zip(names, wanted, strict=True)) if a != b)
                raise InputError(
                    f"columns in different orders: in place {place} {who} {names[place]!r}, {other} {wanted[place]!r}; put them into one "
                    "order, frame[list_of_names]"
                )


def _fitted_names(model: Any) -> list[str] | None:
    while isinstance(model, partial):
        model = model.func
    return _texts(getattr(getattr(model, "__self__", model), "feature_names_in_", None))


def _names(frame: Any) -> list[str] | None:
    """Of a DataFrame or an Arrow table the columns, of a Series its index."""
    if hasattr(frame, "column_names"):
        return _texts(frame.column_names)
    if not hasattr(frame, "iloc"):
        return None
    return _texts(frame.columns if hasattr(frame, "columns") else frame.index)


def _texts(names: Any) -> list[str] | None:
    return None if names is None or callable(names) else [str(name) for name in names]
