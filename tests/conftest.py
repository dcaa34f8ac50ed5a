"""Settings of all tests: none fails because the machine is busy, and none finds what another one has imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("patient", parent=settings(), deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def modules_of_its_own() -> Iterator[None]:
    """A model beside a spec is imported from the spec's folder: it is forgotten after the test, another test may have one of its name."""
    before = list(sys.path)
    yield
    # Packages add folders of their own, which stay.
    added = tuple(p for p in set(sys.path) - set(before) if p and not p.startswith(sys.prefix))
    if not added:
        return
    sys.path[:] = [p for p in sys.path if p not in added]
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(added):
            del sys.modules[name]
