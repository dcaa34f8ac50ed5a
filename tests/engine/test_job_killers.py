"""A unit that kills its workers: named with what to do, or left out with all that follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.job_games import Counting
from tests.engine.test_job import ASKS, ended, units_of
from xai_ray.api import explain, open_result
from xai_ray.engine import Engine, InlineEngine, job
from xai_ray.engine.failures import KillerUnit
from xai_ray.engine.job import Finished, Run, manifest_of
from xai_ray.errors import EngineError
from xai_ray.estimators import boundaries, plan
from xai_ray.stores import ArrowFileStore, MemoryStore, Store


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else ArrowFileStore(tmp_path / "store")


class Killing(InlineEngine):
    """A unit that would kill its workers, where there are workers to kill."""

    def __init__(self, start: int) -> None:
        object.__setattr__(self, "start", start)

    def run(self, game, design, units, commit, stopped, ties=None) -> None:
        fine = [u for u in units if not u.start <= self.start < u.stop]  # type: ignore[attr-defined]
        super().run(game, design, fine, commit, stopped, ties)
        for unit in units:
            if unit not in fine:
                raise KillerUnit(f"unit [{unit.start}, {unit.stop}) killed 3 workers", unit)


def attempt(store: Store, engine: Engine, skip_killers: bool) -> Finished:
    """A run of 150 draws in units of 10."""
    game = Counting(9)
    planned = plan(ASKS, 9, 300, 4, False)
    manifest = manifest_of("explain", game, planned, {})
    return Run(manifest, game, planned.asks, planned.draws, store, engine, skip_killers=skip_killers).execute()


def test_a_unit_that_kills_is_named_with_the_command_that_replays_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "unit_draws", units_of(10))
    with pytest.raises(EngineError, match=r"killed 3 workers: xai-ray replay explain-\w+ --unit 9"):
        attempt(store, Killing(95), skip_killers=False)
    (name,) = store.jobs()
    assert ended(store, name)["state"] == "failed"
    assert len(store.committed(name)) == 14


def test_a_run_may_end_at_the_last_boundary_before_a_unit_that_kills(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "unit_draws", units_of(10))
    found = attempt(store, Killing(95), skip_killers=True)
    draws = found.pool.draws
    assert 40 < draws <= 90
    assert draws in boundaries(found.pool.design, 150)
    (note,) = found.notes
    assert note.startswith("unit 9, draws [90, 100), killed its workers and was left out")
    # The answers are those of that prefix, and a later run that gets past the unit goes on to the whole.
    prefix = explain(Counting(9), asks=ASKS, budget=found.pool.design.evaluations(draws), seed=4)
    assert [e.values.tobytes() for e in found.estimates] == [e.values.tobytes() for e in prefix.estimates]
    assert open_result(found.manifest.job, store).provenance["notes"] == [note]
    whole = attempt(store, InlineEngine(), skip_killers=True)
    assert (whole.pool.draws, whole.notes) == (150, ())


def test_a_unit_that_kills_before_the_first_boundary_fails_the_run(store: Store) -> None:
    with pytest.raises(EngineError, match="killed 3 workers"):
        attempt(store, Killing(0), skip_killers=True)
