"""A store on a Redis or Valkey server: the one for clusters, where every worker commits its own records.

    redis://[USER@]HOST[:PORT][/DB]      rediss://... (TLS)      unix:///PATH[?db=DB]      redis+unix:///PATH

Credentials. `USER:PASSWORD@` in the URL works and is never shown again; better are the environment's XAI_RAY_REDIS_PASSWORD or
XAI_RAY_REDIS_PASSWORD_FILE (a file that holds it) and XAI_RAY_REDIS_USERNAME, because a URL on a command line can be read by everybody
on the machine. TLS takes `?ssl_ca_certs=FILE` and, for a certificate of our own, `ssl_certfile` and `ssl_keyfile`.

Server. `maxmemory` with `maxmemory-policy noeviction` (anything else would lose records without a word, and is refused) and
`appendonly yes` with `appendfsync everysec`: a server that is killed, or whose machine loses power, may come back without the last one
or two seconds. What it forgot is put again by the processes that committed it (redis_recent.py), and computed again where they died
too; `appendfsync always` forgets nothing, and takes a disk's time for every commit. `facts()` says what the server lacks. A user of
its own needs `~xr:*` and the commands of `redis_scripts.COMMANDS`; a refusal prints the `ACL SETUSER` line. Redis Cluster works:
all keys of a job lie in one slot.

Settings, from the environment of the process that opens the store (they travel with it to its workers):

    XAI_RAY_REDIS_PATIENCE      60      seconds for which a server that restarts may be away before a run gives up
    XAI_RAY_REDIS_SPILL                 directory that every worker sees: records above XAI_RAY_REDIS_SPILL_ABOVE (256kb) go there
    XAI_RAY_REDIS_EXPIRE                seconds after which a job that is done is removed; without it jobs stay

How it keeps the laws of `Store`. Everything that belongs together happens in one Lua script (redis_scripts.py, where the keys are
described), which may be sent twice without harm, so a lost answer is asked for again. Records are put if absent; a coordinator that
was overtaken is fenced by its epoch. Whenever 256 consecutive units are there, whoever committed the last one folds them into one blob
(redis_folding.py): a job of 100,000 units is some 400 blobs. Large records spill to files (redis_spill.py).
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord
from xai_ray.stores import redis_scripts as scripts
from xai_ray.stores.canonical import canonical, seal, unseal
from xai_ray.stores.protocol import Log, Manifest, Record, Segment
from xai_ray.stores.records import encode
from xai_ray.stores.redis_client import RedisClient
from xai_ray.stores.redis_facts import check_server
from xai_ray.stores.redis_folding import Group, group_of, groups
from xai_ray.stores.redis_jobs import RedisJobs
from xai_ray.stores.redis_place import parse_place
from xai_ray.stores.redis_records import RedisRecords
from xai_ray.stores.refusals import check_digest, check_job_id, check_lifetime, check_segment, fenced, not_done

_MANIFEST, _SEGMENTS, _OUTCOME = (scripts.KEYS.index(name) + 1 for name in ("manifest", "segments", "outcome"))
_SEGMENT = re.compile(rb"[0-9]+:[0-9]+:[1-9][0-9]*")
_DONE = b'"done"'


class RedisStore:
    """Keeps the laws of `Store` for any number of processes on any number of machines. Connects when it is first used; may be
    pickled, and connects anew where it arrives. The pickle holds the password, the URL does not.
    """

    def __init__(self, url: str) -> None:
        self._client = RedisClient(parse_place(url))
        self._jobs = RedisJobs(self._client)
        self._records = RedisRecords(self._jobs)
        self._segments: dict[str, list[Segment]] = {}

    def __repr__(self) -> str:
        return f"RedisStore({self.url!r})"

    @property
    def url(self) -> str:
        """Where it is, without the password."""
        return self._client.place.url

    @property
    def remote(self) -> bool:
        """True: every worker can commit."""
        return True

    def facts(self) -> dict[str, Any]:
        """What the server says of itself: server, version, append_only_file, maxmemory, policy, used_memory, cluster; and
        `warnings`, sentences about settings that put records at risk.
        """
        return check_server(self._client)

    def warnings(self) -> list[str]:
        """See `Store.warnings`."""
        return list(self.facts()["warnings"])

    def open(self, manifest: Manifest) -> Manifest:
        """See `Store.open`. StoreError if the server would evict records."""
        check_job_id(manifest.job)
        what = f"the manifest of job {manifest.job!r}"
        canonical(manifest.document, what)
        body = {"digest": manifest.digest, "document": manifest.document, "job": manifest.job}
        data = seal(body, what)
        check_server(self._client)
        created = time.time_ns() // 1000
        self._jobs.enlist(manifest.job, created)
        keys = scripts.keys_of(manifest.job)
        there = self._manifest(manifest.job, self._client.script(scripts.OPEN, keys, [data, manifest.digest]))
        check_digest(manifest, there, self.url)
        self._jobs.forget_expired(created)
        # Again: another process that cleans the list may have taken a job that had expired for one that stays gone.
        self._jobs.enlist(manifest.job, created)
        return there

    def manifest(self, job: str) -> Manifest:
        """See `Store.manifest`. CorruptRecord if it is damaged."""
        return self._manifest(job, self._jobs.run(scripts.GET, job, _MANIFEST))

    def jobs(self) -> list[str]:
        """See `Store.jobs`."""
        return self._jobs.names()

    def extend(self, job: str, segment: Segment) -> list[Segment]:
        """See `Store.extend`."""
        check_segment(segment)
        return self._known(job, self._jobs.run(scripts.EXTEND, job, segment.start, segment.stop, segment.unit))

    def segments(self, job: str) -> list[Segment]:
        """See `Store.segments`. CorruptRecord if the list is damaged."""
        return self._known(job, self._jobs.run(scripts.SEGMENTS, job))

    def claim(self, job: str) -> int:
        """See `Store.claim`. 1 or more."""
        return int(self._jobs.run(scripts.CLAIM, job))

    def commit(self, job: str, record: Record, epoch: int = 0) -> bool:
        """See `Store.commit`. StoreError when Redis is out of memory, or the record too large and no directory set for it."""
        data = encode(job, record)
        return self._records.commit(job, record, data, epoch, self._group(job, record.unit))

    def committed(self, job: str) -> set[Unit]:
        """See `Store.committed`."""
        return self._records.committed(job)

    def records(self, job: str, units: list[Unit]) -> Iterator[Record]:
        """See `Store.records`. Every record is checked as it is read."""
        self._jobs.run(scripts.CANCELLED, job)  # an unknown job is refused now, not when the first record is asked for
        return self._records.read(job, list(units))

    def discard(self, job: str, unit: Unit) -> None:
        """See `Store.discard`."""
        self._records.discard(job, unit)

    def fold(self, job: str) -> None:
        """Fold every group of units that is complete and was not folded, because whoever committed its last unit was killed."""
        alone = self._records.alone(job)
        for group in groups(self.segments(job)):
            if alone.issuperset(group.units()):
                self._records.fold(job, group)

    def append(self, job: str, event: dict[str, Any], log: Log = "events") -> None:
        """See `Store.append`."""
        data = canonical(event, f"an event of job {job!r}")
        self._jobs.run(scripts.APPEND, job, data, secrets.token_hex(8), _place(log))

    def events(self, job: str, log: Log = "events") -> list[dict[str, Any]]:
        """See `Store.events`."""
        found: list[dict[str, Any]] = []
        last = "-"
        while answer := self._jobs.run(scripts.EVENTS, job, _place(log), last):
            found += [json.loads(event) for event in answer[1::2]]
            last = f"({answer[-2].decode()}"
        return found

    def cancel(self, job: str, requested: bool) -> None:
        """See `Store.cancel`."""
        self._jobs.run(scripts.CANCEL, job, int(requested))

    def cancelled(self, job: str) -> bool:
        """See `Store.cancelled`."""
        return bool(self._jobs.run(scripts.CANCELLED, job))

    def close(self, job: str, outcome: dict[str, Any], epoch: int = 0) -> None:
        """See `Store.close`. A job that is done expires where XAI_RAY_REDIS_EXPIRE says so."""
        state = str(outcome.get("state", ""))
        data = seal(outcome, f"the outcome of job {job!r}")
        if self._jobs.run(scripts.CLOSE, job, data, canonical(state, "the state"), epoch) == -1:
            raise fenced(job, epoch, self.url)
        self.fold(job)
        if state == "done" and self._client.place.expire:
            self.expire(job, self._client.place.expire)

    def outcome(self, job: str) -> dict[str, Any] | None:
        """See `Store.outcome`."""
        data = self._jobs.run(scripts.GET, job, _OUTCOME)
        where = f"{self.url}, key {scripts.keys_of(job)[_OUTCOME - 1]}"
        return None if data is None else unseal(data, where, f"`xai-ray resume {job}` writes it again")

    def expire(self, job: str, seconds: int) -> None:
        """See `Store.expire`. Files that records spilled to stay."""
        check_lifetime(seconds)
        (state,) = self._jobs.run(scripts.EXPIRE, job, 1000 * seconds)
        if state != _DONE:
            raise not_done(job, state.decode("ascii").strip('"'), self.url)

    def _manifest(self, job: str, data: bytes) -> Manifest:
        where = f"{self.url}, key {scripts.keys_of(job)[_MANIFEST - 1]}"
        body = unseal(data, where, "remove that key and run the spec again; the committed records stay")
        return Manifest(body["job"], body["digest"], body["document"])

    def _known(self, job: str, texts: list[bytes]) -> list[Segment]:
        where = f"{self.url}, key {scripts.keys_of(job)[_SEGMENTS - 1]}"
        found: list[Segment] = []
        for text in texts:
            if not _SEGMENT.fullmatch(text):
                raise CorruptRecord(
                    f"{where} holds {text!r}, which is no segment; remove the key and run the spec again"
                )
            found.append(Segment(*map(int, text.split(b":"))))
            if found[-1].start != (found[-2].stop if len(found) > 1 else 0):
                raise CorruptRecord(
                    f"{where} is not contiguous at draw {found[-1].start}; remove the key and run the spec again"
                )
        self._segments[job] = found
        return list(found)

    def _group(self, job: str, unit: Unit) -> Group | None:
        """With whom a unit is folded. What this process remembers of the segments may be old; then it is folded later."""
        known = self._segments.get(job)
        if known is None or not known or known[-1].stop < unit.stop:
            known = self.segments(job)
        return group_of(known, unit)


def _place(log: Log) -> int:
    return scripts.KEYS.index(log) + 1
