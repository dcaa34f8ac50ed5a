"""Training and test rows as arrays, checked once: every method of this room starts from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError
from xai_ray.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Features with class labels; labels are numbered by their place in `classes`."""

    rows: Floats
    """Training features, shape (n, d)."""
    labels: Ints
    """Class numbers of the training points, shape (n,)."""
    test_rows: Floats
    """Test features, shape (m, d)."""
    test_labels: Ints
    """Class numbers of the test points, shape (m,)."""
    classes: tuple[str, ...]
    """The sorted labels of the training points, as text."""


@dataclass(frozen=True, slots=True)
class NumericData:
    """Features with one real target."""

    rows: Floats
    """Training features, shape (n, d)."""
    targets: Floats
    """Shape (n,)."""
    test_rows: Floats
    """Test features, shape (m, d)."""
    test_targets: Floats
    """Shape (m,)."""


def labelled(
    X: npt.ArrayLike, y: npt.ArrayLike, X_test: npt.ArrayLike, y_test: npt.ArrayLike, tests: str = "test"
) -> LabelledData:
    """Check shapes, values and labels. Raises InputError; a test label that no training point has is one. `tests` is what messages call
    the test rows.
    """
    rows, test_rows = _features(X, X_test, tests)
    labels, test_labels = _column(y, len(rows), "y"), _column(y_test, len(test_rows), f"y_{tests}")
    names, numbers = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"all training labels are {names[0].item()!r}; valuing points for a classifier needs two classes"
        )
    places = np.minimum(np.searchsorted(names, test_labels), len(names) - 1)
    unseen = names[places] != test_labels
    if unseen.any():
        raise InputError(
            f"y_{tests} has the label {test_labels[unseen][0].item()!r} ({tests} row {int(np.flatnonzero(unseen)[0])}), which no "
            f"training point has; drop those {tests} rows or add training points of that class"
        )
    return LabelledData(
        rows, numbers.astype(np.int64), test_rows, places.astype(np.int64), tuple(str(name) for name in names)
    )


def numeric(
    X: npt.ArrayLike, y: npt.ArrayLike, X_test: npt.ArrayLike, y_test: npt.ArrayLike, tests: str = "test"
) -> NumericData:
    """Check shapes and values of a regression problem, as `labelled`. Raises InputError."""
    rows, test_rows = _features(X, X_test, tests)
    targets, called = _real(_column(y, len(rows), "y"), "y"), f"y_{tests}"
    return NumericData(rows, targets, test_rows, _real(_column(y_test, len(test_rows), called), called))


def sorted_labels(y: npt.ArrayLike, n: int) -> np.ndarray:
    """The labels of n points as they were given, each once: class c is the c-th. Raises InputError."""
    return np.unique(_column(y, n, "y"))


def one_of_each(data: LabelledData | NumericData) -> LabelledData | NumericData:
    """A point of each class, or one point: enough to learn at no cost whether an engine reproduces an estimator."""
    if isinstance(data, NumericData):
        return NumericData(data.rows[:1], data.targets[:1], data.rows[:1], data.targets[:1])
    few = np.unique(data.labels, return_index=True)[1]
    return LabelledData(data.rows[few], data.labels[few], data.rows[:1], data.labels[:1], data.classes)


def _features(X: npt.ArrayLike, X_test: npt.ArrayLike, tests: str) -> tuple[Floats, Floats]:
    called = f"X_{tests}"
    rows, test_rows = _real(X, "X"), _real(X_test, called)
    for name, array in (("X", rows), (called, test_rows)):
        if array.ndim != 2 or 0 in array.shape:
            raise InputError(f"{name} has shape {array.shape}; it must be (rows, features), at least one of each")
    if rows.shape[1] != test_rows.shape[1]:
        raise InputError(
            f"X has {rows.shape[1]} features and {called} {test_rows.shape[1]}; they must be the same columns"
        )
    return rows, test_rows


def _column(labels: npt.ArrayLike, length: int, name: str) -> np.ndarray:
    try:
        column = np.asarray(labels)
    except ValueError as error:
        raise InputError(f"{name} must be one column of labels or numbers ({error})") from error
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise InputError(f"{name} has shape {column.shape}; it must be one column")
    if len(column) != length:
        raise InputError(f"{name} has {len(column)} entries for {length} rows of its features")
    if column.dtype == object:
        missing = [row for row, label in enumerate(column) if label is None or label != label]
        if missing:
            raise InputError(
                f"{name} has no label at row {missing[0]}, {len(missing)} in all; drop those rows or label them"
            )
        column = column.astype(str)
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        raise InputError(f"{name} is not finite at row {int(np.flatnonzero(~np.isfinite(column))[0])}")
    return column


def _real(values: npt.ArrayLike, name: str) -> Floats:
    if hasattr(values, "toarray"):
        raise InputError(f"{name} is a sparse matrix; give {name}.toarray()")
    try:
        given = np.asarray(values)
        # numpy would read "12" as 12, and a column of codes as quantities, and drop imaginary parts.
        if given.dtype.kind in "USO" and any(isinstance(entry, (str, bytes)) for entry in given.ravel().tolist()):
            raise InputError(f"{name} must hold real numbers, and has texts; encode text columns first")
        if np.iscomplexobj(given):
            raise InputError(f"{name} holds complex numbers; give real and imaginary parts as columns")
        array = np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        if "inhomogeneous" in str(error):
            raise InputError(f"{name} has rows of different length; every point needs the same features") from error
        raise InputError(f"{name} must hold real numbers ({error}); encode text columns first") from error
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = ", ".join(str(int(b)) for b in bad[0])
        raise InputError(f"{name}[{place}] is {array[tuple(bad[0])]}; {len(bad)} entries are not finite: impute them")
    array.setflags(write=False)
    return array
