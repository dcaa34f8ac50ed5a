"""Threads of libraries: looked for once, again where a library may have come, and put back as they were."""

import sys
import types

import numpy as np
from threadpoolctl import threadpool_info

from xai_ray import library_threads as module
from xai_ray.library_threads import library_threads


def counts():
    return {one["filepath"]: one["num_threads"] for one in threadpool_info()}


def test_threads_are_set_within_and_put_back():
    before = counts()
    with library_threads(1):
        assert set(counts().values()) == {1}
        np.linalg.inv(np.eye(3))
    assert counts() == before


def test_libraries_are_looked_for_once_and_again_after_an_import(monkeypatch):
    looked = list[int]()
    plain = module.ThreadpoolController

    def counted():
        looked.append(1)
        return plain()

    monkeypatch.setattr(module, "ThreadpoolController", counted)
    monkeypatch.setattr(module, "_found", {})
    for _ in range(3):
        with library_threads(1):
            pass
    assert len(looked) == 1
    monkeypatch.setitem(sys.modules, "a_library_that_came_later", types.ModuleType("a_library_that_came_later"))
    with library_threads(1):
        pass
    assert len(looked) == 2
