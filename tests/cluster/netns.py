"""Several hosts on one machine: network namespaces with addresses of their own, joined by a bridge. Root on Linux only.

The bridge lies in a namespace of its own, so nothing here touches the network of the machine, and no packet leaves it. Everything
made is removed at the end of the `with` block, also after a failure; only processes inside these namespaces are ended.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

MOST_HOSTS = 60


@dataclass(frozen=True, slots=True)
class Host:
    """One host: its namespace and its address."""

    number: int
    namespace: str
    address: str


@dataclass
class Network:
    """Hosts on one bridge; see `network`."""

    prefix: str
    subnet: ipaddress.IPv4Network
    hosts: list[Host] = field(default_factory=list)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def switch(self) -> str:
        """The namespace of the bridge."""
        return f"{self.prefix}-sw"

    def add(self) -> Host:
        """One host more, joined to the others. RuntimeError beyond sixty."""
        number = len(self.hosts) + 1
        if number > MOST_HOSTS:
            raise RuntimeError(f"{MOST_HOSTS} hosts are there already, and no more are meant for one machine")
        host = Host(number, f"{self.prefix}-h{number}", str(self.subnet[number]))
        self.hosts.append(host)
        _ip("netns", "add", host.namespace)
        # Both ends are made inside the switch: names in the namespace of the machine stay as they were.
        _ip(
            "-n",
            self.switch,
            "link",
            "add",
            f"p{number}",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            host.namespace,
        )
        _ip("-n", self.switch, "link", "set", f"p{number}", "master", "bridge", "up")
        _ip("-n", host.namespace, "address", "add", f"{host.address}/{self.subnet.prefixlen}", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", host.namespace, "link", "set", device, "up")
        # Programs that ask the routing table for "my address" get this one; the bridge leads nowhere else.
        _ip("-n", host.namespace, "route", "add", "default", "dev", "eth0")
        return host

    def partition(self, host: Host) -> None:
        """Take the link of a host down: its processes go on, and no packet comes or goes."""
        _ip("-n", self.switch, "link", "set", f"p{host.number}", "down")

    def heal(self, host: Host) -> None:
        """Put the link up again."""
        _ip("-n", self.switch, "link", "set", f"p{host.number}", "up")

    def kill(self, host: Host) -> None:
        """The death of a host: its link goes, every process in it is killed, its namespace removed."""
        self.partition(host)
        self._remove(host.namespace)
        _ip("-n", self.switch, "link", "delete", f"p{host.number}", check=False)

    def start(
        self, host: Host, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command on a host; both outputs go to `log`."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                ["ip", "netns", "exec", host.namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(os.environ) | dict(environment or {}),
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def processes(self, host: Host) -> list[int]:
        """Ids of the processes on a host."""
        return _pids(host.namespace)

    def close(self) -> None:
        """Remove all of it."""
        for name in [*(host.namespace for host in reversed(self.hosts)), self.switch]:
            self._remove(name)
        for process in self.started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)

    def _remove(self, namespace: str) -> None:
        until = time.monotonic() + 10
        while (pids := _pids(namespace)) and time.monotonic() < until:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in self.started:
                process.poll()
            time.sleep(0.05)
        _ip("netns", "delete", namespace, check=False)


def missing() -> str | None:
    """Why this machine cannot play several hosts; None where it can."""
    if sys.platform != "linux":
        return "network namespaces are a thing of Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "no `ip` command (apt-get install iproute2)"
    probe = f"xr-probe-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, timeout=20, check=False)
    subprocess.run(["ip", "netns", "delete", probe], capture_output=True, timeout=20, check=False)
    return None if made.returncode == 0 else f"network namespaces are refused here: {made.stderr.strip()}"


def must_work() -> bool:
    """Whether a machine that cannot play several hosts is a failure: on continuous integration as root with `ip`."""
    return bool(os.environ.get("CI")) and sys.platform == "linux" and os.geteuid() == 0 and bool(shutil.which("ip"))


@contextmanager
def network(hosts: int) -> Iterator[Network]:
    """So many hosts, removed at the end with all their processes. RuntimeError with the reason where it cannot be."""
    if reason := missing():
        raise RuntimeError(f"no hosts of network namespaces: {reason}")
    net = Network(f"xr{secrets.token_hex(3)}", _free_subnet())
    try:
        _ip("netns", "add", net.switch)
        _ip("-n", net.switch, "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
        _ip("-n", net.switch, "link", "set", "bridge", "up")
        for _ in range(hosts):
            net.add()
        yield net
    finally:
        net.close()


def _free_subnet() -> ipaddress.IPv4Network:
    """A 10.x.y.0/24 that no route of this machine leads to."""
    rows = json.loads(_ip("-json", "-4", "route", "show", "table", "all") or "[]")
    taken = []
    for row in rows:
        with suppress(ValueError, KeyError):
            taken.append(ipaddress.IPv4Network(row["dst"], strict=False))
    for _ in range(1000):
        subnet = ipaddress.IPv4Network((10 << 24 | secrets.randbelow(1 << 16) << 8, 24))
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise RuntimeError("every 10.x.y.0/24 overlaps with a route of this machine")


def _pids(namespace: str) -> list[int]:
    return [int(word) for word in _ip("netns", "pids", namespace, check=False).split()]


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout if done.returncode == 0 else ""
