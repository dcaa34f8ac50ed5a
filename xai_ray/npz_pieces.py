"""The array of a .npz file, read in pieces: its member of the zip archive goes to a `Spool`. Memory: a piece."""

from __future__ import annotations

import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from xai_ray import row_spool
from xai_ray.errors import InputError
from xai_ray.inputs import Array, read_npy
from xai_ray.row_spool import Spool, native

_PIECE_BYTES = 1 << 24


def read_npz(path: Path) -> Array:
    """The only array of a .npz file, shape (R, *input); a large one as a read-only `numpy.memmap`.

    Raises InputError that names the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) != 1 or members[0].file_size <= row_spool.LARGE:
                return read_npy(path)
            with archive.open(members[0]) as member:
                return _spooled(member)
    except FileNotFoundError:
        raise InputError(f"no file at {path}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise InputError(f"cannot read the array {path}: {error}; is the file whole?") from None


def _spooled(member: IO[bytes]) -> Array:
    shape, fortran, dtype = _header(member)
    spool, total = Spool(), prod(shape)
    at_once = max(1, _PIECE_BYTES // dtype.itemsize)
    for start in range(0, total, at_once):
        count = min(at_once, total - start)
        spool.add(native(np.frombuffer(_exactly(member, count * dtype.itemsize), dtype=dtype)))
    # To its end: only there does the archive compare its checksum.
    if member.read(1):
        raise ValueError("it is longer than its header says")
    # Column by column is row by row of the transposed array.
    return spool.rows().reshape(shape[::-1]).transpose() if fortran else spool.rows().reshape(shape)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, Any]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read; save it with a type of numbers")
    if not shape:
        raise ValueError("it holds one number and no rows")
    return shape, fortran, dtype


def _exactly(member: IO[bytes], count: int) -> bytearray:
    """Raises EOFError where fewer bytes are there."""
    out = bytearray()
    while len(out) < count:
        part = member.read(count - len(out))
        if not part:
            raise EOFError("it ends too early")
        out += part
    return out
