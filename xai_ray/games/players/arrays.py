"""How players map to an input: each kind of players lays itself on one array as an array of labels.

A label is the number of the player at that place, or -1 where the input always stays. Labels have the input's number
of axes and broadcast to its shape, so a coalition becomes a mask by one indexing: `present[:, labels]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.types import Ints

Kind = Literal["image", "table", "text", "constant"]


@dataclass(frozen=True)
class Layout:
    """Players laid on one input."""

    labels: Ints
    """Broadcasts to the input's shape; -1 where the input always stays."""
    names: tuple[str, ...]
    """One a player."""
    kind: Kind
    spatial: tuple[int, ...] = ()
    """Axes of height and width, for images."""
    shown: tuple[str, ...] | None = None
    """What a report writes after a player's name (the value of a column), one a player."""

    @property
    def n_players(self) -> int:
        """Number of players on this input."""
        return len(self.names)


class Players(Protocol):
    """A kind of players. `rank` is the number of axes of one input without its batch axis."""

    @property
    def rank(self) -> tuple[int, ...]:
        """Accepted numbers of axes."""
        ...

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Lay the players on an input; InputError when they do not fit it."""
        ...


@dataclass(frozen=True)
class Patches:
    """A grid of rows x cols patches on an image of any size (edges as even as possible), player r * cols + c."""

    rows: int
    cols: int
    channels: Literal["first", "last"] = "first"
    """Where the input's channel axis is: (C, H, W) or (H, W, C); an (H, W) image has none."""
    rank = (2, 3)

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Labels of shape (1, H, W), (H, W, 1) or (H, W)."""
        axes, height, width = _plane(array, self.channels)
        if self.rows < 1 or self.cols < 1:
            raise InputError(f"a grid of {self.rows} x {self.cols} patches has no players")
        if self.rows > height or self.cols > width:
            raise InputError(f"{self.rows} x {self.cols} patches do not fit an image of {height} x {width} pixels")
        row = np.arange(height, dtype=np.int64) * self.rows // height
        col = np.arange(width, dtype=np.int64) * self.cols // width
        names = tuple(f"row {r} col {c}" for r in range(self.rows) for c in range(self.cols))
        return Layout(_on_axes(row[:, None] * self.cols + col[None, :], array, axes), names, "image", axes)


@dataclass(frozen=True)
class Regions:
    """Regions of an image by a label mask of shape (H, W) (superpixels, say): labels 0..n-1, and -1 for pixels that
    always stay.
    """

    labels: npt.NDArray[np.integer[Any]] = field(repr=False)
    channels: Literal["first", "last"] = "first"
    names: tuple[str, ...] | None = None
    rank = (2, 3)

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Labels on the axes of height and width."""
        axes, height, width = _plane(array, self.channels)
        labels = np.asarray(self.labels)
        if not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"region labels must be whole numbers, got {labels.dtype}")
        if labels.shape != (height, width):
            raise InputError(f"region labels have shape {labels.shape}, the image has {height} x {width} pixels")
        found = np.unique(labels[labels >= 0])
        if len(found) == 0 or labels.min() < -1:
            raise InputError(
                "region labels are 0..n-1, or -1 for pixels that always stay; there is no player among them"
            )
        missing = np.setdiff1d(np.arange(found[-1] + 1), found)
        if len(missing):
            raise InputError(f"regions {missing[:5].tolist()} have no pixel; labels must be 0..n-1 without gaps")
        names = self.names or tuple(f"region {i}" for i in range(len(found)))
        if len(names) != len(found):
            raise InputError(f"{len(names)} names for {len(found)} regions")
        return Layout(_on_axes(labels.astype(np.int64), array, axes), tuple(names), "image", axes)


@dataclass(frozen=True)
class Columns:
    """Every column of a table row is a player."""

    names: Sequence[str] | None = None
    """Names of the columns."""
    rank = (1,)

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Labels 0..d-1."""
        names = _column_names(self.names, len(array))
        if not names:
            raise InputError("the row has no columns, so there are no players")
        shown = tuple(f"{v:.4g}" for v in array.tolist())
        return Layout(np.arange(len(names), dtype=np.int64), names, "table", shown=shown)


@dataclass(frozen=True)
class ColumnGroups:
    """Groups of columns as players: `{name: [columns]}` or a list of lists; columns by number, or by name when
    `columns` is given.

    Every column must be in exactly one group.
    """

    groups: Mapping[str, Sequence[int | str]] | Sequence[Sequence[int | str]]
    columns: Sequence[str] | None = None
    """Names of all columns of the row."""
    rank = (1,)

    def lay(self, array: npt.NDArray[Any]) -> Layout:
        """Labels by group. Raises InputError that names columns in no group or in two."""
        columns = _column_names(self.columns, len(array))
        groups = self.groups
        if not isinstance(groups, Mapping):
            groups = {f"group {g}": members for g, members in enumerate(groups)}
        if not groups:
            raise InputError("no column group, so there are no players")
        labels = np.full(len(columns), -1, dtype=np.int64)
        for g, (name, members) in enumerate(groups.items()):
            if len(members) == 0:
                raise InputError(f"column group {name!r} is empty")
            for column in members:
                at = _column(column, columns, name)
                if labels[at] >= 0:
                    raise InputError(f"column {columns[at]!r} is twice in the groups (again in {name!r})")
                labels[at] = g
        missing = [columns[i] for i in np.flatnonzero(labels < 0)]
        if missing:
            raise InputError(
                f"{len(missing)} columns are in no group: {', '.join(missing[:8])}; every column needs one"
            )
        return Layout(labels, tuple(groups), "table")


def _plane(array: npt.NDArray[Any], channels: str) -> tuple[tuple[int, int], int, int]:
    axes = (0, 1) if array.ndim == 2 or channels == "last" else (1, 2)
    return axes, array.shape[axes[0]], array.shape[axes[1]]


def _on_axes(labels: Ints, array: npt.NDArray[Any], axes: tuple[int, int]) -> Ints:
    shape = [1] * array.ndim
    shape[axes[0]], shape[axes[1]] = labels.shape
    return labels.reshape(shape)


def _column_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"column {i}" for i in range(count))
    if len(names) != count:
        raise InputError(f"{len(names)} column names for a row of {count} columns")
    return tuple(str(n) for n in names)


def _column(column: int | str, columns: tuple[str, ...], group: str) -> int:
    if isinstance(column, str):
        if column not in columns:
            raise InputError(f"column group {group!r}: no column {column!r}; the columns are {', '.join(columns[:12])}")
        return columns.index(column)
    if not 0 <= column < len(columns):
        raise InputError(f"column group {group!r}: no column {column}; the row has columns 0..{len(columns) - 1}")
    return int(column)
