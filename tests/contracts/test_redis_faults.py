"""Servers and processes that die, answers that get lost, and two who do the same at once: nothing lost, nothing twice, the same bits."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions

from tests.redis_server import KINDS, running
from xai_ray.coalitions import Unit
from xai_ray.errors import StoreError
from xai_ray.stores import Segment, open_store
from xai_ray.stores import redis_scripts as scripts
from xai_ray.stores.redis_client import RedisClient
from xai_ray.stores.redis_folding import groups
from xai_ray.stores.redis_store import RedisStore
from xai_ray.testing.stores import JOB, a_manifest, a_record, same_record

pytestmark = pytest.mark.parametrize("kind", KINDS)


def opened(url: str, units: int) -> RedisStore:
    """A store with a job of so many units of one draw."""
    store = RedisStore(url)
    store.open(a_manifest())
    store.extend(JOB, Segment(0, units, 1))
    return store


def assert_whole(store: RedisStore, units: int, shift: float = 0.0) -> None:
    """Every unit is there once, alone or in a fold, with the bits that were committed; keys and counter say the same."""
    wanted = [Unit(start, start + 1) for start in range(units)]
    assert store.committed(JOB) == set(wanted)
    for unit, record in zip(wanted, store.records(JOB, wanted), strict=True):
        assert same_record(record, a_record(unit.start, unit.stop, shift=shift))


# --- the server dies --------------------------------------------------------------------------------------------------


def test_a_server_that_is_killed_and_restarted_ends_no_run(kind: str) -> None:
    """Three kills while two threads commit: they wait, go on, and every record is there once."""
    units, acknowledged = 900, list[int]()
    with running(kind) as server:
        store = opened(server.url, units)
        half = threading.Semaphore(0)

        def commit_all(starts: range) -> None:
            for start in starts:
                if store.commit(JOB, a_record(start, start + 1)):
                    acknowledged.append(start)
                half.release()

        threads = [threading.Thread(target=commit_all, args=(range(first, units, 2),)) for first in (0, 1)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            for _ in range(200):
                assert half.acquire(timeout=60)
            server.kill()
            server.start()
        for thread in threads:
            thread.join()
        assert sorted(acknowledged) == list(range(units))
        assert_whole(RedisStore(server.url), units)
        with server.admin() as client:
            assert client.hget(scripts.keys_of(JOB)[1], "units") == str(units).encode()


def test_a_server_that_never_comes_back_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_RAY_REDIS_PATIENCE", "1")
    with running(kind) as server:
        store = opened(server.url, 4)
        server.kill()
        with pytest.raises(StoreError, match=r"no answer within 1 s.*nothing that was committed is lost"):
            store.commit(JOB, a_record(0, 1))
        server.start()
        assert store.commit(JOB, a_record(0, 1))


# --- a process dies ---------------------------------------------------------------------------------------------------

COMMITTER = """
import sys
from xai_ray.stores import open_store
from xai_ray.testing.stores import JOB, a_record
store, start = open_store(sys.argv[1]), int(sys.argv[2])
while True:
    store.commit(JOB, a_record(start, start + 1))
    print(start, flush=True)
    start += 1
