"""What stays where and how long: jobs that expire, records that spill to files, and damage that is named."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.contracts.test_redis_refusals import KEYS, large
from tests.redis_server import KINDS, Server, running
from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord, StoreError
from xai_ray.stores import Record, Segment, open_store
from xai_ray.stores import redis_scripts as scripts
from xai_ray.stores.redis_store import RedisStore
from xai_ray.testing.stores import JOB, a_manifest, a_record, same_record


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(request.param) as started:
        yield started


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("XAI_RAY_REDIS")]:
        monkeypatch.delenv(name)


# --- expiry -----------------------------------------------------------------------------------------------------------


def test_a_job_that_is_done_goes_and_one_that_is_opened_again_stays(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisStore(server.url)
    monkeypatch.setenv("XAI_RAY_REDIS_EXPIRE", "500")
    expiring = RedisStore(server.url)
    expiring.open(a_manifest())
    expiring.extend(JOB, Segment(0, 300, 1))
    for start in range(300):
        expiring.commit(JOB, a_record(start, start + 1))
    expiring.append(JOB, {"a": 1})
    with server.admin() as admin:

        def lifetimes() -> set[int]:
            return {admin.ttl(key) for key in admin.keys("*{*")}

        expiring.close(JOB, {"state": "failed"})
        assert lifetimes() == {-1}
        expiring.close(JOB, {"state": "done"})
        assert lifetimes() <= set(range(490, 501))
        store.cancel(JOB, True)  # a new key of a job that expires goes with it
        store.append(JOB, {"b": 2})
        assert lifetimes() <= set(range(490, 501))
        store.open(a_manifest())
        assert lifetimes() == {-1}
        store.close(JOB, {"state": "done"})
        store.expire(JOB, 50)
        assert lifetimes() <= set(range(40, 51))
        assert store.commit(JOB, a_record(300, 301))  # work goes on: nothing may vanish
        assert lifetimes() == {-1}
        store.expire(JOB, 1)
        while admin.keys("*{*"):
            pass
        assert store.jobs() == []
        with pytest.raises(StoreError, match="no job"):
            store.committed(JOB)
        admin.zadd(scripts.JOBS, {JOB: 1})
        store.open(a_manifest("other"))
        assert admin.zrange(scripts.JOBS, 0, -1) == [b"other"]


# --- large records ----------------------------------------------------------------------------------------------------


def spilled(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.arrow"))


def test_large_records_go_to_files_and_come_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAI_RAY_REDIS_SPILL", f"file://{tmp_path}/spill")
    store = open_store(server.url)
    store.open(a_manifest())
    store.extend(JOB, Segment(0, 12, 1))
    sizes = [300_000 if start % 3 == 0 else 1000 for start in range(12)]
    for start, size in enumerate(sizes):
        assert store.commit(JOB, large(start, size))
        assert store.commit(JOB, Record(Unit(start, start + 1), np.zeros((size // 8, 1)), {})) is False
    assert len(spilled(tmp_path)) == 4
    monkeypatch.delenv("XAI_RAY_REDIS_SPILL")  # the pointer says where the files are
    other = open_store(server.url)
    units = [Unit(start, start + 1) for start in range(12)]
    for unit, size, record in zip(units, sizes, other.records(JOB, units), strict=True):
        assert same_record(record, large(unit.start, size))
    with server.admin() as admin:
        assert admin.hlen(KEYS["units"]) == 4  # the small ones lie in pairs between them, folded
        assert max(admin.hstrlen(KEYS["units"], f"{start}-{start + 1}") for start in (0, 3, 6, 9)) < 400
    store.discard(JOB, Unit(0, 1))
    assert len(spilled(tmp_path)) == 3


def test_a_spilled_file_that_is_damaged_or_gone_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAI_RAY_REDIS_SPILL", str(tmp_path))
    monkeypatch.setenv("XAI_RAY_REDIS_SPILL_ABOVE", "1kb")
    store = open_store(server.url)
    store.open(a_manifest())
    store.commit(JOB, large(0, 5000))
    (path,) = spilled(tmp_path)
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptRecord, match=rf"{path.name} is damaged.*--recompute"):
        next(store.records(JOB, [Unit(0, 1)]))
    path.unlink()
    with pytest.raises(CorruptRecord, match="is missing; set XAI_RAY_REDIS_SPILL"):
        next(store.records(JOB, [Unit(0, 1)]))
    store.discard(JOB, Unit(0, 1))
    assert store.commit(JOB, large(0, 5000))
    assert same_record(next(store.records(JOB, [Unit(0, 1)])), large(0, 5000))


def test_a_record_too_large_for_redis_is_refused_with_the_remedy(server: Server, tmp_path: Path) -> None:
    store = open_store(server.url)
    store.open(a_manifest())
    with pytest.raises(StoreError, match=r"unit \[0, 1\).*65 MB.*64 MB at most; set XAI_RAY_REDIS_SPILL"):
        store.commit(JOB, large(0, 65 << 20))
    assert store.committed(JOB) == set()


# --- damage -----------------------------------------------------------------------------------------------------------


def test_a_damaged_fold_is_never_read_and_its_units_can_be_computed_again(server: Server) -> None:
    store = RedisStore(server.url)
    store.open(a_manifest())
    store.extend(JOB, Segment(0, 300, 1))
    for start in range(300):
        store.commit(JOB, a_record(start, start + 1))
    with server.admin() as admin:
        blob = bytearray(admin.hget(KEYS["folds"], "0:256:1"))
        for place in (30, len(blob) // 2, len(blob) - 200):
            damaged = bytearray(blob)
            damaged[place] ^= 4
            admin.hset(KEYS["folds"], "0:256:1", bytes(damaged))
            with pytest.raises(CorruptRecord, match=r"fold 0:256:1.*\[0, 256\).*--recompute"):
                list(store.records(JOB, [Unit(5, 6)]))
        admin.hdel(KEYS["folds"], "0:256:1")
        with pytest.raises(CorruptRecord, match=r"fold 0:256:1.*0 bytes"):
            list(store.records(JOB, [Unit(5, 6)]))
        assert [r.unit.start for r in store.records(JOB, [Unit(256, 257), Unit(299, 300)])] == [256, 299]
        for start in range(256):
            with pytest.raises(CorruptRecord):
                next(store.records(JOB, [Unit(start, start + 1)]))
            store.discard(JOB, Unit(start, start + 1))
        assert store.committed(JOB) == {Unit(start, start + 1) for start in range(256, 300)}
        for start in range(256):
            assert store.commit(JOB, a_record(start, start + 1))
        store.fold(JOB)
        assert admin.hlen(KEYS["units"]) == 0
    units = [Unit(start, start + 1) for start in range(300)]
    for unit, record in zip(units, store.records(JOB, units), strict=True):
        assert same_record(record, a_record(unit.start, unit.stop))


@pytest.mark.parametrize("key", ["manifest", "segments", "outcome", "units"])
def test_damage_anywhere_is_named(server: Server, key: str) -> None:
    store = RedisStore(server.url)
    store.open(a_manifest())
    store.extend(JOB, Segment(0, 2, 1))
    store.commit(JOB, a_record(0, 1))
    store.close(JOB, {"state": "done"})
    with server.admin() as admin:
        if key == "segments":
            admin.lset(KEYS[key], 0, "5:6:1")
        elif key == "units":
            admin.hset(KEYS[key], "0-1", admin.hget(KEYS[key], "0-1")[:-9])
        else:
            admin.setrange(KEYS[key], 20, "@")
    reads = {
        "manifest": lambda: store.manifest(JOB),
        "segments": lambda: store.segments(JOB),
        "outcome": lambda: store.outcome(JOB),
        "units": lambda: list(store.records(JOB, [Unit(0, 1)])),
    }
    with pytest.raises(CorruptRecord, match=KEYS[key].replace("{", r"\{").replace("}", r"\}")):
        reads[key]()
