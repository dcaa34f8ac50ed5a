"""Kill anything: what was acknowledged is there, what is listed is whole, and nothing is put twice."""

import multiprocessing
import random
import subprocess
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from xai_ray.coalitions import Unit
from xai_ray.stores import ArrowFileStore, Record, Segment, open_store
from xai_ray.testing.stores import JOB, a_manifest, a_record, same_record

KILLS = 10

COMMITTER = """
import sys
from test_store_kills import a_large_record
from xai_ray.stores import open_store
from xai_ray.testing.stores import JOB, a_manifest
store, start = open_store(sys.argv[1]), int(sys.argv[2])
store.open(a_manifest())
print("ready", flush=True)
while True:
    put = store.commit(JOB, a_large_record(start))
    store.append(JOB, {"start": start, "put": put, "fill": "x" * 5000})
    print(start, flush=True)
    start += 1
"""


def a_large_record(start: int) -> Record:
    """Of 4 KB to 2 MB, so that kills fall into writes as well as between them."""
    rows = 1 << (9 + start % 10)
    return Record(Unit(start, start + 1), np.sqrt(np.arange(rows, dtype=np.float64) + start)[:, None], {"start": start})


def committed_until_killed(url: str, start: int, after: float) -> list[int]:
    """What a process acknowledged that commits from unit `start` on and is killed `after` seconds."""
    command = [sys.executable, "-c", COMMITTER, url, str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after)
        process.kill()
        lines = process.stdout.read().splitlines(keepends=True)
    return [int(line) for line in lines if line.endswith("\n")]


def test_sigkill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    chance = random.Random(0)
    acknowledged: list[int] = []
    start, units = 0, list[Unit]()
    for _ in range(KILLS):
        acknowledged += committed_until_killed(url, start, chance.uniform(0.001, 0.15))
        store = open_store(url)
        units = sorted(store.committed(JOB))
        assert {unit.start for unit in units} >= set(acknowledged)
        start = units[-1].start if units else 0  # the last one again: it may lack its acknowledgement
    assert len(set(acknowledged)) > KILLS
    assert store.manifest(JOB) == a_manifest()
    for record in store.records(JOB, units):
        assert same_record(record, a_large_record(record.unit.start))
    assert [unit.start for unit in units] == list(range(len(units)))
    events = store.events(JOB)
    assert {event["start"] for event in events} >= set(acknowledged)
    assert sum(event["put"] for event in events) <= len(units)


def _commit_all(url: str, job: str, who: int, gate: Barrier, answers: "multiprocessing.Queue[tuple]") -> None:
    store = open_store(url)
    gate.wait(60)
    store.open(a_manifest(job))
    segments = store.extend(job, Segment(0, 400, 2 + who))
    put = [store.commit(job, a_record(start, start + 4, shift=float(who))) for start in range(0, 800, 4)]
    answers.put((who, put, segments))


def test_two_processes_with_one_job_put_each_unit_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate, answers = context.Barrier(2), context.Queue()
    workers = [
        context.Process(target=_commit_all, args=(f"file://{tmp_path}", JOB, who, gate, answers)) for who in (0, 1)
    ]
    for worker in workers:
        worker.start()
    said = sorted(answers.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    store = ArrowFileStore(tmp_path)
    winners = [first for first, second in zip(said[1][1], said[0][1], strict=True) if first != second]
    assert len(winners) == 200
    assert said[0][2] == said[1][2] == store.segments(JOB)
    assert len(store.segments(JOB)) == 1
    units = sorted(store.committed(JOB))
    for unit, won_by_second, record in zip(units, said[1][1], store.records(JOB, units), strict=True):
        assert same_record(record, a_record(unit.start, unit.stop, shift=float(won_by_second)))
