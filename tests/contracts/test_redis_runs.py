"""A whole run on a Redis store: the bits of a run in memory, resumed, extended and asked again like any other."""

import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

import xai_ray as xr
from tests.games import smooth_table
from tests.redis_server import KINDS, running
from xai_ray.coalitions import Unit
from xai_ray.engine.committing import Ack, Committer, Hand
from xai_ray.errors import Fenced
from xai_ray.stores import Record, open_store
from xai_ray.testing.stores import a_manifest, a_record

FACTS = {"seconds": 0.1, "evaluations": 500}

pytestmark = pytest.mark.parametrize("kind", KINDS)


def test_a_run_on_redis_has_the_bits_of_a_run_in_memory(kind: str) -> None:
    game = xr.TableGame(smooth_table(10))
    wanted = xr.explain(game, index="SV", estimator="permutation", budget=600, seed=3, engine="inline")
    with running(kind) as server:
        for _ in range(2):  # the second run finds every unit there
            found = xr.explain(
                game, index="SV", estimator="permutation", budget=600, seed=3, engine="inline", store=server.url
            )
            assert found.values.tobytes() == wanted.values.tobytes()
            assert found.std_errors.tobytes() == wanted.std_errors.tobytes()
        store = open_store(server.url)
        (job,) = store.jobs()
        assert (store.outcome(job) or {})["state"] == "done"
        assert xr.open_result(job, store=server.url).values.tobytes() == wanted.values.tobytes()


def test_a_server_killed_during_a_run_leaves_its_bits_alone(kind: str) -> None:
    class Killing(xr.TableGame):
        """Kills and restarts the server at its third call."""

        calls = 0

        def values(self, coalitions, context):
            self.calls += 1
            if self.calls == 3:
                server.kill()
                restart.start()
            return super().values(coalitions, context)

    table = smooth_table(10)
    wanted = xr.explain(xr.TableGame(table), index="SV", estimator="permutation", budget=900, engine="inline")
    with running(kind) as server:
        restart = threading.Thread(target=server.start)
        game = Killing(table)
        found = xr.explain(game, index="SV", estimator="permutation", budget=900, engine="inline", store=server.url)
        restart.join()
        assert game.calls >= 3
        assert found.values.tobytes() == wanted.values.tobytes()
        assert found.evaluations == wanted.evaluations


def test_a_coordinator_that_was_overtaken_stops_and_loses_nothing(kind: str) -> None:
    with running(kind) as server:
        xr.explain(xr.TableGame(smooth_table(6)), index="SV", budget=40, engine="inline", store=server.url)
        first, second = open_store(server.url), open_store(server.url)
        (job,) = first.jobs()
        before = first.committed(job)
        old, new = first.claim(job), second.claim(job)
        with pytest.raises(Fenced, match="nothing is lost"):
            first.commit(job, a_record(1000, 1004), old)
        assert second.commit(job, a_record(1000, 1004), new)
        assert {unit.start for unit in second.committed(job) - before} == {1000}
        assert np.isfinite(xr.open_result(job, store=server.url).values).all()


def test_what_the_server_lost_is_evaluated_again_before_the_answer(kind: str) -> None:
    class Losing(xr.TableGame):
        """Takes a committed unit out of the store near the end."""

        rows, done = 0, False

        def values(self, coalitions, context):
            self.rows += len(coalitions)
            if self.rows >= 500 and not self.done:
                self.done = True
                (job,) = other.jobs()
                other.discard(job, min(other.committed(job)))
            return super().values(coalitions, context)

    table = smooth_table(10)
    wanted = xr.explain(xr.TableGame(table), index="SV", estimator="permutation", budget=600, engine="inline")
    with running(kind) as server:
        other, game = open_store(server.url), Losing(table)
        found = xr.explain(game, index="SV", estimator="permutation", budget=600, engine="inline", store=server.url)
        assert [e["event"] for e in other.events(found.job)] == ["started", "records lost", "done"]
        assert game.rows > 600
    assert (found.values.tobytes(), found.evaluations) == (wanted.values.tobytes(), wanted.evaluations)


def test_a_worker_has_the_password_and_the_settings_of_its_coordinator(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("XAI_RAY_REDIS")]:
        monkeypatch.delenv(name)
    with running(kind, requirepass="hunter2") as server:
        monkeypatch.setenv("XAI_RAY_REDIS_SPILL", str(tmp_path / "large"))
        monkeypatch.setenv("XAI_RAY_REDIS_SPILL_ABOVE", "1kb")
        store = open_store(f"redis+unix://:hunter2@{server.socket}")
        job = store.open(a_manifest()).job
        committer = Committer(store, job, store.claim(job))
        monkeypatch.delenv("XAI_RAY_REDIS_SPILL")
        monkeypatch.delenv("XAI_RAY_REDIS_SPILL_ABOVE")
        assert "hunter2" not in repr(committer)
        told = Hand(pickle.loads(pickle.dumps(committer))).commit(Record(Unit(0, 500), np.ones((500, 1)), FACTS))
        assert isinstance(told, Ack)
        assert store.committed(job) == {Unit(0, 500)}
        assert len(list((tmp_path / "large").rglob("*.arrow"))) == 1
