"""What is refused, in words and with an exit code: addresses, tokens, stores, folders. No cluster is needed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import xai_ray as xr
from tests.cli.conftest import cli as cli
from tests.cli.runs import Cli, airport, glove, refused, written
from tests.cluster.running import free_ports, gated_folder
from xai_ray import wanted as w
from xai_ray.build import manifest_for, prepare
from xai_ray.code_folders import needs_folder
from xai_ray.errors import EngineError
from xai_ray.following import ended_as
from xai_ray.jobs_api import Cluster, RayJob
from xai_ray.remote_job import Heedful
from xai_ray.remote_job import main as driver
from xai_ray.spec import parse
from xai_ray.standing import job_status, on_cluster
from xai_ray.stores import Store, open_store

SECRET = "s3cret-of-the-cluster"


@pytest.fixture(autouse=True)
def without_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS", "XAI_RAY_DASHBOARD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


Serve = Callable[[int, bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(status, body)`: a server on loopback that answers everything so; its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, body: bytes) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_submit_needs_an_address_of_a_dashboard(cli: Cli, tmp_path: Path) -> None:
    spec = written(tmp_path, glove())
    refused(cli, 2, ["--address http://HEAD:8265", "XAI_RAY_DASHBOARD"], "submit", spec)
    refused(cli, 2, ["--address 10.0.0.1:6379", "joins a cluster"], "submit", spec, "--address", "10.0.0.1:6379")
    refused(cli, 2, ["no user, password"], "submit", spec, "--address", "http://me:pw@127.0.0.1:8265")
    refused(cli, 2, ["is a dashboard", "xai-ray submit"], "run", spec, "--address", "http://127.0.0.1:8265")
    refused(cli, 2, ["need --address http"], "resume", "glove-5817168b61", "--working-dir", tmp_path)


def test_a_warm_pool_needs_a_cluster(cli: Cli, tmp_path: Path) -> None:
    spec = written(tmp_path, glove())
    refused(cli, 3, ["lives on a running cluster", "--address HOST:6379"], "serve", "start", "--game", spec)
    refused(cli, 3, ["lives on a running cluster"], "run", spec, "--warm")
    refused(cli, 2, ["HOST:6379"], "serve", "status", "--address", "http://127.0.0.1:8265")


def test_nobody_at_the_address(cli: Cli, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_ports(1)[0]}"
    words = [f"no cluster at {address}", "ray status"]
    refused(cli, 3, words, "submit", written(tmp_path, glove()), "--address", address)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>hello</html>", ["is not the dashboard", "not JSON"]),
        (404, b"{}", ["is not the dashboard", "404"]),
        (200, b'{"version": 3}', ["is not the dashboard", "no Ray version"]),
        (200, b'{"ray_version": "2.9.3"}', ["runs Ray 2.9.3", "older than 2.50"]),
        (401, b"", ["asks for a token and none was found", "RAY_AUTH_TOKEN_PATH"]),
    ],
)
def test_something_else_answers(
    cli: Cli, tmp_path: Path, serve: Serve, status: int, body: bytes, words: list[str]
) -> None:
    refused(cli, 3, words, "submit", written(tmp_path, glove()), "--address", serve(status, body))


def test_a_wrong_token_is_told_and_never_shown(
    cli: Cli, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    ended = cli("list", "--store", tmp_path, "--address", serve(403, b"Forbidden"))
    assert ended.code == 3
    assert "refused the token that was sent" in ended.err
    assert SECRET not in ended.err


def test_beyond_loopback_a_token_is_needed(cli: Cli, tmp_path: Path) -> None:
    words = ["is not on this machine", "ray get-auth-token --generate", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE=token"]
    spec = written(tmp_path, glove())
    refused(cli, 3, words, "submit", spec, "--address", "http://192.0.2.1:8265")
    refused(cli, 3, words, "run", spec, "--address", "192.0.2.1:6379")
    refused(cli, 3, words, "serve", "status", "--address", "ray://192.0.2.1:10001")


def test_an_address_in_the_environment_needs_a_token_too(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    refused(cli, 3, ["192.0.2.1:6379 is not on this machine"], "run", written(tmp_path, glove()), "--engine", "ray")


@pytest.mark.parametrize("engine", ["ray", "warm"])
def test_python_does_not_join_without_a_token_either(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    with pytest.raises(EngineError, match=r"192\.0\.2\.1:6379 is not on this machine.*get-auth-token"):
        xr.explain(xr.GloveGame(left=2, right=2), "SV", budget="exact", engine=engine)


@pytest.mark.parametrize("secret", ["two\nlines", "with space", "gr\u00fc\u00df", "\u20ac"])
def test_what_can_be_no_token_is_refused_and_not_shown(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    (tmp_path / "token").write_text(secret, encoding="utf-8")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    ended = cli("submit", written(tmp_path, glove()), "--address", "http://127.0.0.1:1")
    assert (ended.code, "is no token" in ended.err, secret in ended.err) == (3, True, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "{spec}", "--address", "http://[::1"),
        ("submit", "{spec}", "--address", "http://127.0.0.1:port"),
        ("submit", "{spec}", "--address", "http://127.0.0.1:1", "--store", "redis://[::1"),
        ("submit", "{spec}", "--address", "https://:s3cret@", "--store", "s"),
        ("submit", "{spec}", "--address", "http://127.0.0.1:1", "--store", "redis://:ab/s3cret@host"),
        ("submit", "{spec}", "--store", "redis://:s3cret@host", "--store-only"),
        ("submit", "nowhere.toml", "--address", "http://127.0.0.1:1"),
        ("submit", "{spec}", "--priority", "0", "--store", "s", "--store-only"),
        ("run", "{spec}", "--address", "http://me:s3cret@127.0.0.1:8265"),
        ("run", "{spec}", "--engine", "ray", "--address", "[::1"),
        ("run", "{spec}", "--engine", "ray", "--address", "127.0.0.1:port"),
        ("serve", "start", "--game", "nowhere.toml", "--address", "127.0.0.1:1"),
        ("serve", "start", "--game", "{spec}", "--address", "127.0.0.1:1", "--idle", "nan"),
        ("watch", "glove-0123456789", "--every", "nan"),
        ("watch", "glove-0123456789", "--every", "inf"),
        ("cancel", "glove-0123456789", "--store", "empty"),
        ("extend", "glove-0123456789", "--evaluations", "9", "--store", "empty", "--address", "http://127.0.0.1:1"),
    ],
)
def test_a_mistake_is_a_line_and_no_traceback(cli: Cli, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "empty").mkdir()
    spec = written(tmp_path, glove())
    ended = cli(*(a.format(spec=spec) for a in arguments))
    assert ended.code in (2, 3), ended.err
    assert ended.out == b""
    assert "Traceback" not in ended.err
    assert "s3cret" not in ended.err
    assert len(ended.err.strip()) > 20


def test_beyond_loopback_an_open_cluster_is_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    address = serve(200, b'{"ray_version": "2.60.0"}').replace("127.0.0.1", "0.0.0.0")
    with pytest.raises(EngineError, match="answers without a token"):
        Cluster(address)


def test_a_token_file_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(EngineError, match=r"RAY_AUTH_TOKEN_PATH names .*nowhere"):
        Cluster("http://192.0.2.1:8265")


def test_stores_that_a_cluster_cannot_reach(cli: Cli, tmp_path: Path, serve: Serve) -> None:
    spec, address = written(tmp_path, glove()), serve(200, b'{"ray_version": "2.60.0"}')
    where = ("--address", address)
    refused(cli, 2, ["memory://", "redis://HOST", "file://"], "submit", spec, *where, "--store", "memory://")
    url = f"redis://me:{SECRET}@127.0.0.1:6379/0"
    ended = cli("submit", spec, *where, "--store", url)
    assert ended.code == 2
    assert "XAI_RAY_REDIS_PASSWORD" in ended.err
    assert SECRET not in ended.err


def test_folders_that_are_not_there(cli: Cli, tmp_path: Path, serve: Serve) -> None:
    spec, where = written(tmp_path, glove()), ("--address", serve(200, b'{"ray_version": "2.60.0"}'))
    refused(cli, 2, ["nowhere", "there is no such folder"], "submit", spec, *where, "--py-module", tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    words = ["is not within --working-dir", "holds the spec"]
    refused(cli, 2, words, "submit", spec, *where, "--working-dir", tmp_path / "other")


def test_files_beside_a_spec_ask_for_its_folder(tmp_path: Path) -> None:
    folder = gated_folder(tmp_path / "code").parent
    model = {"kind": "model", "model": {"factory": "gated_model:make"}, "input": "skimage:chelsea"}
    assert needs_folder(model, folder)
    assert needs_folder({"kind": "model", "input": {"table": "rows.csv", "row": 0}}, folder)
    assert not needs_folder({"kind": "model", "model": {"factory": "xai_ray.zoo:tumour_mlp"}}, folder)
    assert not needs_folder({"kind": "known", "name": "glove", "arguments": {"left": 2}}, folder)


def test_a_job_for_a_driver_that_others_start(cli: Cli, tmp_path: Path) -> None:
    spec, where = written(tmp_path, airport(6, 64)), ("--store", f"file://{tmp_path}/shared")
    ended = cli("submit", spec, *where, "--store-only", "--actors", 3)
    assert ended.code == 0, ended.err
    job = ended.text.strip()
    assert cli("status", job, *where, "--json").json["state"] == "submitted"
    (made,) = w.submissions(open_store(where[1]), job)
    assert (made.attempt, made.wanted.actors, made.wanted.budget) == (1, 3, {"evaluations": 64})
    assert cli("resume", job, *where).code == 0
    again = cli("submit", spec, *where, "--store-only")
    assert "finished already" in again.err
    refused(cli, 2, ["sends nothing"], "submit", spec, *where, "--store-only", "--address", "http://127.0.0.1:1")


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Store, str]:
    """A job that was submitted and has not begun."""
    store = open_store(f"file://{tmp_path}/shared")
    spec = parse(airport(6, 64))
    manifest = store.open(manifest_for(prepare(spec, tmp_path)))
    w.put(store, manifest.job, 1, w.Wanted({"evaluations": 64}, actors=1))
    return store, manifest.job


def test_a_job_cancelled_before_it_began_never_begins(stored: tuple[Store, str]) -> None:
    store, job = stored
    assert job_status(store, job)["state"] == "submitted"
    w.put_cancel(store, job)
    assert driver(["--job", job, "--store", store.url, "--attempt", "1"]) == 0
    assert job_status(store, job)["state"] == "cancelled"
    assert not store.committed(job)
    assert str(ended_as(store, job, job_status(store, job))).startswith(f"job {job} was cancelled before it began")


def test_a_cancel_that_comes_while_the_driver_loads_is_heeded(stored: tuple[Store, str]) -> None:
    store, job = stored
    heedful = Heedful(store, job)
    store.cancel(job, False)
    heedful.started(job, 64, 0)
    assert not store.cancelled(job)
    w.put_cancel(store, job)
    store.cancel(job, False)
    heedful.started(job, 64, 0)
    assert store.cancelled(job)


def test_a_driver_that_cannot_begin_says_so_in_the_store(stored: tuple[Store, str]) -> None:
    store, job = stored
    w.put(store, job, 2, w.Wanted({"evaluations": 64}, pickle="0" * 64))
    assert driver(["--job", job, "--store", store.url]) == 2
    facts = job_status(store, job)
    assert facts["state"] == "failed"
    assert "submit it again" in facts["reason"]
    error = ended_as(store, job, facts)
    assert type(error).__name__ == "InputError"


def test_a_driver_without_its_store_says_who_must_reach_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert driver(["--job", "glove-5817168b61", "--store", f"file://{tmp_path}/elsewhere"]) == 3
    assert "the nodes of the cluster must reach file://" in capsys.readouterr().err


def test_a_driver_outside_a_cluster_is_refused(stored: tuple[Store, str]) -> None:
    store, job = stored
    assert driver(["--job", job, "--store", store.url]) == 3
    assert "started by a cluster" in job_status(store, job)["reason"]


@pytest.mark.parametrize(
    ("ray", "submitted", "state"),
    [
        (None, False, "running"),
        (None, True, "lost"),
        (RayJob("job-1", 1, "RUNNING"), True, "running"),
        (RayJob("job-1", 1, "FAILED", "Unexpected error: the head died"), True, "lost"),
        (RayJob("job-1", 1, "STOPPED"), True, "lost"),
    ],
)
def test_a_running_job_is_what_ray_says(ray: RayJob | None, submitted: bool, state: str) -> None:
    found = on_cluster({"job": "job-1", "state": "running"}, ray, submitted)
    assert found["state"] == state
    assert ("xai-ray resume job-1" in found.get("reason", "")) == (state == "lost")
    ended = on_cluster({"job": "job-1", "state": "done"}, ray, submitted)
    assert ended["state"] == "done"


def test_a_submission_is_json_and_comes_back(stored: tuple[Store, str]) -> None:
    store, job = stored
    wish = w.Wanted(
        {"evaluations": 99, "top": 2}, "jobs", 3, 2.5, True, True, True, working_dir="/code", py_modules=("/a", "/b")
    )
    w.put(store, job, 2, wish)
    json.dumps(wish.document(), allow_nan=False)
    first, second = w.submissions(store, job)
    assert (first.attempt, second.attempt, second.wanted) == (1, 2, wish)
    assert not second.cancelled
