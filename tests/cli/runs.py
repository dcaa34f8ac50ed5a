"""The command line in this process, and small specs that tests of the doors share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Ended]


def called(arguments: tuple[object, ...], capture: pytest.CaptureFixture[bytes], patch: pytest.MonkeyPatch) -> Ended:
    """`xai-ray ARGUMENTS` through its entry point, in this process."""
    from xai_ray.cli import main

    capture.readouterr()
    patch.setattr(sys, "argv", ["xai-ray", *map(str, arguments)])
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    captured = capture.readouterr()
    return Ended(0 if code is None else int(str(code)), captured.out, captured.err.decode())


def environment() -> dict[str, str]:
    """For a process of its own: one thread, no settings of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("XAI_RAY_")}
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def process(folder: Path, *arguments: object, timeout: float = 120.0) -> Ended:
    """The same in a process of its own, started in `folder`."""
    command = [sys.executable, "-m", "xai_ray.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, timeout=timeout, check=False)
    return Ended(done.returncode, done.stdout, done.stderr.decode())


def refused(cli: Cli, code: int, words: list[str], *arguments: object) -> None:
    """The command ends with this code, these words on stderr, and nothing on stdout."""
    ended = cli(*arguments)
    assert "Traceback" not in ended.err
    assert (ended.code, ended.out) == (code, b""), ended.err
    for word in words:
        assert word in ended.err, ended.err


def glove(evaluations: int | str = "exact", name: str = "glove", **budget: Any) -> dict[str, Any]:
    """Two left gloves, four right ones: Shapley values and pair interactions."""
    return {
        "name": name,
        "game": {"kind": "known", "name": "glove", "arguments": {"left": 2, "right": 4}},
        "ask": [{"index": "SV"}, {"index": "SII"}],
        "budget": {"evaluations": evaluations, **budget},
    }


def airport(players: int, evaluations: int | str, *asks: dict[str, Any], **budget: Any) -> dict[str, Any]:
    """A larger game with a known answer, for sampled estimators."""
    return {
        "name": "airport",
        "game": {"kind": "known", "name": "airport", "arguments": {"costs": [float(i % 7) for i in range(players)]}},
        "ask": list(asks) or [{"index": "SV", "estimator": "leverage"}],
        "budget": {"evaluations": evaluations, **budget},
    }


def written(folder: Path, spec: Any, name: str = "spec.json") -> Path:
    """The spec as a file."""
    path = folder / name
    path.write_text(spec if isinstance(spec, str) else json.dumps(spec))
    return path
