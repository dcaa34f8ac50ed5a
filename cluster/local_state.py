"""What a local cluster started: process ids with their start times, in a file, and how exactly these are ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from xai_ray.errors import EngineError

STATE = "cluster.json"
_GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """One process that was started, the leader of a process group of its own."""

    name: str
    pid: int
    started: str
    """Start time of the process as the system tells it: with it a process id that was used again is told apart."""
    log: str


@dataclass(frozen=True, slots=True)
class State:
    """A local cluster: where it is and what runs. Holds no secret, only the paths of files that do."""

    address: str
    dashboard: str
    store: str | None
    parts: tuple[Part, ...] = ()

    def joined(self, part: Part) -> State:
        """With one part more."""
        return replace(self, parts=(*self.parts, part))


def started_at(pid: int) -> str | None:
    """When a process started, as the system writes it; None if there is no such process, or only its remains."""
    try:
        # The name in the second field may hold spaces and parentheses; what follows its last one is plain.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    except (ProcessLookupError, PermissionError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def _started_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return told.stdout.strip() or None


def alive(part: Part) -> bool:
    """Whether the very process that was started still runs."""
    return started_at(part.pid) == part.started


def write(directory: Path, state: State) -> None:
    """Replace the state file in one step."""
    fresh = directory / f"{STATE}.new"
    fresh.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
    fresh.replace(directory / STATE)


def read(directory: Path) -> State | None:
    """The state that `up` left, or None. Raises EngineError for a file that is no such state."""
    path = directory / STATE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        parts = tuple(Part(**part) for part in document.pop("parts"))
        return State(**document, parts=parts)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EngineError(
            f"{path} cannot be read as the state of a local cluster ({error}); look what runs, then remove it"
        ) from None


def start(name: str, command: Sequence[str], log: Path, environment: dict[str, str]) -> Part:
    """Start one part, detached from this terminal. Raises EngineError if it cannot be started."""
    try:
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True
            )
    except OSError as error:
        raise EngineError(f"{name} cannot be started: {command[0]}: {error.strerror}") from None
    started = started_at(process.pid)
    if started is None:
        raise EngineError(f"{name} ended at once; {tail(log)}")
    return Part(name, process.pid, started, str(log))


def await_ready(part: Part, ready: Callable[[], bool], seconds: float) -> None:
    """Return once `ready()` holds. Raises EngineError, with the end of the log, if the part ends or takes longer."""
    until = time.monotonic() + seconds
    while not ready():
        with suppress(ChildProcessError):
            os.waitpid(part.pid, os.WNOHANG)
        if not alive(part):
            raise EngineError(f"{part.name} ended while it started; {tail(Path(part.log))}")
        if time.monotonic() > until:
            raise EngineError(f"{part.name} was not ready after {seconds:.0f} s; {tail(Path(part.log))}")
        time.sleep(0.1)


def tail(log: Path) -> str:
    """The last lines of a log, in one."""
    with suppress(OSError):
        lines = [
            line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
        ]
        if lines:
            return f"{log} ends with: {' | '.join(lines[-3:])[-600:]}"
    return f"{log} is empty"


def members(part: Part) -> list[int]:
    """Processes of the session that a part began: what it started, also after its own end. Linux only; else none."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[3] == str(part.pid) and fields[0] not in "ZX":
            found.append(int(entry.parent.name))
    # A new process has the number only once the session is empty, and is then the first of a session of its own.
    return [] if part.pid in found and not alive(part) else found


def end(parts: Sequence[Part], told: Callable[[str], None]) -> None:
    """End these parts, the last started first: each is asked, and after ten seconds killed with all that it started.

    A process id that belongs to another process by now is left alone.
    """
    for part in reversed(parts):
        if not alive(part):
            told(f"{part.name} (process {part.pid}) has ended already")
            _sweep(part)
            continue
        os.kill(part.pid, signal.SIGTERM)
        ended = _until(lambda part=part: not alive(part), part, _GRACE_SECONDS)
        if not ended:
            with suppress(ProcessLookupError):
                os.killpg(part.pid, signal.SIGKILL)
        _sweep(part)
        gone = _until(lambda part=part: not alive(part), part, 5.0)
        told(f"{'ended' if ended else 'killed' if gone else 'could not end'} {part.name} (process {part.pid})")


def _sweep(part: Part) -> None:
    """What a part started ends with it, a little later; what does not is killed."""
    if _until(lambda: not members(part), part, 5.0):
        return
    for pid in members(part):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _until(lambda: not members(part), part, 5.0)


def _until(holds: Callable[[], bool], part: Part, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        with suppress(ChildProcessError):
            os.waitpid(part.pid, os.WNOHANG)
        time.sleep(0.05)
    return True
