"""One cluster for all tests of this folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.running import Head, start_head, stop_head


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """A real Ray head on loopback, with a token."""
    if os.environ.get("XAI_RAY_NO_CLUSTER") and not os.environ.get("CI"):
        pytest.skip("XAI_RAY_NO_CLUSTER is set: no cluster is started on this machine")
    # Sockets live in it, whose paths must stay short.
    with tempfile.TemporaryDirectory(prefix="xrc-", ignore_cleanup_errors=True) as home:
        made = start_head(Path(home))
        try:
            yield made
        finally:
            stop_head(made)


@pytest.fixture
def door(head: Head, monkeypatch: pytest.MonkeyPatch) -> Head:
    """The cluster, with the token at hand."""
    for name in ("RAY_AUTH_TOKEN", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "XAI_RAY_DASHBOARD", "XAI_RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in head.variables().items():
        monkeypatch.setenv(name, value)
    return head
