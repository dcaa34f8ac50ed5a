"""The settings and users of the deployment's Redis servers, on a real server: what each user may do, and that it is enough."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from cluster import local_parts as parts
from tests.cluster.deploy_files import ROOT, Deployment
from xai_ray.errors import EngineError

STORE = ROOT / "xai_ray" / "stores" / "redis_store.py"
needs_store = pytest.mark.skipif(not STORE.exists(), reason="this version has no Redis store")


class Server:
    """A server with the settings of `cluster`, and clients of it by user."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, parts.free_port(set())
        try:
            command = parts.redis_files(folder, self.port)
        except EngineError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        eventually(lambda: parts.redis_answers(self.port, folder / "password"))

    def client(self, user: str | None, password: str | None = None) -> redis.Redis:
        if user in ("xai_ray", "operator") and password is None:
            password = (self.folder / ("password" if user == "xai_ray" else "operator_password")).read_text()
        once = Retry(NoBackoff(), 0)
        return redis.Redis(parts.HOST, self.port, username=user, password=password, decode_responses=True, retry=once)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.log.close()


def eventually(holds: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "redis")
    yield server
    server.close()


def test_nobody_comes_in_without_a_name(server: Server) -> None:
    with pytest.raises(exceptions.AuthenticationError):
        server.client(None).ping()
    with pytest.raises(exceptions.AuthenticationError):
        server.client("xai_ray", "guess").ping()


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "other:key"),
        ("SET", "other:key", "1"),
        ("EVAL", "return redis.call('GET', 'other:key')", "0"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        *(("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), ("ACL", "LIST")),
        *(("SHUTDOWN",), ("DEBUG", "SLEEP", "0"), ("REPLICAOF", "10.0.0.1", "6379"), ("CLIENT", "KILL", "ID", "1")),
        *(("SUBSCRIBE", "x"), ("MODULE", "LIST"), ("SAVE",)),
    ],
)
def test_the_user_of_the_store_reaches_its_own_keys_alone(server: Server, command: tuple[str, ...]) -> None:
    client = server.client("xai_ray")
    assert client.set("xr:mine", "1")
    with pytest.raises(
        (exceptions.NoPermissionError, exceptions.ResponseError), match=r"(?i)permission|can't|not allowed"
    ):
        client.execute_command(*command)
    assert client.get("xr:mine") == "1"


def test_the_user_of_the_probes_can_ping_and_nothing_else(server: Server) -> None:
    client = server.client("probe", "probe")
    assert client.ping()
    for command in (("GET", "xr:mine"), ("INFO",), ("CONFIG", "GET", "*")):
        with pytest.raises(exceptions.NoPermissionError):
            client.execute_command(*command)


def test_the_server_keeps_what_it_acknowledged_and_evicts_nothing(server: Server) -> None:
    client = server.client("operator")
    for key, value in (("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction")):
        assert client.config_get(key) == {key: value}
    with pytest.raises(exceptions.NoPermissionError):
        client.get("xr:mine")


def test_no_file_of_the_server_holds_a_password_in_the_clear(server: Server) -> None:
    password = (server.folder / "password").read_text()
    assert (server.folder / "password").stat().st_mode & 0o077 == 0
    for name in ("redis.conf", "users.acl"):
        assert password not in (server.folder / name).read_text()
    assert re.findall(r"@[A-Z0-9_]+@", (server.folder / "users.acl").read_text()) == []


def test_a_placeholder_left_in_the_users_keeps_the_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text((ROOT / "cluster" / "users.acl").read_text())
    (tmp_path / "redis.conf").write_text(f"port {parts.free_port(set())}\naclfile {tmp_path / 'users.acl'}\n")
    done = subprocess.run(
        [parts.redis_program(), str(tmp_path / "redis.conf")], capture_output=True, timeout=30, check=False
    )
    assert done.returncode != 0


@needs_store
def test_the_user_may_do_what_the_store_does_and_no_more() -> None:
    from xai_ray.stores.redis_scripts import COMMANDS  # pyright: ignore[reportMissingImports]

    line = next(
        line for line in (ROOT / "cluster" / "users.acl").read_text().splitlines() if line.startswith("user xai_ray")
    )
    allowed = {word[1:] for word in line.split() if word.startswith("+")}
    connection = {"auth", "hello", "ping", "select", "quit", "reset", "client|setname", "client|id", "client|getname"}
    assert allowed - connection == set(COMMANDS.split())


@needs_store
def test_a_job_runs_as_that_user(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.games import smooth_table
    from xai_ray.api import explain, open_result
    from xai_ray.games import TableGame
    from xai_ray.stores import open_store

    monkeypatch.setenv("XAI_RAY_REDIS_USERNAME", "xai_ray")
    monkeypatch.setenv("XAI_RAY_REDIS_PASSWORD_FILE", str(server.folder / "password"))
    store = open_store(f"redis://{parts.HOST}:{server.port}/0")
    assert store.warnings() == []
    game = TableGame(smooth_table(8, 1, 0))
    found = explain(game, "SV", budget="exact", store=store)
    again = open_result(found.job, store)
    assert again.values.tobytes() == found.values.tobytes()
    assert again.evaluations == 1 << 8


def wanted_paths() -> set[tuple[int, str]]:
    """Port and path of every probe of a head."""
    head = Deployment(ROOT).cluster["headGroupSpec"]["template"]["spec"]["containers"][0]
    code = head["livenessProbe"]["exec"]["command"][2]
    pieces = [piece.split("'")[0] for piece in code.split("http://127.0.0.1:")[1:]]
    return {(int(piece.partition("/")[0]), "/" + piece.partition("/")[2]) for piece in pieces}


@pytest.mark.ray
def test_a_head_keeps_its_state_as_the_user_ray_and_answers_the_probes_without_a_token() -> None:
    with tempfile.TemporaryDirectory(prefix="xrg", dir="/tmp") as folder:
        password = secrets.token_hex(16)
        users = (ROOT / "cluster" / "gcs.acl").read_text()
        filled = users.replace("@GCS_REDIS_PASSWORD_SHA256@", hashlib.sha256(password.encode()).hexdigest())
        taken: set[int] = set()
        ports = {name: parts.free_port(taken) for name in ("redis", "head", "dashboard", "client", "agent", "metrics")}
        Path(folder, "users.acl").write_text(filled)
        here = f"bind {parts.HOST}\nport {ports['redis']}\ndir {folder}\naclfile {folder}/users.acl\n"
        Path(folder, "redis.conf").write_text((ROOT / "cluster" / "redis.conf").read_text() + here)
        _head_with_redis(Path(folder), password, ports)


def _head_with_redis(folder: Path, password: str, ports: dict[str, int]) -> None:
    environment = parts.ray_environment(folder / "token") | {
        "RAY_REDIS_ADDRESS": f"{parts.HOST}:{ports['redis']}",
        "RAY_external_storage_namespace": "xai-ray",
        "REDIS_USERNAME": "ray",
        "REDIS_PASSWORD": password,
    }
    token = parts.secret_file(folder / "token")
    command = parts.head_command(ports["head"], ports["dashboard"], ports["client"], folder / "h", 100 << 20)
    command = [c for c in command if "agent-listen" not in c] + [f"--dashboard-agent-listen-port={ports['agent']}"]
    command += ["--redis-username=ray", f"--redis-password={password}", f"--metrics-export-port={ports['metrics']}"]
    started: list[subprocess.Popen[bytes]] = []
    with (folder / "log").open("wb") as log:
        try:
            for words in ([parts.redis_program(), str(folder / "redis.conf")], command):
                started.append(
                    subprocess.Popen(
                        words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                    )
                )
                time.sleep(0.5)
            eventually(lambda: parts.nodes_alive(ports["dashboard"], token) == 1, 90)
            client = redis.Redis(parts.HOST, ports["redis"], username="ray", password=password, decode_responses=True)
            assert any(key.startswith("RAYxai-ray@") for key in client.scan_iter())
            with pytest.raises(exceptions.NoPermissionError):
                client.flushall()
            here = {8265: ports["dashboard"], 52365: ports["agent"]}
            for port, path in sorted(wanted_paths()):
                eventually(lambda port=port, path=path: answered(here[port], path) == 200, 60)
            for port, path in (
                ("dashboard", "/api/version"),
                ("dashboard", "/api/jobs/"),
                ("agent", "/api/job_agent/jobs/"),
            ):
                assert answered(ports[port], path) == 401
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(30)


def answered(port: int, path: str) -> int:
    """The HTTP status; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://{parts.HOST}:{port}{path}", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
