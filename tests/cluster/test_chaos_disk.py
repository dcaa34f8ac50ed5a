"""A disk that fills up under a run: a small file system of its own, in a mount namespace that ends with the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.runs import airport, environment, process, written

SCRIPT = """
mount -t tmpfs -o size=400k full "$1" || exit 90
"$2" -m xai_ray.cli run spec.json --engine inline --store "$1/runs" --out first --quiet >/dev/null
echo "first $?"
echo "units $(find "$1/runs" -path '*/units/*' -name '*.arrow' | wc -l)"
mount -o remount,size=64m "$1"
"$2" -m xai_ray.cli run spec.json --engine inline --store "$1/runs" --out second --quiet >/dev/null
echo "second $?"
"""


def missing() -> str | None:
    """Why this machine cannot mount a small file system; None where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "mounting a small file system needs root on Linux"
    if shutil.which("unshare") is None:
        return "no `unshare` command"
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=100k", "probe", "/mnt"]
    made = subprocess.run(probe, capture_output=True, text=True, timeout=20, check=False)
    return None if made.returncode == 0 else f"mounting is refused here: {made.stderr.strip()}"


def test_a_full_disk_is_named_and_the_job_goes_on_when_there_is_room(tmp_path: Path) -> None:
    if reason := missing():
        if os.environ.get("CI") and sys.platform == "linux" and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)
    written(tmp_path, airport(20, 60_000, {"index": "SV", "estimator": "leverage"}))
    whole = process(tmp_path, "run", "spec.json", "--engine", "inline", "--store", "whole", "--out", "whole-out")
    assert whole.code == 0, whole.err
    units = len(list(tmp_path.glob("whole/*/units/*/*.arrow")))
    (tmp_path / "disk").mkdir()
    command = ["unshare", "--mount", "bash", "-c", SCRIPT, "bash", str(tmp_path / "disk"), sys.executable]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=200, check=True
    )
    told = dict(line.split() for line in done.stdout.splitlines() if line)
    assert (told["first"], told["second"]) == ("3", "0"), done.stderr
    assert 0 < int(told["units"]) < units
    assert "No space left on device" in done.stderr
    assert "free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "first").exists()
    assert (tmp_path / "second" / "result.json").read_bytes() == (tmp_path / "whole-out" / "result.json").read_bytes()
