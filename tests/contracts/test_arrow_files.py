"""What only a store of files can suffer: damaged files, foreign files, and a file system that says no."""

import errno
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord, SpecError, StoreError
from xai_ray.stores import ArrowFileStore, Manifest, MemoryStore, Record, Segment, open_store
from xai_ray.stores.files import STALE_SECONDS, read_bytes
from xai_ray.testing.stores import JOB, a_manifest, a_record, same_record

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a job with three records and one segment."""
    store = ArrowFileStore(tmp_path)
    store.open(a_manifest())
    store.extend(JOB, Segment(0, 12, 4))
    for start in (0, 4, 8):
        store.commit(JOB, a_record(start, start + 4))
    store.append(JOB, {"n": 1})
    store.close(JOB, {"state": "done"})
    return tmp_path / JOB


def record_file(home: Path, unit: Unit) -> Path:
    (found,) = home.glob(f"units/??/{unit.start}-{unit.stop}.arrow")
    return found


def shard_of(name: str) -> str:
    return f"{crc32(name.encode()) & 0xFF:02x}"


# --- the address ------------------------------------------------------------------------------------------------------


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_store("memory://"), MemoryStore)
    wanted = f"file://{tmp_path}/a b%20"
    for url in (wanted, "file://a b%20", "a b%20", f"{tmp_path}/a b%20", "FILE://a b%20"):
        assert open_store(url).url == wanted
    assert open_store(open_store("runs").url).url == f"file://{tmp_path}/runs"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://bucket", "unknown scheme s3://"),
        ("memory://x", "takes no path"),
        ("file://", "names no directory"),
        ("", "names no directory"),
    ],
)
def test_other_addresses_are_refused(url: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        open_store(url)
    assert "file://DIR" in str(caught.value)


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_record_is_named_and_can_be_computed_again(home: Path, keep: float) -> None:
    store, unit = ArrowFileStore(home.parent), Unit(4, 8)
    path = record_file(home, unit)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    reading = store.records(JOB, [Unit(0, 4), unit])
    assert same_record(next(reading), a_record(0, 4))
    with pytest.raises(CorruptRecord, match=rf"{path}.*xai-ray resume {JOB} --recompute"):
        next(reading)
    assert store.commit(JOB, a_record(4, 8)) is False, "only discard removes a record"
    store.discard(JOB, unit)
    assert store.commit(JOB, a_record(4, 8)) is True
    (found,) = store.records(JOB, [unit])
    assert same_record(found, a_record(4, 8))


def test_one_flipped_bit_in_the_values_is_found(home: Path) -> None:
    path = record_file(home, Unit(4, 8))
    data = bytearray(path.read_bytes())
    data[data.index(a_record(4, 8).values.tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptRecord, match="checksum"):
        list(ArrowFileStore(home.parent).records(JOB, [Unit(4, 8)]))


def test_a_record_under_the_name_of_another_is_found(home: Path) -> None:
    shutil.copy(record_file(home, Unit(0, 4)), record_file(home, Unit(4, 8)))
    with pytest.raises(CorruptRecord, match=r"it holds draws \[0, 4\)"):
        list(ArrowFileStore(home.parent).records(JOB, [Unit(4, 8)]))


@pytest.mark.parametrize("name", ["manifest.json", "segments/0000.json", "outcome.json"])
@pytest.mark.parametrize("damage", ["empty", "half", "flip", "format", "list"])
def test_damaged_json_is_named(home: Path, name: str, damage: str) -> None:
    path, store = home / name, ArrowFileStore(home.parent)
    whole = path.read_bytes()
    flipped = whole.replace(b'"start":0', b'"start":1').replace(b'"players"', b'"plavers"').replace(b"done", b"dome")
    later = json.dumps({**json.loads(whole), "format": 2}).encode()
    path.write_bytes(
        {"empty": b"", "half": whole[: len(whole) // 2], "flip": flipped, "format": later, "list": b"[]"}[damage]
    )
    reads: dict[str, Callable[[str], object]] = {
        "manifest.json": store.manifest,
        "segments/0000.json": store.segments,
        "outcome.json": store.outcome,
    }
    with pytest.raises(CorruptRecord, match=f"{path}.*remove that file"):
        reads[name](JOB)
    assert store.jobs() == [JOB]
    assert len(store.committed(JOB)) == 3


def test_a_removed_manifest_is_written_again_and_the_records_stay(home: Path) -> None:
    (home / "manifest.json").unlink()
    store = ArrowFileStore(home.parent)
    assert store.jobs() == []
    store.open(a_manifest())
    assert len(store.committed(JOB)) == 3


def test_a_missing_segment_is_found(home: Path) -> None:
    store = ArrowFileStore(home.parent)
    store.extend(JOB, Segment(12, 20, 4))
    (home / "segments/0000.json").unlink()
    with pytest.raises(CorruptRecord, match=r"0001\.json"):
        store.segments(JOB)


def test_a_renamed_job_is_found(home: Path) -> None:
    home.rename(home.parent / "dog-1")
    with pytest.raises(CorruptRecord, match=f"holds job '{JOB}'"):
        ArrowFileStore(home.parent).manifest("dog-1")


def test_a_torn_event_is_left_out_and_spoils_no_other(home: Path) -> None:
    store = ArrowFileStore(home.parent)
    with open(home / "events.jsonl", "ab") as file:
        file.write(b'{"n":')
    assert store.events(JOB) == [{"n": 1}]
    store.append(JOB, {"n": 2})
    assert store.events(JOB) == [{"n": 1}, {"n": 2}]


# --- foreign files ----------------------------------------------------------------------------------------------------


def test_a_directory_with_other_things_is_a_store_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "frontend").mkdir()
    (tmp_path / "frontend" / "manifest.json").write_text("{}")
    store = ArrowFileStore(tmp_path)
    assert store.jobs() == []
    store.open(a_manifest())
    assert store.jobs() == [JOB]
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "frontend", JOB}


def test_foreign_files_among_the_units_are_passed_over(home: Path) -> None:
    store = ArrowFileStore(home.parent)
    before = store.committed(JOB)
    ours = {name: shard_of(name) for name in ("00-4.arrow", "4-4.arrow", "8-4.arrow", "-4-8.arrow", "0-4.arrow.bak")}
    elsewhere = {"16-20.arrow": "00" if shard_of("16-20.arrow") != "00" else "01"}
    for name, shard in (ours | elsewhere).items():
        (home / "units" / shard).mkdir(exist_ok=True)
        (home / "units" / shard / name).write_bytes(b"")
    (home / "units" / "README").write_text("a file where shards are")
    assert store.committed(JOB) == before


def test_only_temporary_files_of_the_dead_are_removed(home: Path) -> None:
    old, young = home / "tmp" / "1-old", home / "tmp" / "1-young"
    for path in (old, young):
        path.write_bytes(b"half a rec")
    past = time.time() - STALE_SECONDS - 1
    os.utime(old, (past, past))
    ArrowFileStore(home.parent).open(a_manifest())
    assert (old.exists(), young.exists()) == (False, True)


def test_nothing_is_left_in_tmp(home: Path) -> None:
    ArrowFileStore(home.parent).commit(JOB, a_record(0, 4))
    assert list((home / "tmp").iterdir()) == []


# --- a file system that says no ---------------------------------------------------------------------------------------


def test_a_missing_directory(tmp_path: Path) -> None:
    store = ArrowFileStore(tmp_path / "none")
    for call in (store.jobs, lambda: store.manifest(JOB)):
        with pytest.raises(StoreError, match=f"{tmp_path}/none.*No such file.*--store"):
            call()
    assert not (tmp_path / "none").exists()


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = ArrowFileStore(tmp_path / "file")
    for call in (store.jobs, lambda: store.manifest(JOB), lambda: store.open(a_manifest())):
        with pytest.raises(StoreError, match=f"{tmp_path}/file.*name a directory"):
            call()


def _write_without_rights(store: ArrowFileStore, answers: "multiprocessing.Queue[str]") -> None:
    if os.getuid() == 0:  # nothing is read-only for root
        try:
            os.setuid(NOBODY)
        except OSError as error:
            return answers.put(f"still root: {error}")
    calls: list[Callable[[], object]] = [
        lambda: store.open(a_manifest()),
        lambda: store.open(a_manifest("new-1")),
        lambda: store.commit(JOB, a_record(4, 8)),
        lambda: store.extend(JOB, Segment(0, 4, 2)),
        lambda: store.append(JOB, {}),
        lambda: store.cancel(JOB, True),
        lambda: store.close(JOB, {}),
        lambda: store.discard(JOB, Unit(0, 4)),
    ]
    for call in calls:
        try:
            call()
            answers.put("written")
        except StoreError as error:
            answers.put(str(error))
    return answers.put("end")


def test_a_read_only_directory() -> None:
    root = Path(tempfile.mkdtemp())  # pytest's own directory is closed to other users
    try:
        store = ArrowFileStore(root)
        store.open(a_manifest())
        store.commit(JOB, a_record(0, 4))
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            folder.chmod(0o555)
        context = multiprocessing.get_context("spawn")
        answers = context.Queue()
        process = context.Process(target=_write_without_rights, args=(store, answers))
        process.start()
        said = [answers.get(timeout=60)]
        if said[0].startswith("still root"):
            pytest.skip(f"needs a user other than root; {said[0]}")
        said += iter(lambda: answers.get(timeout=60), "end")
        process.join()
        assert len(said) == 8
        assert all(f"{root}/" in words and "make it writable" in words for words in said), said
        assert store.committed(JOB) == {Unit(0, 4)}
    finally:
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        shutil.rmtree(root)


def _commit_with_small_files(store: ArrowFileStore, answers: "multiprocessing.Queue[str]") -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    for record in (a_record(4, 8), Record(Unit(8, 12), np.ones((4, 5_000)), {})):
        try:
            answers.put(f"put {store.commit(JOB, record)}")
        except StoreError as error:
            answers.put(str(error))
    try:
        store.append(JOB, {"fill": "x" * 30_000})
        answers.put("appended")
    except StoreError as error:
        answers.put(str(error))


def test_a_file_system_that_fills_up_in_the_middle_of_a_write(tmp_path: Path) -> None:
    store = ArrowFileStore(tmp_path)
    store.open(a_manifest())
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_commit_with_small_files, args=(store, answers))
    process.start()
    said = [answers.get(timeout=60) for _ in range(3)]
    process.join()
    assert said[0] == "put True"
    assert all("free some space" in words and str(tmp_path) in words for words in said[1:]), said
    assert store.committed(JOB) == {Unit(4, 8)}
    assert list((tmp_path / JOB / "tmp").iterdir()) == []
    assert store.events(JOB) == []
    store.append(JOB, {"n": 1})
    assert store.events(JOB) == [{"n": 1}]
    assert store.commit(JOB, Record(Unit(8, 12), np.ones((4, 5_000)), {}))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_failures_while_writing(home: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fails(handle: int, data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    store = ArrowFileStore(home.parent)
    # A really full or broken disk needs a mount; the system call that would report it is the same.
    monkeypatch.setattr(os, "write", fails)
    calls: list[Callable[[], object]] = [
        lambda: store.commit(JOB, a_record(12, 16)),
        lambda: store.extend(JOB, Segment(12, 16, 4)),
        lambda: store.append(JOB, {"n": 2}),
        lambda: store.close(JOB, {"state": "failed"}),
        lambda: store.open(Manifest("new-1", "d", {})),
    ]
    for call in calls:
        with pytest.raises(StoreError, match=rf"{home.parent}/.*{os.strerror(code)}; \w+"):
            call()
    monkeypatch.undo()
    assert list((home / "tmp").iterdir()) == []
    assert sorted(store.committed(JOB)) == [Unit(0, 4), Unit(4, 8), Unit(8, 12)]
    assert (store.segments(JOB), store.events(JOB)) == ([Segment(0, 12, 4)], [{"n": 1}])
    assert (store.outcome(JOB), store.jobs()) == ({"state": "done"}, [JOB])


def test_a_file_system_without_hard_links(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(source: str, target: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    # No such file system is at hand on a test machine (FAT, some shared folders of virtual machines).
    monkeypatch.setattr(os, "link", fails)
    with pytest.raises(StoreError, match=r"no hard links.*another"):
        ArrowFileStore(home.parent).commit(JOB, a_record(12, 16))
    assert list((home / "tmp").iterdir()) == []


def test_a_link_whose_answer_was_lost_counts_as_put(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def linked_but_says_otherwise(source: str, target: str) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    # What a network file system does when it repeats a request whose answer was lost.
    store = ArrowFileStore(home.parent)
    monkeypatch.setattr(os, "link", linked_but_says_otherwise)
    (home / "units" / shard_of("16-20.arrow")).mkdir(exist_ok=True)
    assert store.commit(JOB, a_record(16, 20)) is True


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 16) + 1, 200_000])
def test_files_of_any_size_are_read_whole(tmp_path: Path, size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    (tmp_path / "file").write_bytes(data)
    assert read_bytes(str(tmp_path / "file")) == data
    assert read_bytes(str(tmp_path / "none")) is None
