"""A cluster of separate processes on one machine: `python cluster/local.py up --nodes 3 --redis`, `status`, `down`.

For development and fault tests. A head without work, workers with CPUs of their own, on request a Redis server; token
authentication is on, ports are free ones or those given, everything is kept below one folder. `down` ends what `up` started and
nothing else. Exit codes: 0 done, 2 a wrong argument, 3 a part cannot be started or has ended.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cluster import local_parts as parts
from cluster import local_state as states
from xai_ray.errors import EngineError, SpecError, XaiRayError

_LONGEST_FOLDER = 40
"""Ray puts sockets below the folder, and the path of a socket is limited to 107 bytes."""
_HEAD_SECONDS, _NODE_SECONDS, _REDIS_SECONDS = 90.0, 90.0, 20.0


def up(folder: Path, nodes: int, cpus: int, with_redis: bool, ports: dict[str, int], memory: int) -> states.State:
    """Bring the cluster up; its state. Raises EngineError, after ending what was started, if a part fails."""
    before = states.read(folder)
    if before is not None and any(states.alive(part) for part in before.parts):
        return before
    _prepare(folder)
    numbers = _ports(ports)
    state = states.State(
        address=f"{parts.HOST}:{numbers['head']}",
        dashboard=f"http://{parts.HOST}:{numbers['dashboard']}",
        store=f"redis://{parts.HOST}:{numbers['redis']}/0" if with_redis else None,
    )
    started: list[states.Part] = []
    try:
        _start_all(folder, state, numbers, nodes, cpus, memory, started)
    except BaseException as error:
        states.end(started, _say)
        (folder / states.STATE).unlink(missing_ok=True)
        if isinstance(error, XaiRayError):
            raise EngineError(f"{error}; what was started has been ended, the logs are kept in {folder}") from None
        raise
    return states.State(state.address, state.dashboard, state.store, tuple(started))


def _start_all(
    folder: Path,
    state: states.State,
    numbers: dict[str, int],
    nodes: int,
    cpus: int,
    memory: int,
    started: list[states.Part],
) -> None:
    def launch(name: str, command: list[str], environment: dict[str, str]) -> states.Part:
        started.append(states.start(name, command, folder / f"{name}.log", environment))
        states.write(folder, states.State(state.address, state.dashboard, state.store, tuple(started)))
        return started[-1]

    if state.store is not None:
        server = launch("redis", parts.redis_files(folder / "redis", numbers["redis"]), dict(os.environ))
        password = folder / "redis" / "password"
        states.await_ready(server, lambda: parts.redis_answers(numbers["redis"], password), _REDIS_SECONDS)
    token = parts.secret_file(folder / "token")
    # Drivers and workers reach the store with what their node has: no secret travels with a job.
    environment = parts.ray_environment(folder / "token") | _store_settings(folder, state)
    port, dashboard = numbers["head"], numbers["dashboard"]
    head = launch("head", parts.head_command(port, dashboard, numbers["client"], folder / "n0", memory), environment)
    states.await_ready(head, lambda: parts.nodes_alive(dashboard, token) >= 1, _HEAD_SECONDS)
    workers = [
        launch(f"worker{i}", parts.worker_command(port, cpus, folder / f"n{i}", memory), environment)
        for i in range(1, nodes + 1)
    ]
    for there, worker in enumerate(workers, start=2):
        states.await_ready(worker, lambda there=there: parts.nodes_alive(dashboard, token) >= there, _NODE_SECONDS)


def down(folder: Path) -> None:
    """End every process that `up` started and remove what it wrote, the logs and Redis' data too."""
    state = states.read(folder)
    if state is None:
        _say(f"nothing is up in {folder}")
        return
    states.end(state.parts, _say)
    left = [part for part in state.parts if states.alive(part)]
    if left:
        raise EngineError(f"still running: {', '.join(f'{p.name} (process {p.pid})' for p in left)}; run `down` again")
    shutil.rmtree(folder)


