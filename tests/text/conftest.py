"""Fixtures of the tests of texts; tests are skipped without the extra `text`."""

from __future__ import annotations

import pytest


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches sorted at a time, so that the contract of a game is checked on fewer rows."""
    monkeypatch.setattr("xai_ray.games.tailoring.POOL", 2)