"""


def test_a_process_killed_before_it_acknowledged_is_repeated_to_the_same_bits(kind: str) -> None:
    with running(kind) as server:
        store, start, said = opened(server.url, 5000), 0, list[int]()
        for lines in (3, 300, 57):
            command = [sys.executable, "-c", COMMITTER, server.url, str(start)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for _ in range(lines):
                    said.append(int(process.stdout.readline()))
                process.kill()
                said += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
            there = {unit.start for unit in store.committed(JOB)}
            assert there >= set(said)
            assert there == set(range(len(there)))
            start = max(there)
            assert store.commit(JOB, a_record(start, start + 1, shift=1.0)) is False
        assert_whole(store, len(there))


def test_a_record_in_no_acknowledged_fold_is_folded_at_the_end(kind: str) -> None:
    """Whoever put the last unit of a group died before it could fold: the next close does."""
    with running(kind) as server, server.admin() as client:
        store = opened(server.url, 600)
        keys = dict(zip(scripts.KEYS, scripts.keys_of(JOB), strict=True))
        for start in range(600):
            store.commit(JOB, a_record(start, start + 1))
            client.hdel(keys["status"], "group:0:0", "group:0:1", "group:0:2")
        assert (client.hlen(keys["units"]), client.hlen(keys["folds"])) == (600, 0)
        store.close(JOB, {"state": "done"})
        assert (client.hlen(keys["units"]), client.hlen(keys["folds"])) == (0, 3)
        assert_whole(store, 600)


# --- an answer is lost ------------------------------------------------------------------------------------------------


class Forgetful(RedisClient):
    """Loses every answer once, after the server did what was asked."""

    def __init__(self, client: RedisClient) -> None:
        super().__init__(client.place)
        self.lost = 0

    def _connected(self) -> Any:
        client = super()._connected()
        return _LosesFirst(self, client)


class _LosesFirst:
    def __init__(self, owner: Forgetful, client: Any) -> None:
        self._owner, self._client = owner, client

    def evalsha(self, *arguments: Any) -> Any:
        answer = self._client.evalsha(*arguments)
        self._owner.lost += 1
        if self._owner.lost % 2:
            raise exceptions.ConnectionError("the answer got lost")
        return answer

    def eval(self, *arguments: Any) -> Any:
        return self._client.eval(*arguments)


def test_a_lost_answer_is_asked_for_again_and_changes_nothing(kind: str) -> None:
    with running(kind) as server:
        opened(server.url, 150)
        store = RedisStore(server.url)
        store._client = store._jobs.client = forgetful = Forgetful(store._client)
        assert [store.commit(JOB, a_record(start, start + 1)) for start in range(150)] == [True] * 150
        assert not any(store.commit(JOB, a_record(start, start + 1)) for start in range(0, 150, 37))
        for number in range(20):
            store.append(JOB, {"event": number})
        store.extend(JOB, Segment(150, 160, 1))
        store.discard(JOB, Unit(7, 8))
        assert store.commit(JOB, a_record(7, 8))
        assert forgetful.lost > 300
        other = RedisStore(server.url)
        assert [event["event"] for event in other.events(JOB)] == list(range(20))
        assert other.segments(JOB) == [Segment(0, 150, 1), Segment(150, 160, 1)]
        assert_whole(other, 150)


# --- two at once ------------------------------------------------------------------------------------------------------


def _commit_and_fold(url: str, who: int, gate: Barrier, answers: "multiprocessing.Queue[tuple]") -> None:
    store = RedisStore(url)
    gate.wait(60)
    put = []
    for start in range(800):
        put.append(store.commit(JOB, a_record(start, start + 1, shift=float(who))))
        if start % 100 == 50 * who:
            store.fold(JOB)
    answers.put((who, put))


def test_two_processes_that_commit_and_fold_the_same_units(kind: str) -> None:
    context = multiprocessing.get_context("spawn")
    gate, answers = context.Barrier(2), context.Queue()
    with running(kind) as server:
        store = opened(server.url, 800)
        workers = [
            context.Process(target=_commit_and_fold, args=(server.url, who, gate, answers), daemon=True)
            for who in (0, 1)
        ]
        for worker in workers:
            worker.start()
        said = dict(answers.get(timeout=120) for _ in workers)
        for worker in workers:
            worker.join()
        store.fold(JOB)
        assert [first != second for first, second in zip(said[0], said[1], strict=True)] == [True] * 800
        units = [Unit(start, start + 1) for start in range(800)]
        assert store.committed(JOB) == set(units)
        for unit, by_second, record in zip(units, said[1], store.records(JOB, units), strict=True):
            assert same_record(record, a_record(unit.start, unit.stop, shift=float(by_second)))
        with server.admin() as client:
            keys = dict(zip(scripts.KEYS, scripts.keys_of(JOB), strict=True))
            assert (client.hlen(keys["units"]), client.hlen(keys["folds"]), client.zcard(keys["index"])) == (0, 4, 4)


def test_readers_discards_and_folds_at_once(kind: str) -> None:
    """A reader sees every record whole, wherever it lies at the moment; no fold brings back what was discarded."""
    with running(kind) as server:
        store = opened(server.url, 256)
        units = [Unit(start, start + 1) for start in range(256)]
        for unit in units:
            store.commit(JOB, a_record(unit.start, unit.stop))
        (group,) = groups(store.segments(JOB))
        over = threading.Event()
        failures: list[BaseException] = []

        def fold() -> None:
            folding = RedisStore(server.url)
            while not over.is_set():
                try:
                    folding._records.fold(JOB, group)
                except BaseException as error:
                    failures.append(error)
                    return

        def read() -> None:
            reading = RedisStore(server.url)
            while not over.is_set():
                try:
                    for unit, record in zip(units[1:], reading.records(JOB, units[1:]), strict=True):
                        assert same_record(record, a_record(unit.start, unit.stop))
                except BaseException as error:
                    failures.append(error)
                    return

        threads = [threading.Thread(target=task) for task in (fold, read)]
        for thread in threads:
            thread.start()
        for turn in range(40):
            store.discard(JOB, units[0])
            with pytest.raises(StoreError, match=r"unit \[0, 1\).*no record"):
                next(store.records(JOB, [units[0]]))
            assert store.commit(JOB, a_record(0, 1, shift=float(turn)))
            (found,) = store.records(JOB, [units[0]])
            assert same_record(found, a_record(0, 1, shift=float(turn)))
        over.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert store.committed(JOB) == set(units)


def test_a_stopped_server_answers_when_it_goes_on(kind: str) -> None:
    with running(kind) as server:
        store = opened(server.url, 4)
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        later = threading.Timer(0.5, os.kill, (server.process.pid, signal.SIGCONT))
        later.start()
        assert store.commit(JOB, a_record(0, 1))
        later.join()
        assert open_store(server.url).committed(JOB) == {Unit(0, 1)}


def test_an_append_only_file_with_a_torn_end_loads(kind: str) -> None:
    """A machine without power leaves half a script's writes at the end of the file: the server drops them whole."""
    with running(kind) as server:
        store = opened(server.url, 300)
        for start in range(255):
            store.commit(JOB, a_record(start, start + 1))
        with server.admin() as client:
            client.config_set("appendfsync", "always")
            before = _append_only(server.folder).stat().st_size
            store.commit(JOB, a_record(255, 256))  # and folds
            after = _append_only(server.folder).stat().st_size
        server.kill()
        torn = before + (after - before) * 2 // 3
        os.truncate(_append_only(server.folder), torn)
        server.start()
        there = {unit.start for unit in store.committed(JOB)}
        assert there in (set(range(255)), set(range(256)))
        store.commit(JOB, a_record(255, 256))
        assert_whole(store, 256)


def _append_only(folder: Path) -> Path:
    (newest,) = (folder / "appendonlydir").glob("*.incr.aof")
    return newest
