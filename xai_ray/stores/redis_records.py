"""The records of a job in Redis: committed, read in order whether folded or not, folded, and discarded."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby

from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord, StoreError
from xai_ray.stores import redis_scripts as scripts
from xai_ray.stores.protocol import Record
from xai_ray.stores.records import decode, encode
from xai_ray.stores.redis_folding import Folded, Group, decode_fold, encode_fold, fold_name, foldable, units_of
from xai_ray.stores.redis_jobs import RedisJobs
from xai_ray.stores.redis_recent import Recent
from xai_ray.stores.redis_spill import Spill, is_pointer
from xai_ray.stores.refusals import fenced, missing_record

_ASKED = 512
"""Units of one question to the server."""
_ANSWERED = 8 << 20
"""Bytes after which it stops answering; the rest is asked for again."""
_CACHED = 2
"""Folds that a reader keeps: one is left for the next, and asked for backwards it is the same."""


class RedisRecords:
    """See `Store` for the laws."""

    def __init__(self, jobs: RedisJobs) -> None:
        self._jobs = jobs
        self._spill = Spill(jobs.client.place.spill, jobs.client.place.spill_above)
        self._recent = Recent()

    def commit(self, job: str, record: Record, data: bytes, epoch: int, group: Group | None) -> bool:
        """See `Store.commit`; `data` is the record encoded. Folds the group when this record was its last."""
        unit = record.unit
        stored = self._spill.park(job, unit, data)
        head = [_field(unit), stored, unit.start, unit.stop, epoch, len(record.values), secrets.token_hex(8)]
        tail = [group.counter, group.size] if group else ["", 0]
        put, full = self._jobs.run(scripts.COMMIT, job, *head, *tail)
        if put == 1:
            self._recent.keep(job, [*head, *tail], len(stored))
        self._put_again()
        if put != 1:
            self._drop_unless_held(job, unit, stored)
        if put == -1:
            raise fenced(job, epoch, self._jobs.url)
        if full and group:
            self.fold(job, group)
        return put == 1

    def committed(self, job: str) -> set[Unit]:
        """See `Store.committed`."""
        self._jobs.run(scripts.CANCELLED, job)  # any question: it may find another server process
        self._put_again()
        alone, folds = self._jobs.run(scripts.COMMITTED, job)
        found = _units(alone)
        for fold in folds:
            found.update(units_of(fold.decode()))
        return found

    def alone(self, job: str) -> set[Unit]:
        """The units whose records are in no fold."""
        return _units(self._jobs.run(scripts.COMMITTED, job)[0])

    def read(self, job: str, units: list[Unit]) -> Iterator[Record]:
        """See `Store.records`. Asks for many units at a time."""
        folds: dict[str, Folded] = {}
        at, discards = 0, b""
        while at < len(units):
            asked = units[at : at + _ASKED]
            now, *answers = self._jobs.run(scripts.READ, job, _ANSWERED, *_flat(asked))
            if now != discards:  # a fold may have been taken apart, and folded again with another record
                folds.clear()
                discards = now
            for unit, answer in zip(asked, answers, strict=False):
                if answer == 0:
                    raise missing_record(job, unit, self._jobs.url)
                if isinstance(answer, bytes):
                    yield self._decoded(job, unit, answer)
                else:
                    fold = answer[0].decode()
                    found = self._folded(job, fold, folds)
                    if found is None:
                        break  # taken apart since the question: ask again where the unit is now
                    yield found.record(unit)
                at += 1

    def fold(self, job: str, group: Group) -> None:
        """Fold the records of a group that is complete; nothing happens if it is not, or somebody else folds it meanwhile.

        Folding saves memory and may wait: what hinders it (a full server, a damaged record) is left to whoever meets it next.
        """
        with suppress(StoreError):
            self._fold(job, group)

    def discard(self, job: str, unit: Unit) -> None:
        """See `Store.discard`. A fold that holds the unit is taken apart."""
        self._recent.forget(job, _field(unit))
        while True:
            held = self._jobs.run(scripts.DISCARD, job, _field(unit), unit.start, unit.stop)
            if isinstance(held, bytes):
                self._spill.drop(held)
                return
            if held == 0:
                return
            fold, discards = held[0].decode(), held[1]
            if self._jobs.run(scripts.UNFOLD, job, discards, fold, *self._without(job, fold, unit)):
                return

    def _put_again(self) -> None:
        """After a reconnection: if another server process answers now, put what it may not know."""
        client, recent = self._jobs.client, self._recent
        connects = client.connects
        if connects == recent.connects:
            return
        try:
            before, now = recent.server, client.server_processes()
        except StoreError:
            return  # the server is away again; what was asked for is done, and the next call looks again
        if (before is not None and now != before) or not now:
            for job, arguments in recent.commits():
                with suppress(StoreError):  # of a job that is gone, or was taken over; the others still count
                    self._jobs.run(scripts.COMMIT, job, *arguments)
        recent.server, recent.connects = now, connects

    def _fold(self, job: str, group: Group) -> None:
        discards, sizes = self._jobs.run(scripts.SIZES, job, *_flat(group.units()))
        for run in foldable(group, sizes):
            for _, same in groupby(self.read(job, run), lambda record: record.values.shape[1]):
                records = list(same)
                if len(records) > 1:
                    self._put_fold(job, group, discards, records)

    def _put_fold(self, job: str, group: Group, discards: bytes, records: list[Record]) -> None:
        units = [record.unit for record in records]
        blob = encode_fold(job, records)
        fields = map(_field, units)
        self._jobs.run(scripts.FOLD, job, discards, fold_name(units), blob, units[0].start, group.counter, *fields)

    def _folded(self, job: str, fold: str, cached: dict[str, Folded]) -> Folded | None:
        """The records of a fold, or None if it is there no more."""
        if fold not in cached:
            blob = self._jobs.run(scripts.READ_FOLD, job, fold)
            if blob is None:
                return None
            while len(cached) >= _CACHED:
                cached.pop(next(iter(cached)))
            cached[fold] = decode_fold(blob, job, fold, self._where(job, f"fold {fold}"))
        return cached[fold]

    def _without(self, job: str, fold: str, unit: Unit) -> Iterator[str | bytes]:
        """Units and records of a fold, but for one unit; of a damaged fold, records that are damaged too until each is discarded."""
        blob = self._jobs.run(scripts.READ_FOLD, job, fold) or b""
        try:
            records = decode_fold(blob, job, fold, self._where(job, f"fold {fold}"))
        except CorruptRecord:
            records = None
        for other in units_of(fold):
            if other != unit:
                yield _field(other)
                yield b"from a damaged fold" if records is None else encode(job, records.record(other))

    def _decoded(self, job: str, unit: Unit, stored: bytes) -> Record:
        data = self._spill.fetch(stored, job, unit) if is_pointer(stored) else stored
        return decode(data, job, unit, self._where(job, f"unit {_field(unit)}"))

    def _drop_unless_held(self, job: str, unit: Unit, stored: bytes) -> None:
        """Remove the file that a record spilled to for nothing. It is ours alone: its name has the digest of its content."""
        if is_pointer(stored) and self._jobs.run(scripts.READ, job, 1, unit.start, unit.stop)[1:] != [stored]:
            self._spill.drop(stored)

    def _where(self, job: str, what: str) -> str:
        return f"{self._jobs.url}, key {scripts.keys_of(job)[3 if what.startswith('unit') else 5]}, {what}"


def _units(fields: list[bytes]) -> set[Unit]:
    return {Unit(int(start), int(stop)) for start, stop in (field.split(b"-") for field in fields)}


def _field(unit: Unit) -> str:
    return f"{unit.start}-{unit.stop}"


def _flat(units: Iterable[Unit]) -> list[int]:
    return [number for unit in units for number in (unit.start, unit.stop)]
