"""Features and labels as people hold them (pandas, Arrow, arrays), as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from xai_ray.errors import InputError


def arrays_of(X: Any, y: Any, X_test: Any, y_test: Any) -> tuple[tuple[Any, Any, Any, Any], list[str] | None]:
    """X, y, X_test, y_test as arrays, and the names of the points of a DataFrame that has an index of its own.

    Raises InputError where the two sets of features have different columns; an other order is put right.
    """
    columns, tested = _columns(X), _columns(X_test)
    if columns is not None and tested is not None and columns != tested:
        if sorted(columns) != sorted(tested):
            other = sorted(set(columns) ^ set(tested))
            raise InputError(
                f"X and X_test have different columns: {', '.join(other[:5])}; they must be the same features"
            )
        X_test = X_test[columns] if hasattr(X_test, "to_numpy") else X_test.select(columns)
    names = [str(label) for label in X.index] if hasattr(X, "to_numpy") and hasattr(X, "index") else None
    # A DataFrame that was never given an index has the numbers of its rows.
    if names is not None and names == [str(i) for i in range(len(names))]:
        names = None
    return (array_of(X), array_of(y), array_of(X_test), array_of(y_test)), names


def _columns(frame: Any) -> list[str] | None:
    names = getattr(frame, "column_names", getattr(frame, "columns", None))
    return None if names is None else [str(name) for name in names]


def array_of(given: Any) -> Any:
    """An Arrow table or array, or anything with `to_numpy`, as a numpy array; other things as they are."""
    if hasattr(given, "column_names") and hasattr(given, "itercolumns"):
        return np.stack([column.to_numpy() for column in given.itercolumns()], axis=1)
    return given.to_numpy() if hasattr(given, "to_numpy") else given
