"""Fixtures of the doors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.runs import Cli, Ended, called


@pytest.fixture
def cli(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """`cli("run", spec)`: the command in this process, in the test's own folder, on the inline engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XAI_RAY_ENGINE", "inline")
    monkeypatch.delenv("XAI_RAY_STORE", raising=False)

    def call(*arguments: object) -> Ended:
        return called(arguments, capsysbinary, monkeypatch)

    return call
