"""Records too large for Redis: Arrow files in a directory that every worker sees, of which Redis keeps a pointer.

DIR/<job>/<xx>/<start>-<stop>-<sha>.arrow    a record as `stores/records.py` writes it; xx = first byte, sha = 16 digits of its SHA-256
DIR/<job>/tmp/                               files being written

A pointer is canonical JSON: `{"bytes": ..., "root": DIR, "sha256": ..., "spilled": "<job>/<xx>/..."}`. An Arrow stream never starts
with a brace. The file is there, whole and on disk, before Redis hears of it; what a kill in between leaves is a file that nobody
points to. Files of jobs that expired in Redis stay until somebody removes DIR/<job>.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass

from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord, StoreError
from xai_ray.stores.canonical import canonical
from xai_ray.stores.files import failures_named, put_if_absent, read_bytes
from xai_ray.stores.redis_place import SPILL

LARGEST = 64 << 20
"""Bytes of the largest record that goes into Redis where no directory is set."""

_FILE = re.compile(r"[a-z0-9-]{1,128}/[0-9a-f]{2}/[0-9]+-[0-9]+-[0-9a-f]{16}\.arrow")


def is_pointer(stored: bytes) -> bool:
    """Whether what Redis holds for a unit is a pointer and not the record itself."""
    return stored[:1] == b"{"


@dataclass(frozen=True, slots=True)
class Spill:
    """`root` is None where no directory is set; records of more than `above` bytes go there."""

    root: str | None
    above: int

    def park(self, job: str, unit: Unit, data: bytes) -> bytes:
        """What Redis is to hold: the record, or a pointer to the file that holds it now. Raises StoreError."""
        if self.root is None:
            if len(data) > LARGEST:
                raise StoreError(
                    f"the record of unit [{unit.start}, {unit.stop}) of job {job!r} has {len(data) >> 20} MB, and Redis takes "
                    f"{LARGEST >> 20} MB at most; set {SPILL} to a directory that every worker sees, and resume; nothing is lost"
                )
            return data
        if len(data) <= self.above:
            return data
        sha = hashlib.sha256(data).hexdigest()
        name = f"{job}/{sha[:2]}/{unit.start}-{unit.stop}-{sha[:16]}.arrow"
        temporary = os.path.join(self.root, job, "tmp")
        with failures_named(temporary, "create"):
            os.makedirs(temporary, exist_ok=True)
        # A power cut must not leave a file that Redis points to and the disk does not hold.
        put_if_absent(os.path.join(self.root, name), data, temporary, fsync=True)
        return canonical({"bytes": len(data), "root": self.root, "sha256": sha, "spilled": name}, "a pointer")

    def fetch(self, pointer: bytes, job: str, unit: Unit) -> bytes:
        """The record that a pointer names. Raises CorruptRecord if the file is missing or another one."""
        again = f"`xai-ray resume {job} --recompute` computes unit [{unit.start}, {unit.stop}) again"
        try:
            document = json.loads(pointer)
            name, size, sha = str(document["spilled"]), int(document["bytes"]), str(document["sha256"])
            root = self.root or str(document["root"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptRecord(
                f"what Redis holds for unit [{unit.start}, {unit.stop}) of {job!r} is damaged; {again}"
            ) from error
        if not _FILE.fullmatch(name):
            raise CorruptRecord(f"the pointer of unit [{unit.start}, {unit.stop}) of {job!r} names {name!r}; {again}")
        path = os.path.join(root, name)
        data = read_bytes(path)
        if data is None:
            raise CorruptRecord(f"{path} is missing; set {SPILL} to the directory that holds {name}, or {again}")
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha:
            raise CorruptRecord(f"{path} is damaged ({len(data)} bytes, {size} were written); {again}")
        return data

    def drop(self, pointer: bytes) -> None:
        """Remove the file of a pointer that Redis does not hold (any more). A file that cannot be removed is harmless."""
        with suppress(ValueError, KeyError, TypeError, OSError):
            document = json.loads(pointer)
            if _FILE.fullmatch(str(document["spilled"])):
                os.unlink(os.path.join(self.root or str(document["root"]), str(document["spilled"])))
