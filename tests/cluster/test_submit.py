"""Jobs on a real cluster: the same bits as at home, once however often submitted, and resumed after their driver was killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests

import xai_ray as xr
from tests.cli.conftest import cli as cli
from tests.cli.runs import Cli, airport, glove, written
from tests.cluster.running import GATED, REDIS_PASSWORD, Head, free_ports, gated_folder
from tests.redis_server import KINDS, running
from tests.waiting import until
from xai_ray.errors import Cancelled, EngineError, InputError, SpecError
from xai_ray.games import GloveGame
from xai_ray.jobs_api import AttemptExists, submission_id

pytestmark = pytest.mark.ray


@pytest.fixture
def client(door: Head, tmp_path: Path) -> xr.Client:
    return xr.Client(door.address, f"file://{tmp_path}/shared")


def at_home(cli: Cli, spec: Path, *options: object) -> bytes:
    """`result.json` of the same spec, run here."""
    assert cli("run", spec, "--store", "home", "--out", "home-out", "--quiet", *options).code == 0
    return Path("home-out/result.json").read_bytes()


def started(client: xr.Client, job: str) -> list[dict]:
    return [e for e in client.store.events(job) if e["event"] == "started"]


def test_submit_watch_and_submit_again(cli: Cli, door: Head, client: xr.Client, tmp_path: Path) -> None:
    spec, where = written(tmp_path, glove()), ("--address", door.address, "--store", client.store.url)
    ended = cli("submit", spec, *where, "--actors", 1)
    assert ended.code == 0, ended.err
    job = ended.text.strip()
    assert job.startswith("glove-")
    ended = cli("watch", job, *where, "--every", 0.3, "--out", "out")
    assert ended.code == 0, ended.err
    assert ended.text.splitlines()[-1].endswith("done")
    assert Path("out/result.json").read_bytes() == at_home(cli, spec)
    told = cli("result", job, *where, "--format", "json")
    assert (told.code, told.json["estimates"]) == (0, json.loads(Path("out/result.json").read_bytes())["estimates"])
    assert cli("report", job, *where).code == 0
    assert job in Path("report.html").read_text(encoding="utf-8")
    again = cli("submit", spec, *where)
    assert (again.code, again.text.strip()) == (0, job)
    assert "finished already" in again.err
    assert len(started(client, job)) == 1
    (row,) = cli("list", *where, "--json").json
    assert (row["job"], row["state"], row["submission"]) == (job, "done", f"xr-{job}-a1")
    facts = cli("status", job, *where, "--json").json
    assert [e["event"] for e in facts["events"]] == ["submitted", "started", "done", "driver ended"]
    until(lambda: client.job(job).status()["cluster"] == "succeeded", "Ray to see the driver's end")
    nothing_secret(door, client, job)


def nothing_secret(door: Head, client: xr.Client, job: str) -> None:
    """Neither what Ray shows of the job nor what it logged nor the store holds the token."""
    headers = {"Authorization": f"Bearer {door.token}"}
    shown = requests.get(f"{door.address}/api/jobs/xr-{job}-a1", headers=headers, timeout=30).json()
    assert shown["entrypoint"].startswith("python -m xai_ray.remote_job --job ")
    assert set(shown["metadata"]) == {"xai_ray_job", "digest", "attempt", "store"}
    logs = client.job(job).logs()
    assert "evaluations" in logs
    said = json.dumps([shown, client.store.manifest(job).document, client.store.events(job)]) + logs
    assert door.token not in said
    assert str(door.token_path) not in said


def test_a_killed_driver_is_resumed_to_the_same_bits(cli: Cli, client: xr.Client, tmp_path: Path) -> None:
    spec = gated_folder(tmp_path / "code")
    handle = client.submit(spec, actors=1)
    job = handle.job
    until(lambda: handle.status()["units"] >= 1, "a first unit", seen=client.job(job).logs)
    assert handle.status()["state"] == "running"
    joined = client.submit(spec).submitted
    assert joined is not None
    assert (joined.how, joined.attempt) == ("joined", 1)
    with pytest.raises(SpecError, match="running with another budget"):
        handle.extend(800)
    os.kill(started(client, job)[0]["pid"], signal.SIGKILL)
    until(lambda: handle.status()["state"] == "lost", "the loss to be seen")
    assert "xai-ray resume" in handle.status()["reason"]
    had = handle.status()["evaluations"]
    assert 0 < had < 400
    (tmp_path / "code" / "gate").touch()
    again = handle.resume()
    assert again.submitted is not None
    assert again.submitted.attempt == 2
    running = list(again.follow(every=0.1))
    assert running[-1].evaluations == 400
    assert [r.evaluations for r in running] == sorted({r.evaluations for r in running})
    assert np.isfinite(running[-1].std_errors).all()
    again.result().save(tmp_path / "out")
    assert (tmp_path / "out" / "result.json").read_bytes() == at_home(cli, spec)
    assert started(client, job)[-1]["pending"] < started(client, job)[0]["pending"]
    replayed = cli("replay", job, "--log", "--store", client.store.url)
    assert replayed.code == 0, replayed.err
    assert [run["ended"] for run in replayed.json][-1] == "finished"
    assert sum(run["actions"].get("Commit", 0) for run in replayed.json) >= started(client, job)[-1]["pending"]


def test_a_job_under_way_for_another_store_is_not_joined(door: Head, client: xr.Client, tmp_path: Path) -> None:
    spec = gated_folder(tmp_path / "code")
    first = client.submit(spec, actors=1)
    until(lambda: first.status()["units"] >= 1, "a first unit", seen=first.logs)
    second = xr.Client(door.address, f"file://{tmp_path / 'other'}").submit(spec, actors=1)
    assert first.submitted is not None
    assert second.submitted is not None
    assert second.job == first.job
    assert (second.submitted.how, second.submitted.attempt) == ("submitted", first.submitted.attempt + 1)
    (tmp_path / "code" / "gate").touch()
    np.testing.assert_array_equal(second.result().values, first.result().values)


def test_cancel_resume_extend_from_the_command_line(cli: Cli, door: Head, client: xr.Client, tmp_path: Path) -> None:
    spec = gated_folder(tmp_path / "code")
    where = ("--address", door.address, "--store", client.store.url)
    job = cli("submit", spec, *where, "--actors", 1).text.strip()
    until(lambda: client.job(job).status()["units"] >= 1, "a first unit", seen=client.job(job).logs)
    early = cli("result", job, *where)
    assert early.code != 0
    assert f"job {job} is running (" in early.err
    assert "--partial" in early.err
    ended = cli("cancel", job, *where, "--grace", 3)
    assert ended.code == 0, ended.err
    until(lambda: client.job(job).status()["state"] in ("cancelled", "interrupted", "lost"), "the end of the run")
    with pytest.raises((Cancelled, EngineError)):
        client.job(job).result()
    (tmp_path / "code" / "gate").touch()
    assert cli("resume", job, *where).code == 0
    assert cli("watch", job, *where, "--every", 0.3).code == 0
    assert cli("extend", job, "--evaluations", 480, *where).code == 0
    assert cli("watch", job, *where, "--every", 0.3, "--out", "out").code == 0
    spec.write_text(spec.read_text().replace("400", "480"))
    assert Path("out/result.json").read_bytes() == at_home(cli, spec)
    refused = cli("extend", job, "--evaluations", 100, *where)
    assert refused.code == 2
    assert "must be larger" in refused.err


def test_a_job_out_of_budget_ends_with_4_and_an_answer(cli: Cli, door: Head, client: xr.Client, tmp_path: Path) -> None:
    spec = written(tmp_path, airport(8, 60, {"index": "SV", "estimator": "leverage"}, std_error=1e-9))
    where = ("--address", door.address, "--store", client.store.url)
    job = cli("submit", spec, *where).text.strip()
    ended = cli("watch", job, *where, "--every", 0.3, "--out", "out")
    assert ended.code == 4
    assert "extend" in ended.err
    assert json.loads(Path("out/result.json").read_text())["evaluations"] == 60


def test_a_store_on_redis_with_a_password(
    cli: Cli, door: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = written(tmp_path, airport(9, 120, {"index": "SV", "estimator": "leverage"}))
    monkeypatch.setenv("XAI_RAY_REDIS_PASSWORD", REDIS_PASSWORD)
    port = free_ports(1)[0]
    with running(KINDS[0], port, requirepass=REDIS_PASSWORD, maxmemory_policy="noeviction"):
        url = f"redis://127.0.0.1:{port}/0"
        client = xr.Client(door.address, url)
        handle = client.submit(spec, actors=2, priority=2.0)
        handle.result(timeout=200).save("out")
        assert Path("out/result.json").read_bytes() == at_home(cli, spec)
        headers = {"Authorization": f"Bearer {door.token}"}
        shown = requests.get(f"{door.address}/api/jobs/xr-{handle.job}-a1", headers=headers, timeout=30).text
        assert url.removesuffix("/0") in shown
        said = shown + handle.logs() + json.dumps([client.store.events(handle.job), repr(handle)])
        assert REDIS_PASSWORD not in said


def test_a_module_that_stays_behind_is_named(client: xr.Client, tmp_path: Path) -> None:
    spec = gated_folder(tmp_path / "code")
    (tmp_path / "code" / ".rayignore").write_text("gated_model.py\n")
    handle = client.submit(spec)
    with pytest.raises(InputError, match="cannot import 'gated_model'"):
        handle.result(timeout=120)
    assert handle.status()["state"] == "failed"


def test_a_folder_too_large_to_be_sent_is_refused(cli: Cli, door: Head, client: xr.Client, tmp_path: Path) -> None:
    """Ray's dashboard takes 100 MiB; random bytes do not shrink in a zip."""
    spec = gated_folder(tmp_path / "code")
    (tmp_path / "code" / "weights.bin").write_bytes(os.urandom(101 << 20))
    ended = cli("submit", spec, "--address", door.address, "--store", client.store.url)
    assert (ended.code, ended.out) == (2, b""), ended.err
    assert "too large to be sent" in ended.err
    assert "--working-dir" in ended.err
    (job,) = client.store.jobs()
    assert client.job(job).status()["reason"].startswith("not started: the code folder is too large")
    assert "Traceback" not in ended.err