def status(folder: Path) -> bool:
    """Print each part and whether it runs; whether all do."""
    state = states.read(folder)
    if state is None:
        _say(f"nothing is up in {folder}; python cluster/local.py up")
        return False
    for part in state.parts:
        print(f"{part.name:<10} {'running' if states.alive(part) else 'ended':<8} process {part.pid:<8} {part.log}")
    return all(states.alive(part) for part in state.parts)


def exports(folder: Path, state: states.State) -> list[str]:
    """Lines for a shell: where the cluster and the store are, and the files that hold the secrets."""
    settings = {
        "XAI_RAY_ADDRESS": state.address,
        "XAI_RAY_DASHBOARD": state.dashboard,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
    }
    settings |= _store_settings(folder, state)
    return [f"export {key}={shlex.quote(value)}" for key, value in settings.items()]


def _store_settings(folder: Path, state: states.State) -> dict[str, str]:
    if state.store is None:
        return {}
    return {
        "XAI_RAY_STORE": state.store,
        "XAI_RAY_REDIS_USERNAME": parts.REDIS_USER,
        "XAI_RAY_REDIS_PASSWORD_FILE": str(folder / "redis" / "password"),
    }


def _prepare(folder: Path) -> None:
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        raise SpecError(
            f"--dir {folder}: {len(os.fsencode(folder))} bytes long, at most {_LONGEST_FOLDER} are possible (Ray puts "
            "sockets below it); choose a shorter path"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise SpecError(f"--dir {folder} belongs to another user; choose a folder of your own")
        folder.chmod(0o700)
    except OSError as error:
        raise SpecError(f"--dir {folder} cannot be made: {error.strerror}; choose another") from None


def _ports(given: dict[str, int]) -> dict[str, int]:
    taken = {port for port in given.values() if port}
    if len(taken) < sum(1 for port in given.values() if port):
        raise SpecError("two parts are given the same port; name different ones, or leave one out to get a free one")
    for name, port in given.items():
        if port and not parts.is_free(port):
            raise SpecError(f"port {port} for {name} is in use; name another, or leave it out to get a free one")
    return {name: port or parts.free_port(taken) for name, port in given.items()}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster/local.py", description="A cluster of processes on this machine.")
    default = Path(tempfile.gettempdir()).resolve() / f"xai-ray-{os.getuid()}"
    parser.add_argument("--dir", type=Path, default=default, help="folder of everything it writes (%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="bring head, workers and Redis up")
    start.add_argument("--nodes", type=int, default=2, help="worker nodes (%(default)s)")
    start.add_argument("--cpus", type=int, default=1, help="CPUs of each worker node (%(default)s)")
    start.add_argument("--redis", action="store_true", help="with a Redis server")
    start.add_argument("--object-store-mb", type=int, default=256, help="shared memory of each node (%(default)s)")
    for name in ("port", "dashboard-port", "redis-port"):
        start.add_argument(f"--{name}", type=int, default=0, help="0 for a free one (%(default)s)")
    commands.add_parser("down", help="end what `up` started")
    commands.add_parser("status", help="what runs")
    return parser


def _main(given: argparse.Namespace) -> int:
    folder: Path = given.dir.resolve()
    if given.command == "down":
        down(folder)
        return 0
    if given.command == "status":
        return 0 if status(folder) else 3
    if given.nodes < 0 or given.cpus < 1 or given.object_store_mb < 80:
        raise SpecError("--nodes must be 0 or more, --cpus 1 or more, --object-store-mb 80 or more")
    there = states.read(folder)
    ports = {"head": given.port, "dashboard": given.dashboard_port, "redis": given.redis_port, "client": 0}
    state = up(folder, given.nodes, given.cpus, given.redis, ports, given.object_store_mb << 20)
    if there is not None and state == there:
        _say(f"a cluster is up already in {folder}:")
        if not status(folder):
            raise EngineError("a part of it has ended; python cluster/local.py down, then up")
    print("\n".join(exports(folder, state)))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _main(_arguments().parse_args(arguments))
    except XaiRayError as error:
        _say(f"cluster/local.py: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("cluster/local.py: interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
