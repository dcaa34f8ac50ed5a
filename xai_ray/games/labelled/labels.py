"""Labelled rows of a dataset game: checked once, with one line that says what is wrong and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.types import Floats, Ints

Array = npt.NDArray[Any]


def data_rows(X: Any) -> Any:
    """Rows (R, *input) as an array, or the tensor itself. Raises InputError when there are none, or a number is not finite."""
    tensor = hasattr(X, "detach")
    rows = X.detach().cpu().float().numpy() if tensor else _array(X)
    if rows.ndim < 2 or rows.size == 0:
        raise InputError(f"X needs shape (rows, *input) with at least one row, got {rows.shape}")
    if not (np.issubdtype(rows.dtype, np.number) or rows.dtype == np.bool_):
        raise InputError(f"X is not numeric (type {rows.dtype}); encode text columns as numbers")
    if not np.isfinite(rows.astype(np.float64)).all():
        row, *place = (int(i) for i in np.argwhere(~np.isfinite(rows.astype(np.float64)))[0])
        raise InputError(
            f"X: row {row}, place {place[0] if len(place) == 1 else place} is missing or not finite; fill it in, or leave the row out"
        )
    return X if tensor else rows


def _array(X: Any) -> Array:
    try:
        return np.asarray(X)
    except ValueError:
        sizes = [np.size(row) for row in X]
        row = next((at for at, size in enumerate(sizes) if size != sizes[0]), 0)
        raise InputError(
            f"X is ragged: row {row} has {sizes[row]} numbers, row 0 has {sizes[0]}; give every row the same columns"
        ) from None


def class_labels(y: Any, rows: int, m: int, classes: Sequence[Any] | None) -> Ints:
    """Labels as class numbers 0..m-1, shape (rows,); `classes` names them in the order of the model's outputs."""
    labels = _length(y, rows)
    if labels.ndim != 1:
        raise InputError(f"labels of classes have shape ({rows},), got {labels.shape}")
    if classes is not None and len(classes) != m:
        raise InputError(f"{len(classes)} classes are named, the model has {m} outputs")
    if classes is not None and len({_plain(c) for c in classes}) < m:
        raise InputError(
            f"a class is named twice: {', '.join(repr(_plain(c)) for c in classes)}; each output has its own"
        )
    if labels.dtype.kind == "f":
        _finite(labels)
    if classes is None:
        if labels.dtype.kind not in "iubf" or not np.array_equal(labels, np.floor(labels.astype(np.float64))):
            raise InputError(
                f"labels are class numbers 0..{m - 1}, got {_plain(labels[0])!r}; name them with classes=[...] in the order of the outputs"
            )
        bad = np.flatnonzero((labels < 0) | (labels >= m))
        if len(bad):
            raise InputError(
                f"label {labels[bad[0]]} of row {bad[0]} is no class of the model, which has {m} ({0}..{m - 1})"
            )
        return labels.astype(np.int64)
    known = {_plain(c): at for at, c in enumerate(classes)}
    numbers = [known.get(_plain(label), -1) for label in labels]
    if -1 in numbers:
        row = numbers.index(-1)
        raise InputError(
            f"label {_plain(labels[row])!r} of row {row} is no class of the model; classes: {', '.join(map(repr, known))}"
        )
    return np.array(numbers, dtype=np.int64)


def number_labels(y: Any, rows: int, m: int, own: bool = False) -> Floats:
    """Numbers to predict, shape (rows, m); for functions of the user's alone (`own`) any number a row, (rows,) for one."""
    labels = _length(y, rows)
    if labels.dtype.kind not in "iubf":
        raise InputError(f"the truth of a regression is numbers, got {labels[0]!r}")
    table = labels.astype(np.float64).reshape(rows, -1)
    _finite(table)
    if table.shape[1] != m:
        if own:
            return table[:, 0] if table.shape[1] == 1 else table
        raise InputError(
            f"the truth has {table.shape[1]} numbers a row, the model {m} of raw outputs; give one for each, or, where these are "
            "classes, say outputs='logits' or 'probabilities'"
        )
    return table


def row_weights(weights: Any, rows: int) -> Floats:
    """Sample weights (rows,) as shares of their sum."""
    found = np.asarray(weights)
    if found.shape != (rows,) or found.dtype.kind not in "iubf":
        raise InputError(f"weights are numbers, one a row: shape ({rows},), got {found.dtype} of shape {found.shape}")
    table = found.astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(table) & (table >= 0)))
    if len(bad):
        raise InputError(f"the weight of row {bad[0]} is {table[bad[0]]:g}; weights are finite and not below 0")
    if not table.any():
        raise InputError("all weights are 0; give at least one row a weight above 0")
    # By a power of two, which changes no digit of a share: the sum of very large weights is not infinite.
    table = np.ldexp(table, -np.frexp(table.max())[1])
    return table / table.sum()


def _length(y: Any, rows: int) -> Array:
    labels = np.asarray(y.detach().cpu().numpy() if hasattr(y, "detach") else y)
    if labels.ndim == 0 or len(labels) != rows:
        raise InputError(f"{0 if labels.ndim == 0 else len(labels)} labels for {rows} rows; give one a row")
    return labels


def _finite(labels: Array) -> None:
    bad = np.argwhere(~np.isfinite(labels))
    if len(bad):
        raise InputError(f"the label of row {bad[0][0]} is missing or not finite; leave the row out")


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
