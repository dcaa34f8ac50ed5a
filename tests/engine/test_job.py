"""The life of a job: the same bits however it got to its end, no value computed twice, nothing lost, nothing overspent."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.engine_games import SlotSensitive
from tests.engine.job_games import Counting, NanOnce, network, run_in_process
from tests.games import smooth_table
from xai_ray.api import explain, open_result
from xai_ray.coalitions import Unit
from xai_ray.engine import InlineEngine, job
from xai_ray.errors import Cancelled, CorruptRecord, DigestMismatch, NonFiniteValue, StoreError
from xai_ray.estimators import Ask, Estimate, Verdict
from xai_ray.games import Game, TableGame
from xai_ray.indices import Question
from xai_ray.reports import Result
from xai_ray.stores import ArrowFileStore, MemoryStore, Store

AUTO = [Ask(Question("SV")), Ask(Question("SII")), Ask(Question("MOI", contexts=(0, 3)))]
ASKS = [Ask(Question("SV"), "leverage"), Ask(Question("SII"), "cells"), Ask(Question("MOI", contexts=(0, 3)), "cells")]


GAMES = [
    pytest.param(lambda: Counting(9, 2), id="table"),
    pytest.param(lambda: SlotSensitive(n_players=9), id="slot sensitive"),
    pytest.param(network, id="network"),
    pytest.param(lambda: network(samples=2), id="stochastic network"),
]


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else ArrowFileStore(tmp_path / "store")


def bits(found: Result) -> list[bytes]:
    """Everything that a run answers, convergence included."""
    estimates = (*found.estimates, *found.convergence)
    return [e.values.tobytes() + e.std_errors.tobytes() for e in estimates] + [found.ends.tobytes()]


def ended(store: Store, name: str) -> dict[str, Any]:
    outcome = store.outcome(name)
    assert outcome is not None
    return outcome


def units_of(size: int) -> Callable[..., int]:
    return lambda design, block, draws: size


class Stopping:
    """A watcher that breaks a run off by Ctrl-C once so many evaluations are committed."""

    def __init__(self, after: int) -> None:
        self.after = after

    def started(self, job: str, evaluations: int, done: int) -> None: ...

    def advanced(self, done: int) -> None:
        if done >= self.after:
            raise KeyboardInterrupt

    def estimated(self, estimates: Sequence[Estimate]) -> None: ...

    def judged(self, verdicts: Sequence[Verdict]) -> None: ...


@pytest.mark.parametrize("make", GAMES)
def test_same_bits_whatever_the_units(make: Callable[[], Game], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = bits(explain(make(), asks=ASKS, budget=300, seed=4))
    for size in (1, 7, 1000):
        monkeypatch.setattr(job, "unit_draws", units_of(size))
        place = MemoryStore() if isinstance(store, MemoryStore) else ArrowFileStore(f"{store.url[7:]}-{size}")
        found = explain(make(), asks=ASKS, budget=300, seed=4, store=place)
        assert bits(found) == wanted
        assert len(place.committed(found.job)) == -(-150 // size)


@pytest.mark.ray
def test_same_bits_on_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    from xai_ray.engine import RayEngine

    wanted = bits(explain(network(), asks=AUTO, budget=300, seed=4))
    monkeypatch.setattr(job, "unit_draws", units_of(11))
    assert (
        bits(explain(network(), asks=AUTO, budget=300, seed=4, engine=RayEngine(actors=2, gpus_per_actor=0))) == wanted
    )


@pytest.mark.parametrize("make", GAMES)
def test_an_extended_budget_equals_a_fresh_one(make: Callable[[], Game], store: Store) -> None:
    first = explain(make(), asks=ASKS, budget=100, seed=4, store=store)
    extended = explain(make(), asks=ASKS, budget=300, seed=4, store=store)
    fresh = explain(make(), asks=ASKS, budget=300, seed=4)
    assert first.job == extended.job == fresh.job
    assert bits(extended) == bits(fresh)
    assert (first.evaluations, extended.evaluations) == (100, 300)
    assert len(store.segments(first.job)) == 2


def test_an_extended_budget_pays_for_the_new_alone(store: Store) -> None:
    game = Counting(9)
    for budget, paid in [(100, 100), (300, 300), (300, 300), (60, 300), (302, 302)]:
        explain(game, asks=ASKS, budget=budget, store=store)
        assert game.rows == paid


@pytest.mark.parametrize("estimator", ["leverage", "permutation"])
def test_a_smaller_budget_uses_the_prefix(store: Store, estimator: str) -> None:
    explain(Counting(9), estimator=estimator, budget=300, store=store)
    smaller = explain(Counting(9), estimator=estimator, budget=130, store=store)
    assert bits(smaller) == bits(explain(Counting(9), estimator=estimator, budget=130))
    assert smaller.evaluations <= 130
    # What stands in the store is the last run's answer.
    assert bits(open_result(smaller.job, store)) == bits(smaller)


def test_a_stored_result_is_the_result(store: Store) -> None:
    found = explain(Counting(9, 2), asks=ASKS, budget=300, store=store)
    again = open_result(found.job, store)
    assert bits(again) == bits(found)
    assert again.to_document() == found.to_document()


def test_the_stop_rule_stops_at_a_boundary_from_wherever_the_run_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "unit_draws", units_of(3))
    limit = 0.12

    def run(store: Store, after: int | None = None) -> Result:
        watcher = None if after is None else Stopping(after)
        return explain(Counting(10), budget=900, std_error=limit, store=store, watcher=watcher)

    undisturbed = run(MemoryStore())
    assert 44 < undisturbed.evaluations < 900
    assert undisturbed.std_errors.max() <= limit
    assert all(e.largest_std_error > limit for e in undisturbed.convergence[:-1])
    for after in (6, 50, undisturbed.evaluations - 6):
        store = MemoryStore()
        with pytest.raises(KeyboardInterrupt):
            run(store, after)
        (name,) = store.jobs()
        assert ended(store, name)["state"] == "interrupted"
        resumed = run(store)
        assert bits(resumed) == bits(undisturbed)
        assert resumed.evaluations == undisturbed.evaluations
    # A run that went further without the rule decides the same.
    store = MemoryStore()
    explain(Counting(10), budget=900, store=store)
    assert bits(run(store)) == bits(undisturbed)


def test_a_budget_that_ends_first_is_imprecise(store: Store) -> None:
    found = explain(Counting(10), budget=100, std_error=1e-9, store=store)
    assert found.provenance["precise"] is False
    assert ended(store, found.job)["state"] == "imprecise"
    assert found.evaluations == 100


def test_a_finished_job_answers_another_index_for_nothing(store: Store) -> None:
    game = Counting(9)
    found = explain(game, "SII", budget=400, store=store)
    paid = game.rows
    for index in ("SV", "STII", "BII"):
        assert np.isfinite(found.ask(index).values).all()
        assert np.isfinite(open_result(found.job, store).ask(index).values).all()
    assert game.rows == paid


def test_a_complete_job_answers_every_index_exactly(store: Store) -> None:
    game = Counting(6)
    found = explain(game, budget="exact", store=store)
    other = explain(Counting(6), "FSII", budget="exact")
    np.testing.assert_allclose(found.ask("FSII").values, other.values, atol=1e-12)
    assert game.rows == 64


class CancelAfter(Stopping):
    """Sets the cancel flag of the job, as another process would."""

    def __init__(self, after: int, store: Store) -> None:
        super().__init__(after)
        self.store = store

    def advanced(self, done: int) -> None:
        if done >= self.after:
            for name in self.store.jobs():
                self.store.cancel(name, True)


def test_a_cancelled_job_can_be_resumed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "unit_draws", units_of(3))
    monkeypatch.setattr(job.time, "monotonic", iter(range(10**6)).__next__)
    with pytest.raises(Cancelled, match="resume"):
        explain(Counting(9), budget=300, store=store, watcher=CancelAfter(50, store))
    (name,) = store.jobs()
    assert ended(store, name)["state"] == "cancelled"
    kept = len(store.committed(name))
    assert 0 < kept < 50
    game = Counting(9)
    assert bits(explain(game, budget=300, store=store)) == bits(explain(Counting(9), budget=300))
    assert game.rows == 300 - 6 * kept
    assert not store.cancelled(name)


def test_a_damaged_record_is_refused_and_healed_on_request(tmp_path: Path) -> None:
    store = ArrowFileStore(tmp_path)
    game = Counting(9)
    wanted = explain(game, budget=300, store=store)
    for path in sorted(tmp_path.glob("*/units/*/*.arrow"))[:1]:
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptRecord, match=r"unit \[.*--recompute"):
        explain(game, budget=300, store=store)
    with pytest.raises(CorruptRecord):
        open_result(wanted.job, store)
    assert game.rows == 300
    healed = explain(game, budget=300, store=store, recompute=True)
    assert bits(healed) == bits(wanted)
    assert 300 < game.rows <= 600


def test_processes_that_run_one_job_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    gate, found = spawn.Barrier(2), spawn.Queue()
    processes = [spawn.Process(target=run_in_process, args=(str(tmp_path), gate, found)) for _ in range(2)]
    for process in processes:
        process.start()
    got = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    alone = explain(Counting(10), budget=600)
    assert got == [alone.values.tobytes() + alone.std_errors.tobytes()] * 2
    store = ArrowFileStore(tmp_path)
    units = sorted(store.committed(alone.job))
    assert [u.start for u in units[1:]] == [u.stop for u in units[:-1]]
    assert (units[0].start, units[-1].stop) == (0, 300)


def test_another_spec_under_the_same_id_is_refused(store: Store) -> None:
    found = explain(Counting(9), budget=100)
    other = job.Manifest(found.job, "0" * 64, {})
    store.open(other)
    game = Counting(9)
    with pytest.raises(DigestMismatch, match="another spec"):
        explain(game, budget=100, store=store)
    assert game.rows == 0
    assert store.segments(found.job) == []


def test_another_game_is_another_job(store: Store) -> None:
    names = {
        explain(game, budget=100, seed=seed, store=store).job
        for game in (Counting(9), Counting(9, seed=1), Counting(9, 2))
        for seed in (0, 1)
    }
    assert len(names) == len(store.jobs()) == 6


def test_a_value_that_is_not_finite_names_unit_and_coalition(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "unit_draws", units_of(8))
    game = NanOnce(6)
    game.bad = 0b101001
    with pytest.raises(NonFiniteValue, match=r"unit \[40, 48\).*is nan.*players \{0, 3, 5\} of 6"):
        explain(game, budget="exact", store=store)
    (name,) = store.jobs()
    assert sorted(store.committed(name)) == [Unit(8 * i, 8 * i + 8) for i in range(5)]
    assert ended(store, name)["state"] == "failed"
    assert "players {0, 3, 5}" in ended(store, name)["reason"]
    paid, game.bad = game.rows, None
    assert bits(explain(game, budget="exact", store=store)) == bits(explain(Counting(6), budget="exact"))
    assert game.rows == paid + 24


class Failing(MemoryStore):
    """A store whose disk is full after some commits."""

    left = 4

    def commit(self, job: str, record: Any, epoch: int = 0) -> bool:
        self.left -= 1
        if self.left < 0:
            raise StoreError("no space left; free some")
        return super().commit(job, record, epoch)

    def append(self, job: str, event: dict[str, Any]) -> None:
        if self.left <= 0:
            raise StoreError("and the log is closed")
        super().append(job, event)


def test_the_error_of_a_full_store_is_the_one_that_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "unit_draws", units_of(5))
    store = Failing()
    with pytest.raises(StoreError, match="no space left"):
        explain(Counting(9), budget=300, store=store)
    (name,) = store.jobs()
    assert len(store.committed(name)) == 4
    store.left = 10**6
    assert bits(explain(Counting(9), budget=300, store=store)) == bits(explain(Counting(9), budget=300))


def test_a_partial_result_is_the_estimate_of_the_committed_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "unit_draws", units_of(5))
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        explain(Counting(9), budget=300, store=store, watcher=Stopping(120))
    (name,) = store.jobs()
    with pytest.raises(StoreError, match=r"interrupted.*--partial"):
        open_result(name, store)
    part = open_result(name, store, partial=True)
    assert part.evaluations == 120
    assert part.estimates[0].values.tobytes() == explain(Counting(9), budget=120).estimates[0].values.tobytes()


def test_watchers_are_told_in_order() -> None:
    told: list[tuple[str, int]] = []

    class Telling(Stopping):
        def started(self, job: str, evaluations: int, done: int) -> None:
            told.append(("started", done))

        def advanced(self, done: int) -> None:
            told.append(("advanced", done))

        def estimated(self, estimates: Sequence[Estimate]) -> None:
            told.append(("estimated", estimates[0].evaluations))

    explain(Counting(10), budget=900, watcher=Telling(0))
    assert told[0] == ("started", 0)
    assert [done for what, done in told if what == "advanced"][-1] == 900
    at = [done for what, done in told if what == "estimated"]
    assert at == sorted(set(at))
    assert at


def test_names_of_engines_and_tables() -> None:
    game = TableGame(smooth_table(5))
    assert bits(explain(game, budget="exact", engine=InlineEngine())) == bits(explain(game, budget=32))
