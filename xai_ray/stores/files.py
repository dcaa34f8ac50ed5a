"""Files that are there whole or not at all, whoever is killed when; and failures of the file system in words."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from xai_ray.errors import StoreError

_PIECE = 1 << 16
STALE_SECONDS = 3600
"""Age at which a temporary file counts as left behind by a dead process."""

_SPACE = "free some space or use another --store; everything committed stays and the job resumes"
_ACCESS = "make it writable for this user or use another --store"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EROFS: _ACCESS,
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.ENOTDIR: "name a directory as the --store",
    errno.EEXIST: "name a directory as the --store",
    errno.ENOENT: "check the spelling of --store; running a spec creates it",
}
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK})


@contextmanager
def failures_named(path: str, doing: str) -> Iterator[None]:
    """Turns an OSError into a StoreError that names the path, what was being done and what to do."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the path and its file system")
        raise StoreError(f"cannot {doing} {path}: {error.strerror or error}; {remedy}") from error


def check_writable(temporary: str) -> None:
    """Write a page and remove it again: a read-only or full disk is found before any work is done, for root too."""
    with failures_named(temporary, "write in"):
        os.unlink(_write_temporary(temporary, bytes(4096), fsync=False))


def put_if_absent(path: str, data: bytes, temporary: str, *, fsync: bool) -> bool:
    """Create `path` with `data` unless it exists; True if this call created it.

    A reader sees the whole file or none: the data are written under another name in `temporary`, a folder on the same
    file system, and linked. A rename would overwrite.
    """
    if os.path.lexists(path):
        return False
    with failures_named(path, "write"):
        name = _write_temporary(temporary, data, fsync=fsync)
        try:
            created = _link(name, path)
        finally:
            with suppress(OSError):
                os.unlink(name)
        if created and fsync:
            _fsync_folder(os.path.dirname(path))
    return created


def replace(path: str, data: bytes, temporary: str) -> None:
    """Write `path` with `data` in place of what was there; a reader sees the old file or the new one."""
    with failures_named(path, "write"):
        name = _write_temporary(temporary, data, fsync=True)
        try:
            os.replace(name, path)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise
        _fsync_folder(os.path.dirname(path))


def append_line(path: str, line: bytes) -> None:
    """Append a line in one write, so that lines of several processes never mix."""
    with failures_named(path, "append to"):
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(handle).st_size
            # A kill or a full disk may have torn the last line: end it, or this one would be lost with it.
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            data = b"\n" * torn + line + b"\n"
            if os.write(handle, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        finally:
            os.close(handle)


def read_bytes(path: str) -> bytes | None:
    """The bytes of a file, or None if there is none."""
    with failures_named(path, "read"):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            # Fewer calls to the system than `open` makes: a job may have a hundred thousand of these.
            pieces = [os.read(handle, _PIECE)]
            while pieces[-1]:
                pieces.append(os.read(handle, _PIECE))
            return b"".join(pieces)
        finally:
            os.close(handle)


def remove_stale(temporary: str) -> None:
    """Remove temporary files that dead processes left behind. They are harmless; a failure to remove them is too."""
    horizon = time.time() - STALE_SECONDS
    with suppress(OSError), os.scandir(temporary) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < horizon:
                    os.unlink(entry.path)


def _write_temporary(folder: str, data: bytes, *, fsync: bool) -> str:
    name = os.path.join(folder, f"{os.getpid()}-{secrets.token_hex(8)}")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
        if fsync:
            os.fsync(handle)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
    finally:
        os.close(handle)
    return name


def _link(name: str, path: str) -> bool:
    try:
        try:
            os.link(name, path)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.link(name, path)
    except FileExistsError:
        # A network file system may lose the answer to a link that succeeded and report its repetition.
        return os.stat(name).st_nlink > 1
    except OSError as error:
        if error.errno in _NO_LINKS:
            message = f"{path}: this file system has no hard links ({error.strerror}); use a --store on another one"
            raise StoreError(message) from error
        raise
    return True


def _fsync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
