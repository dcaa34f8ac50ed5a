"""Rows of a dataset as they were given: of one shape, real numbers, finite; what is wrong is named with its row and column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.games.removals.filling import Array

_CHECKED = 1 << 16
"""Rows that are checked at a time."""


def checked_rows(rows: Any) -> tuple[Any, Array]:
    """Rows as they were given (a tensor or an array, whose items are inputs), and as a read-only array. Raises InputError."""
    if hasattr(rows, "to_numpy") and not isinstance(rows, np.ndarray):
        rows = rows.to_numpy()
    if isinstance(rows, (list, tuple)):
        lengths = [np.shape(row) for row in rows]
        odd = next((i for i, shape in enumerate(lengths) if shape != lengths[0]), None)
        if odd is not None:
            raise InputError(
                f"rows: row {odd} has shape {lengths[odd]}, row 0 has {lengths[0]}; rows need equal shapes"
            )
    detached = getattr(rows, "detach", None)
    if detached is not None:
        tensor = detached().cpu()
        array = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    elif isinstance(rows, np.memmap):
        array = rows
    else:
        rows = array = np.asarray(rows)
    if array.ndim < 2 or array.size == 0:
        raise InputError(
            f"rows: shape {array.shape}; a dataset has shape (rows, columns) or (rows, *input), and at least one row"
        )
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        raise InputError(f"rows: not numbers (type {array.dtype}); encode text columns before explaining")
    if np.issubdtype(array.dtype, np.complexfloating):
        raise InputError(
            f"rows: complex numbers ({array.dtype}); give real and imaginary parts as columns of their own"
        )
    for start in range(0, len(array), _CHECKED):
        _check_finite(array[start : start + _CHECKED], start)
    if not isinstance(array, np.memmap) or array.mode != "r":
        array = np.array(array)
        array.setflags(write=False)
    return rows, array


def _check_finite(array: npt.NDArray[Any], first: int) -> None:
    if not np.issubdtype(array.dtype, np.inexact):
        return
    finite = np.isfinite(array)
    if not finite.all():
        row, *place = np.argwhere(~finite)[0].tolist()
        where = f"column {place[0]}" if len(place) == 1 else f"place {tuple(place)}"
        raise InputError(f"rows: row {first + row}, {where} is missing or not finite; fill it in before explaining")


def checked_ids(given: Sequence[int | str] | None, count: int) -> tuple[int | str, ...] | None:
    """Names of rows, one each. Raises InputError."""
    if given is None:
        return None
    if len(given) != count:
        raise InputError(f"{len(given)} row ids for {count} rows")
    return tuple(given)