def test_two_submitters_at_once_and_a_package_of_the_user(
    client: xr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model lies in a package that only `py_modules` brings to the cluster; two threads submit it, one driver works."""
    package = tmp_path / "lib" / "gatedlib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(GATED)
    monkeypatch.syspath_prepend(package.parent)
    spec = tomllib.loads(gated_folder(tmp_path / "code").read_text())
    spec["game"]["model"]["factory"] = "gatedlib:make"
    spec["game"]["input"] = {"sklearn": "iris", "row": 0}
    spec["budget"] = {"evaluations": 16}

    def submit() -> xr.JobHandle:
        return client.submit(spec, base=tmp_path, py_modules=[package], actors=1)

    with ThreadPoolExecutor(2) as pool:
        first, second = (future.result() for future in [pool.submit(submit), pool.submit(submit)])
    assert first.job == second.job
    assert {handle.submitted.attempt for handle in (first, second) if handle.submitted} == {1}
    assert sorted(handle.submitted.how for handle in (first, second) if handle.submitted) == ["joined", "submitted"]
    with pytest.raises(AttemptExists):
        client.cluster.submit(submission_id(first.job, 1), "true", {}, None, ())
    (tmp_path / "code" / "gate").touch()
    assert first.result(timeout=150).evaluations == 16
    assert [attempt.attempt for attempt in client.cluster.jobs(first.job)] == [1]
    assert len(started(client, first.job)) == 1


def test_python_objects_travel_only_on_trust(client: xr.Client, tmp_path: Path) -> None:
    game, asks = GloveGame(2, 3), [xr.Ask(xr.Question("SV")), xr.Ask(xr.Question("SII"))]
    with pytest.raises(SpecError, match="trust=True"):
        client.submit_game(game, asks, budget="exact")
    assert not (tmp_path / "shared").exists()
    handle = client.submit_game(game, asks, budget="exact", trust=True)

    async def wait() -> xr.Result:
        """In a running loop, as in a notebook."""
        return handle.result(timeout=120)

    found = asyncio.run(wait())
    assert found.to_document() == xr.explain(game, asks=asks, budget="exact").to_document()
    again = client.submit_game(game, asks, budget="exact", trust=True).submitted
    assert again is not None
    assert again.how == "finished"
    with pytest.raises(SpecError, match="submit_game"):
        handle.resume()
    held = [path for path in (tmp_path / "shared").rglob("*") if path.suffix in (".pickle", ".pkl")]
    assert not held
