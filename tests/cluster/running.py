"""A real Ray head on loopback with a token, and specs whose evaluations wait for a file, so that no test depends on time."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.cli.runs import environment
from tests.waiting import until

START_SECONDS = 120.0
REDIS_PASSWORD = secrets.token_hex(16)
"""Of servers that tests start for the cluster, which has it in its environment."""

GATED = '''
import os
import time

import numpy as np


class Gated:
    """The sum of squares of a row; from its sixth call on it waits for a file."""

    def __init__(self, gate):
        self.gate, self.calls = gate, 0

    def __call__(self, rows):
        self.calls += 1
        while self.calls > 6 and not os.path.exists(self.gate):
            time.sleep(0.02)
        return np.square(np.asarray(rows, dtype=np.float64)).sum(axis=1)


def make(gate):
    return Gated(gate)
'''


@dataclass(frozen=True)
class Head:
    """A cluster of one node."""

    address: str
    """Of its dashboard."""
    token: str = field(repr=False)
    token_path: Path
    process: subprocess.Popen[bytes]
    gcs: str
    """HOST:PORT to join."""

    def variables(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token_path)}


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def start_head(home: Path) -> Head:
    """Start a head and wait until its dashboard asks for the token."""
    secret = secrets.token_hex(32)
    path = home / "token"
    path.write_text(secret)
    path.chmod(0o600)
    dashboard, client, gcs = free_ports(3)
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={gcs}"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", "--dashboard-agent-listen-port=0"),
        *(f"--ray-client-server-port={client}", "--min-worker-port=0", "--max-worker-port=0", "--num-cpus=2"),
        *(f"--temp-dir={home / 'ray'}", "--disable-usage-stats", "--object-store-memory=100000000"),
    ]
    # A token in the environment of whoever runs the tests would stand before the file.
    own = {name: value for name, value in environment().items() if name != "RAY_AUTH_TOKEN"} | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(path),
        "XAI_RAY_REDIS_PASSWORD": REDIS_PASSWORD,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with (home / "head.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, env=own, stdout=log, stderr=log, start_new_session=True)
    head = Head(f"http://127.0.0.1:{dashboard}", secret, path, process, f"127.0.0.1:{gcs}")
    try:
        until(lambda: _answers(head), "a head", START_SECONDS, (home / "head.log").read_text)
    except BaseException:
        stop_head(head)
        raise
    return head


def stop_head(head: Head) -> None:
    """End the head and what it started: its own process group and nothing else."""
    os.killpg(head.process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        head.process.wait(timeout=5)
    with suppress(ProcessLookupError):
        os.killpg(head.process.pid, signal.SIGKILL)


def _answers(head: Head) -> bool:
    assert head.process.poll() is None, "the head ended"
    headers = {"Authorization": f"Bearer {head.token}"}
    try:
        return requests.get(f"{head.address}/api/jobs/", headers=headers, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def gated_folder(folder: Path) -> Path:
    """A spec with a table and a model beside it, and folders whose names are those of this project's own."""
    folder.mkdir()
    (folder / "rows.csv").write_text("a,b,c,d,e,f,g,h,i\n1,2,3,4,5,6,7,8,9\n")
    (folder / "gated_model.py").write_text(GATED)
    for name in ("jobs", "cluster", "deploy"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('a folder of the user was imported')\n")
    (folder / "spec.toml").write_text(f"""
name = "gated"
[game]
kind = "model"
model = {{ factory = "gated_model:make", arguments = {{ gate = "{folder / "gate"}" }} }}
input = {{ table = "rows.csv", row = 0 }}
players = {{ kind = "columns" }}
removal = {{ kind = "zeros" }}
behaviour = {{ kind = "raw" }}
[[ask]]
index = "SV"
estimator = "leverage"
[budget]
evaluations = 400
[compute]
batch = 8
""")
    return folder / "spec.toml"
