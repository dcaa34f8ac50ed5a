"""A store in a directory: Arrow and JSON files that are put once, by hard link. The default of the command line.

DIR/<job>/manifest.json           sealed JSON, put once
DIR/<job>/segments/0000.json      sealed JSON, put once each
DIR/<job>/units/<xx>/<start>-<stop>.arrow    records (stores/records.py); xx = low byte of the CRC-32 of the file name
DIR/<job>/events.jsonl, schedule.jsonl    the logs, one JSON object a line
DIR/<job>/cancel                  there while cancellation is requested
DIR/<job>/outcome.json            sealed JSON, replaced
DIR/<job>/tmp/                    files being written; what dead processes left is ignored, and removed after an hour
"""

from __future__ import annotations

import json
import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord, StoreError
from xai_ray.stores.canonical import canonical, seal, unseal
from xai_ray.stores.files import (
    append_line,
    check_writable,
    failures_named,
    put_if_absent,
    read_bytes,
    remove_stale,
    replace,
)
from xai_ray.stores.protocol import Log, Manifest, Record, Segment
from xai_ray.stores.records import decode, encode
from xai_ray.stores.refusals import (
    check_digest,
    check_job_id,
    check_lifetime,
    check_segment,
    is_job_id,
    missing_record,
    unknown_job,
)

_UNIT = re.compile(r"(0|[1-9][0-9]*)-([1-9][0-9]*)\.arrow")
_SEGMENT = re.compile(r"([0-9]{4,})\.json")
_REMEDY = "remove that file and run the spec again; the committed records stay"


