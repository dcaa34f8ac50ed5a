"""What a report has of training points beside their values: texts or pictures, known bad ones, and rows held out for curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.types import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Exhibits:
    """Of n training points; no part of a game's digest, and left at home when a game is sent to workers."""

    texts: tuple[str, ...] | None = None
    """n texts."""
    images: npt.NDArray[np.uint8] | None = None
    """Shape (n, height, width) or (n, height, width, 3)."""
    flagged: Mask | None = None
    """Points that are known to be bad (a wrong label, say), shape (n,)."""
    holdout: tuple[Any, Any] | None = None
    """Rows (h, d) and targets (h,) that took no part in the valuation, unchecked: what the models of curves are scored on."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers train models; only the process that reports needs pictures.
        return Exhibits, ()

    def __bool__(self) -> bool:
        """Whether there is anything to see of the points."""
        return any(part is not None for part in (self.texts, self.images, self.flagged))


def exhibits(
    n: int,
    *,
    texts: Any = None,
    images: npt.ArrayLike | None = None,
    flagged: npt.ArrayLike | None = None,
    holdout: Any = None,
    where: str = "",
) -> Exhibits:
    """Exhibits of n points from arrays, lists, pandas or Arrow columns, checked.

    `texts` (n,) are strings; `images` (n, height, width) or (n, height, width, 3) are uint8, or floats from 0 to 1; `flagged` (n,) is
    True or False, or 1 and 0; `holdout` is (X, y), which the game of the points checks.

    Raises InputError, whose message begins with `where`.
    """
    try:
        return Exhibits(
            None if texts is None else _texts(texts, n),
            None if images is None else _images(images, n),
            None if flagged is None else flags_of(flagged, n, "flagged"),
            None if holdout is None else _pair(holdout),
        )
    except InputError as error:
        raise InputError(f"{where}: {error}" if where else str(error)) from None


def _texts(given: Any, n: int) -> tuple[str, ...]:
    if isinstance(given, str) or np.ndim(np.asarray(given, dtype=object)) != 1:
        raise InputError(f"texts are a list of one text a training point; got {type(given).__name__}")
    entries = np.asarray(given, dtype=object)
    if len(entries) != n:
        raise InputError(
            f"{len(entries)} texts for {n} training points; give one text a point, in the order of the points"
        )
    odd = next((i for i, entry in enumerate(entries) if not isinstance(entry, str)), None)
    if odd is not None:
        raise InputError(f"the text of training point {odd} is {entries[odd]!r}, which is no text")
    return tuple(str(entry) for entry in entries)


def _images(given: npt.ArrayLike, n: int) -> npt.NDArray[np.uint8]:
    try:
        pixels = np.asarray(given)
    except ValueError:
        raise InputError("images differ in size; give all of them the same height and width") from None
    shape = pixels.shape
    if pixels.ndim not in (3, 4) or (pixels.ndim == 4 and shape[3] != 3) or 0 in shape[1:]:
        raise InputError(f"images have shape {shape}; give (n, height, width) or (n, height, width, 3)")
    if len(pixels) != n:
        raise InputError(
            f"{len(pixels)} images for {n} training points; give one image a point, in the order of the points"
        )
    if pixels.dtype == np.uint8:
        return pixels
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.dtype.kind in "fb" else (np.nan, np.nan)
    if not (low >= 0.0 and high <= 1.0):
        told = f" from {low:g} to {high:g}" if pixels.dtype.kind == "f" else ""
        raise InputError(f"images hold {pixels.dtype} numbers{told}; give uint8 from 0 to 255, or floats from 0 to 1")
    return np.round(pixels.astype(np.float64) * 255.0).astype(np.uint8)


def _pair(given: Any) -> tuple[Any, Any]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise InputError(f"holdout is (X, y), rows and their targets; got {type(given).__name__}")
    if given[0] is None or given[1] is None:
        raise InputError("one of X_holdout and y_holdout is missing; rows held out for curves need both")
    return given[0], given[1]


def flags_of(given: npt.ArrayLike, n: int, name: str) -> Mask:
    """Flags of n points as a mask. Raises InputError for another number, and for anything but True and False, 1 and 0."""
    flags = np.asarray(given)
    if flags.shape != (n,):
        raise InputError(
            f"{name} has shape {flags.shape}; it says of each of the {n} points whether it is known to be bad"
        )
    if flags.dtype == np.bool_:
        return flags
    boolean = flags.dtype.kind in "iuf" or (
        flags.dtype == object and all(isinstance(f, bool | np.bool_) for f in flags)
    )
    if not boolean or not np.isin(flags.astype(np.float64), (0.0, 1.0)).all():
        raise InputError(f"{name} holds other things than True and False; give True or False for each point")
    return flags.astype(np.bool_)
