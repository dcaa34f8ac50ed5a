"""What is borrowed from a warm pool goes back to it: only a worker that may be broken is stopped."""

from typing import Any

import pytest

from xai_ray.coalitions import Unit
from xai_ray.engine import ray_warm
from xai_ray.engine.ray_warm import Borrowed, WarmSizing
from xai_ray.errors import EngineError


class Method:
    """A method of an actor: every call is a new reference."""

    def remote(self, *arguments: Any) -> object:
        return object()


class Actor:
    def __init__(self, name: str) -> None:
        self.name = name
        self.facts = self.evaluate = Method()


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(ray_warm, "warm_actor", lambda name: None if name == "gone" else Actor(name))
    monkeypatch.setattr(ray_warm.ray, "kill", lambda actor, no_restart: names.append(actor.name))
    return names


def borrowed(*names: str) -> Borrowed:
    return Borrowed(list(names), {"kind": "exhaustive"}, WarmSizing(len(names)))


def test_a_worker_at_rest_is_given_back_and_borrowed_again(stopped: list[str]) -> None:
    pool = borrowed("gone", "a", "b")
    pool.start(0, ())
    pool.start(1, ())
    pool.evaluate(0, Unit(0, 4))
    pool.release(0)
    assert [call.worker for call in pool.calls.values()] == [1]
    pool.start(2, ())
    assert {worker: actor.name for worker, actor in pool.actors.items()} == {1: "b", 2: "a"}
    assert stopped == []


def test_a_worker_that_may_be_broken_is_stopped(stopped: list[str]) -> None:
    pool = borrowed("a", "b")
    pool.start(0, ())
    pool.start(1, ())
    pool.suspect(0)
    pool.suspect(1)
    pool.release(0)
    pool.release(1, ending=True)  # it failed everywhere, so the unit is to blame
    pool.release(1, ending=True)
    assert stopped == ["a"]
    assert pool.names == ["b"]


def test_a_run_without_a_worker_says_so(stopped: list[str]) -> None:
    pool = borrowed("a", "gone")
    pool.start(0, ())
    pool.start(1, ())  # the other one does the rest
    assert list(pool.actors) == [0]
    pool.suspect(0)
    pool.release(0)
    with pytest.raises(EngineError, match="no worker left for this game"):
        pool.start(2, ())
