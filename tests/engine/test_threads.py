"""Threads of libraries: looked for once, again where a library may have come, and put back as they were."""

import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
import scipy.linalg  # noqa: F401
from threadpoolctl import threadpool_info, threadpool_limits

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


@pytest.fixture(autouse=True)
def three_to_begin_with():
    """A number of threads that no block of these tests takes."""
    with threadpool_limits(3):
        yield


def blas():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_overlapping_blocks_of_two_threads_leave_what_was_there():
    inside, let_go = threading.Event(), threading.Event()
    usual = counts()

    def first():
        with library_threads(1):
            found = blas()
            inside.set()
            let_go.wait(10)
            return found | blas()

    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(first)
        assert inside.wait(10)
        with library_threads(1):  # begins while the other has set 1, and ends after it
            let_go.set()
            assert other.result(10) == {1}
            assert set(counts().values()) == {1}
    assert counts() == usual


def test_a_block_of_another_count_waits_for_those_that_run():
    inside, let_go, order = threading.Event(), threading.Event(), list[str]()

    def first():
        with library_threads(1):
            inside.set()
            let_go.wait(10)
            order.append("one")
            return blas()

    def second():
        with library_threads(2):
            order.append("two")
            return blas()

    usual = counts()
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(first)
        assert inside.wait(10)
        two = threads.submit(second)
        assert not wait([two], 0.1).done
        let_go.set()
        assert (one.result(10), two.result(10)) == ({1}, {2})
    assert order == ["one", "two"]
    assert counts() == usual


def test_blocks_inside_blocks_have_their_own_count_and_hold_nobody_up():
    usual, both = counts(), threading.Barrier(2)

    def nested(inner):
        with library_threads(1):
            both.wait(10)
            with library_threads(inner):
                found = blas()
            return found, blas()

    with ThreadPoolExecutor(2) as threads:
        assert [one.result(10) for one in [threads.submit(nested, 2), threads.submit(nested, 4)]] == [
            ({2}, {1}),
            ({4}, {1}),
        ]
    assert counts() == usual
