"""The hosts themselves: they reach each other, a partition cuts them off, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.netns import Host, Network, missing, must_work, network

REASON = missing()
pytestmark = pytest.mark.skipif(REASON is not None and not must_work(), reason=REASON or "")

ANSWER = """
import socket, sys
server = socket.create_server((sys.argv[1], 7000))
while True:
    server.accept()[0].sendall(b"here")
"""
ASK = """
import socket, sys, time
until = time.monotonic() + float(sys.argv[2])
while True:
    try:
        with socket.create_connection((sys.argv[1], 7000), timeout=1) as link:
            link.settimeout(1)
            assert link.recv(4) == b"here"
        sys.exit(0)
    except OSError:
        if time.monotonic() > until:
            sys.exit(1)
        time.sleep(0.05)
"""


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as net:
        yield net


def reaches(net: Network, source: Host, target: Host, seconds: float, log: Path) -> bool:
    process = net.start(source, [sys.executable, "-c", ASK, target.address, str(seconds)], log)
    return process.wait(seconds + 30) == 0


def test_partition_cuts_off_and_heal_joins(net: Network, tmp_path: Path) -> None:
    asks, answers = net.hosts
    net.start(answers, [sys.executable, "-c", ANSWER, answers.address], tmp_path / "answers")
    assert reaches(net, asks, answers, 20, tmp_path / "asks")
    net.partition(answers)
    assert not reaches(net, asks, answers, 1, tmp_path / "asks")
    net.heal(answers)
    assert reaches(net, asks, answers, 20, tmp_path / "asks")


def seen_from_outside() -> list[str]:
    """Devices and routes of the machine itself."""
    told = [
        subprocess.run(["ip", *c], capture_output=True, text=True, check=True).stdout
        for c in (["-o", "link"], ["route"])
    ]
    return [line.split(" mtu ")[0] for text in told for line in text.splitlines()]


def test_the_network_of_the_machine_is_left_as_it_is() -> None:
    before = seen_from_outside()
    with network(2) as net:
        assert seen_from_outside() == before
        assert len({host.address for host in net.hosts}) == 2


def test_kill_ends_the_processes_of_that_host_alone(net: Network, tmp_path: Path) -> None:
    dies, lives = net.hosts
    sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
    victim, other = net.start(dies, sleeps, tmp_path / "a"), net.start(lives, sleeps, tmp_path / "b")
    for host, process in ((dies, victim), (lives, other)):
        wait_for_process(net, host, process)
    net.kill(dies)
    assert victim.wait(10) < 0
    assert other.poll() is None
    assert net.processes(dies) == []


def wait_for_process(net: Network, host: Host, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while process.pid not in net.processes(host):
        assert time.monotonic() < until, "the process never entered its namespace"
        time.sleep(0.02)


def names() -> set[str]:
    told = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in told.splitlines() if line.strip()}


def test_nothing_is_left_behind_after_a_failure(tmp_path: Path) -> None:
    made: list[Network] = []

    def fails() -> None:
        with network(2) as net:
            made.append(net)
            assert any(name.startswith(net.prefix) for name in names())
            net.start(net.hosts[0], [sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not any(name.startswith(made[0].prefix) for name in names())
    assert made[0].started[0].poll() is not None
