"""Fixtures of the doors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.runs import Cli, Ended, called


@pytest.fixture
def cli(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """`cli("run", spec)`: the command in this process, in the test's own folder, on the inline engine. Modules of the folder are
    forgotten after the test: another one may have one of the same name.
    """
    paths = list(sys.path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XAI_RAY_ENGINE", "inline")
    monkeypatch.delenv("XAI_RAY_STORE", raising=False)

    def call(*arguments: object) -> Ended:
        return called(arguments, capsysbinary, monkeypatch)

    yield call
    sys.path[:] = paths
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