class ArrowFileStore:
    """Keeps the laws of `Store` for any number of processes that share a file system with hard links.

    A killed process loses nothing it committed. After a power cut the newest records may be torn; their checksums say
    so and they can be computed again. `fsync=True` waits for the disk at every commit instead, a hundred times slower.
    """

    def __init__(self, directory: str | os.PathLike[str], *, fsync: bool = False) -> None:
        self._root = os.path.abspath(os.path.expanduser(directory))
        self._fsync = fsync

    @property
    def url(self) -> str:
        """`file://` and the absolute path of the directory."""
        return f"file://{self._root}"

    @property
    def remote(self) -> bool:
        """False: other machines need not share the file system."""
        return False

    def warnings(self) -> list[str]:
        """See `Store.warnings`. None."""
        return []

    def open(self, manifest: Manifest) -> Manifest:
        """See `Store.open`. Creates the directory; StoreError if that, or writing in it, is not possible."""
        check_job_id(manifest.job)
        what = f"the manifest of job {manifest.job!r}"
        canonical(manifest.document, what)
        home = os.path.join(self._root, manifest.job)
        for folder in ("segments", "tmp", "units"):
            with failures_named(home, "create"):
                os.makedirs(os.path.join(home, folder), exist_ok=True)
        remove_stale(os.path.join(home, "tmp"))
        check_writable(os.path.join(home, "tmp"))
        body = {
            "created_ns": time.time_ns(),
            "digest": manifest.digest,
            "document": manifest.document,
            "job": manifest.job,
        }
        self._put_json(home, "manifest.json", body, what)
        there = self.manifest(manifest.job)
        check_digest(manifest, there, self.url)
        return there

    def manifest(self, job: str) -> Manifest:
        """See `Store.manifest`. CorruptRecord if the file is damaged."""
        body = self._manifest_body(self._home(job))
        if body["job"] != job:
            raise CorruptRecord(f"{self._root}/{job} holds job {body['job']!r}; give the folder that name again")
        return Manifest(job, body["digest"], body["document"])

    def jobs(self) -> list[str]:
        """See `Store.jobs`. Folders that are no jobs are passed over; StoreError if the directory is missing."""
        with failures_named(self._root, "read"), os.scandir(self._root) as entries:
            names = [entry.name for entry in entries if is_job_id(entry.name) and _is_job(entry.path)]
        return sorted(names, key=lambda name: (self._created(name), name))

    def extend(self, job: str, segment: Segment) -> list[Segment]:
        """See `Store.extend`."""
        check_segment(segment)
        have = self.segments(job)
        if segment.start != (have[-1].stop if have else 0):
            return have
        body = {"start": segment.start, "stop": segment.stop, "unit": segment.unit}
        self._put_json(self._home(job), f"segments/{len(have):04d}.json", body, f"a segment of job {job!r}")
        return self.segments(job)

    def segments(self, job: str) -> list[Segment]:
        """See `Store.segments`. CorruptRecord if a file is damaged or missing."""
        folder = os.path.join(self._home(job), "segments")
        with failures_named(folder, "read"):
            numbers = sorted(int(match[1]) for name in os.listdir(folder) if (match := _SEGMENT.fullmatch(name)))
        segments: list[Segment] = []
        for number in numbers:
            path = os.path.join(folder, f"{number:04d}.json")
            body = unseal(read_bytes(path) or b"", path, _REMEDY)
            segments.append(Segment(body["start"], body["stop"], body["unit"]))
            if number + 1 != len(segments) or segments[-1].start != (segments[-2].stop if number else 0):
                raise CorruptRecord(f"{path} does not follow on the segments before it; restore the missing one")
        return segments

    def claim(self, job: str) -> int:
        """See `Store.claim`. Always 0: any number of processes share the work of a job."""
        self._home(job)
        return 0

    def commit(self, job: str, record: Record, epoch: int = 0) -> bool:
        """See `Store.commit`."""
        data = encode(job, record)
        home = self._home(job)
        return put_if_absent(_record_path(home, record.unit), data, os.path.join(home, "tmp"), fsync=self._fsync)

    def committed(self, job: str) -> set[Unit]:
        """See `Store.committed`. Reads names only."""
        folder = os.path.join(self._home(job), "units")
        with failures_named(folder, "read"):
            found = [(shard, name) for shard in os.listdir(folder) for name in _listed(os.path.join(folder, shard))]
        matches = ((shard, name, _UNIT.fullmatch(name)) for shard, name in found)
        pairs = [(int(match[1]), int(match[2])) for shard, name, match in matches if match and shard == _shard(name)]
        return {Unit(start, stop) for start, stop in pairs if start < stop}

    def records(self, job: str, units: list[Unit]) -> Iterator[Record]:
        """See `Store.records`. Every record is checked as it is read."""
        home = self._home(job)
        return (self._record(job, home, unit) for unit in list(units))

    def discard(self, job: str, unit: Unit) -> None:
        """See `Store.discard`."""
        self._remove(_record_path(self._home(job), unit))

    def append(self, job: str, event: dict[str, Any], log: Log = "events") -> None:
        """See `Store.append`."""
        line = canonical(event, f"an event of job {job!r}")
        append_line(os.path.join(self._home(job), f"{log}.jsonl"), line)

    def events(self, job: str, log: Log = "events") -> list[dict[str, Any]]:
        """See `Store.events`. A line torn by a kill or a full disk was never acknowledged and is left out."""
        data = read_bytes(os.path.join(self._home(job), f"{log}.jsonl")) or b""
        events: list[dict[str, Any]] = []
        for line in data.split(b"\n")[:-1]:
            with suppress(ValueError):
                events.append(json.loads(line))
        return events

    def cancel(self, job: str, requested: bool) -> None:
        """See `Store.cancel`."""
        path = os.path.join(self._home(job), "cancel")
        if not requested:
            self._remove(path)
            return
        with failures_named(path, "write"):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))

    def cancelled(self, job: str) -> bool:
        """See `Store.cancelled`."""
        return os.path.exists(os.path.join(self._home(job), "cancel"))

    def close(self, job: str, outcome: dict[str, Any], epoch: int = 0) -> None:
        """See `Store.close`."""
        data = seal(outcome, f"the outcome of job {job!r}")
        home = self._home(job)
        replace(os.path.join(home, "outcome.json"), data, os.path.join(home, "tmp"))

    def outcome(self, job: str) -> dict[str, Any] | None:
        """See `Store.outcome`."""
        path = os.path.join(self._home(job), "outcome.json")
        data = read_bytes(path)
        return None if data is None else unseal(data, path, f"remove that file; `xai-ray resume {job}` writes it again")

    def expire(self, job: str, seconds: int) -> None:
        """See `Store.expire`. StoreError: files stay until somebody removes them."""
        home = self._home(job)
        check_lifetime(seconds)
        raise StoreError(f"files do not expire; remove {home} when job {job!r} is needed no more")

    def _home(self, job: str) -> str:
        check_job_id(job)
        home = os.path.join(self._root, job)
        with failures_named(home, "read"):
            try:
                os.stat(os.path.join(home, "manifest.json"))
            except (FileNotFoundError, NotADirectoryError):
                raise unknown_job(job, self.jobs(), self.url) from None
        return home

    def _manifest_body(self, home: str) -> dict[str, Any]:
        path = os.path.join(home, "manifest.json")
        return unseal(read_bytes(path) or b"", path, _REMEDY)

    def _created(self, job: str) -> int:
        home = os.path.join(self._root, job)
        try:
            return int(self._manifest_body(home)["created_ns"])
        except CorruptRecord:  # one damaged job must not hide the others; reading it still raises
            with suppress(OSError):
                return os.stat(os.path.join(home, "manifest.json")).st_mtime_ns
            return 0

    def _put_json(self, home: str, name: str, body: dict[str, Any], what: str) -> None:
        put_if_absent(os.path.join(home, name), seal(body, what), os.path.join(home, "tmp"), fsync=True)

    def _record(self, job: str, home: str, unit: Unit) -> Record:
        path = _record_path(home, unit)
        data = read_bytes(path)
        if data is None:
            raise missing_record(job, unit, self.url)
        return decode(data, job, unit, path)

    @staticmethod
    def _remove(path: str) -> None:
        with failures_named(path, "remove"), suppress(FileNotFoundError):
            os.unlink(path)


def _is_job(path: str) -> bool:
    return os.path.isfile(os.path.join(path, "manifest.json")) and os.path.isdir(os.path.join(path, "units"))


def _shard(name: str) -> str:
    return f"{zlib.crc32(name.encode()) & 0xFF:02x}"


def _record_path(home: str, unit: Unit) -> str:
    name = f"{unit.start}-{unit.stop}.arrow"
    return os.path.join(home, "units", _shard(name), name)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except NotADirectoryError:
        return []
