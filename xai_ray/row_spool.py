"""Rows as they are read, piece by piece: in memory while they are few, in a file that is mapped into memory once they are many."""

from __future__ import annotations

import tempfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError

Array = npt.NDArray[Any]

LARGE = 1 << 28
"""Bytes of rows that are kept in memory."""
PIECE = 1 << 16
"""Rows that are looked at together."""


class Spool:
    """Pieces (b, *input) of one type and layout, put together.

    More than LARGE bytes go to a nameless file in the temporary folder, which the system removes however the process ends, and whose
    pages it drops when memory runs short.
    """

    def __init__(self) -> None:
        self._parts: list[Array] = []
        self._file: IO[bytes] | None = None
        self._rows = self._bytes = 0

    def add(self, piece: Array) -> None:
        """The next rows. Raises InputError where the disk is full."""
        if not self._parts:
            self._parts = [piece[:0]]
        self._rows, self._bytes = self._rows + len(piece), self._bytes + piece.nbytes
        if self._file is None:
            self._parts.append(piece)
        if self._bytes <= LARGE:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="xai-ray-rows-")  # noqa: SIM115, lives as long as its map
                for part in self._parts:
                    self._file.write(part.tobytes())
                self._parts = self._parts[:1]
            else:
                self._file.write(piece.tobytes())
        except OSError as error:
            raise InputError(
                f"no room for {self._bytes >> 20} MiB of rows in {tempfile.gettempdir()}: {error.strerror or error}; set TMPDIR to a "
                "folder with more, or take fewer rows"
            ) from None

    def rows(self) -> Array:
        """All of them, shape (R, *input); a read-only `numpy.memmap` where they are many."""
        if self._file is None:
            return np.concatenate(self._parts) if self._parts else np.empty((0, 0))
        self._file.flush()
        first = self._parts[0]
        return np.memmap(self._file, dtype=first.dtype, mode="r", shape=(self._rows, *first.shape[1:]))


def respooled(rows: Array, columns: list[int]) -> Array:
    """Some columns of rows (R, d), piece by piece where the rows are mapped from a file."""
    if not isinstance(rows, np.memmap):
        return rows[:, columns]
    spool = Spool()
    for start in range(0, len(rows), PIECE):
        spool.add(np.asarray(rows[start : start + PIECE][:, columns]))
    return spool.rows()


def native(rows: Array) -> Array:
    """Rows in the byte order of this machine, which models need, piece by piece where they are mapped from a file."""
    if rows.dtype.isnative:
        return rows
    kind = rows.dtype.newbyteorder("=")
    if not isinstance(rows, np.memmap):
        return rows.astype(kind)
    spool = Spool()
    for start in range(0, len(rows), PIECE):
        spool.add(np.asarray(rows[start : start + PIECE]).astype(kind))
    return spool.rows()
