"""Background rows: real inputs that absent players take their values from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xai_ray.errors import InputError
from xai_ray.games.removals.filling import Array, PlacedInput


def background_rows(background: object, inputs: tuple[PlacedInput, ...], removal: str) -> tuple[Array, ...]:
    """Arrays of shape (rows, *input), one an input, in the input's type.

    `background` is one array for a single input, a dict by name or a tuple for several; inputs without players may be
    left out.
    """
    rows = [_rows_of(_part(background, inputs, at, removal), placed, removal) for at, placed in enumerate(inputs)]
    sizes = {len(r) for r, placed in zip(rows, inputs, strict=True) if not placed.constant}
    if len(sizes) > 1:
        raise InputError(
            f"{removal} removal: the inputs have backgrounds of {sorted(sizes)} rows; a row goes through all inputs"
        )
    size = sizes.pop()
    return tuple(
        np.broadcast_to(i.array, (size, *i.array.shape)) if i.constant else r for r, i in zip(rows, inputs, strict=True)
    )


def _part(background: object, inputs: tuple[PlacedInput, ...], at: int, removal: str) -> Any:
    placed = inputs[at]
    if placed.constant:
        return placed.array[None]
    if isinstance(background, Mapping):
        if placed.name not in background:
            raise InputError(f"{removal} removal: the background has no rows for input {placed.name!r}")
        return background[placed.name]
    own: Any = background[at] if isinstance(background, Sequence) and len(background) == len(inputs) else None
    if len([i for i in inputs if not i.constant]) == 1:
        # One array for each input beside those without players is taken, too.
        return background if own is None or np.ndim(own) != placed.array.ndim + 1 else own
    if own is not None:
        return own
    raise InputError(
        f"{removal} removal: give the background as the input is given, one array for each of {len(inputs)} inputs"
    )


def _rows_of(part: Any, placed: PlacedInput, removal: str) -> Array:
    rows = np.asarray(part.detach().cpu().numpy() if hasattr(part, "detach") else part)
    shape = placed.array.shape
    if rows.size == 0 or rows.ndim == 0:
        raise InputError(
            f"{removal} removal: the background of input {placed.name!r} is empty; it needs at least one row"
        )
    if rows.shape[1:] != shape:
        raise InputError(
            f"{removal} removal: background of shape {rows.shape} for input {placed.name!r} of shape {shape}; "
            f"it needs shape (rows, {', '.join(str(s) for s in shape)})"
        )
    if not np.issubdtype(rows.dtype, np.number) and rows.dtype != np.bool_:
        raise InputError(f"{removal} removal: the background of input {placed.name!r} is not numeric ({rows.dtype})")
    if not np.isfinite(rows.astype(np.float64)).all():
        bad = np.argwhere(~np.isfinite(rows.astype(np.float64)))[0].tolist()
        raise InputError(f"{removal} removal: the background of input {placed.name!r} is not finite at {bad}")
    return rows if removal == "mean" else rows.astype(placed.array.dtype)
