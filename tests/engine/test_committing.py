"""Workers that commit by themselves: values reach the answers through the store alone, and an overtaken run stops."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.engine_games import SumOfProducts
from xai_ray.api import explain
from xai_ray.coalitions import Design, Exhaustive, Unit
from xai_ray.engine import InlineEngine, evaluate, job, reading
from xai_ray.engine.committing import Ack, Committer, Hand, Ties
from xai_ray.errors import Fenced, MissingRecord, StoreError
from xai_ray.games import Game
from xai_ray.stores import ArrowFileStore, Record, Segment
from xai_ray.testing.stores import a_manifest

DESIGN = Exhaustive(7)
UNITS = list(Segment(0, 128, 8).units())


class Remote(ArrowFileStore):
    """Files that say workers may commit by themselves; with epochs, kept in a file. Counts the values that are read."""

    read = 0

    @property
    def remote(self) -> bool:
        return True

    def claim(self, job: str) -> int:
        self.epoch_file(job).write_text(str(self.epoch(job) + 1))
        return self.epoch(job)

    def commit(self, job: str, record: Record, epoch: int = 0) -> bool:
        if epoch < self.epoch(job):
            raise Fenced(f"job {job} was taken over by another run")
        return super().commit(job, record)

    def close(self, job: str, outcome: dict[str, Any], epoch: int = 0) -> None:
        if epoch < self.epoch(job):
            raise Fenced(f"job {job} was taken over by another run")
        super().close(job, outcome)

    def records(self, job: str, units: list[Unit]):
        self.read += len(units)
        return super().records(job, units)

    def epoch(self, job: str) -> int:
        file = self.epoch_file(job)
        return int(file.read_text()) if file.exists() else 0

    def epoch_file(self, job: str) -> Path:
        return Path(self.url.removeprefix("file://"), f"{job}.epoch")


class Unreachable(Remote):
    def commit(self, job: str, record: Record, epoch: int = 0) -> bool:
        raise StoreError("no way there")


@dataclass
class CommittingEngine:
    """One worker in this process that commits by itself. `meanwhile` is called before each unit."""

    meanwhile: Callable[[Unit], None] = lambda unit: None

    def run(
        self,
        game: Game,
        design: Design,
        units: Sequence[Unit],
        commit: Callable[[Record], None],
        stopped: Callable[[], bool],
        ties: Ties | None = None,
    ) -> None:
        assert ties is not None
        assert ties.committer is not None
        assert ties.acknowledged is not None
        hand = Hand(pickle.loads(pickle.dumps(ties.committer)))
        for unit in units:
            if stopped():
                return
            self.meanwhile(unit)
            ack = hand.commit(evaluate(unit, game, design))
            assert isinstance(ack, Ack)
            ties.acknowledged(ack)


def bits(found: Any) -> list[bytes]:
    return [e.values.tobytes() + e.std_errors.tobytes() for e in (*found.estimates, *found.convergence)]


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "unit_draws", lambda design, block, draws: 7)


@pytest.mark.parametrize("some", [1, 3, 8, 1000])
def test_values_are_read_some_units_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: int) -> None:
    monkeypatch.setattr(reading, "_AT_ONCE", some)
    store = Remote(tmp_path / "store")
    found = explain(SumOfProducts(n_players=9, block=1), "SV", budget=400, seed=2, store=store)
    design = reading.design_of(store.manifest(found.job))
    draws = design.affordable(400)
    wanted = [r.values for r in store.records(found.job, sorted(store.committed(found.job), key=lambda u: u.start))]
    assert len(wanted) > 8
    assert reading.values_of(store, found.job, draws).tobytes() == np.concatenate(wanted).tobytes()


@pytest.mark.parametrize("rule", [{}, {"std_error": 0.3}, {"std_error": 1e-9}])
def test_the_same_bits_and_the_same_end_without_values_in_between(tmp_path: Path, rule: dict[str, float]) -> None:
    game = SumOfProducts(n_players=9, block=1)
    wanted = explain(game, "SV", budget=400, seed=2, **rule)  # type: ignore[arg-type]
    store = Remote(tmp_path / "store")
    found = explain(game, "SV", budget=400, seed=2, engine=CommittingEngine(), store=store, **rule)  # type: ignore[arg-type]
    assert (found.job, found.evaluations, found.provenance["stop"]) == (
        wanted.job,
        wanted.evaluations,
        wanted.provenance["stop"],
    )
    assert bits(found) == bits(wanted)


def test_a_resumed_run_reads_values_at_boundaries_only(tmp_path: Path) -> None:
    game = SumOfProducts(n_players=9, block=1)

    def interrupt(unit: Unit) -> None:
        if unit.start >= 140:
            raise KeyboardInterrupt

    store = Remote(tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        explain(game, "SV", budget=400, seed=2, engine=CommittingEngine(interrupt), store=store)
    store = Remote(tmp_path / "store")
    evaluated: list[Unit] = []
    again = explain(game, "SV", budget=400, seed=2, engine=CommittingEngine(evaluated.append), store=store)
    assert bits(again) == bits(explain(game, "SV", budget=400, seed=2))
    assert evaluated[0].start == 140
    assert len(evaluated) == len(store.committed(again.job)) - 20


def test_a_run_that_was_overtaken_ends_and_leaves_the_outcome_to_the_other(tmp_path: Path) -> None:
    game, store = SumOfProducts(n_players=9, block=1), Remote(tmp_path / "store")
    other = Remote(tmp_path / "store")

    def overtake(unit: Unit) -> None:
        if unit.start == 70:
            other.claim(other.jobs()[0])

    with pytest.raises(Fenced, match="taken over"):
        explain(game, "SV", budget=400, seed=2, engine=CommittingEngine(overtake), store=store)
    (name,) = store.jobs()
    assert len(store.committed(name)) == 10
    assert store.outcome(name) is None


class Forgetful(Remote):
    """Loses the newest records, as a server that is killed with a log written every second, when values are read the nth time."""

    reads = 0
    forgets = (1,)

    def records(self, job: str, units: list[Unit]):
        self.reads += 1
        if self.reads in self.forgets:
            for unit in units[-3:]:
                self.discard(job, unit)
        return super().records(job, units)


class ForgetfulAtTheEnd(Remote):
    """The same, after the last unit is committed."""

    forgets = 1

    def committed(self, job: str) -> set[Unit]:
        found = super().committed(job)
        if found and max(u.stop for u in found) == self.segments(job)[-1].stop and self.forgets:
            self.forgets -= 1
            for unit in (min(found), max(found)):
                self.discard(job, unit)
        return super().committed(job)


@pytest.mark.parametrize("rule", [{}, {"std_error": 0.3}, {"std_error": 1e-9}])
@pytest.mark.parametrize("kind", [Forgetful, ForgetfulAtTheEnd])
@pytest.mark.parametrize("engine", [CommittingEngine(), InlineEngine()])
def test_what_the_store_loses_during_a_run_is_evaluated_again(
    tmp_path: Path, rule: dict[str, float], kind: type[Remote], engine: Any
) -> None:
    game, wanted = SumOfProducts(n_players=9, block=1), SumOfProducts(n_players=9, block=1)
    plain = explain(wanted, "SV", budget=400, seed=2, **rule)  # type: ignore[arg-type]
    store = kind(tmp_path / "store")
    found = explain(game, "SV", budget=400, seed=2, engine=engine, store=store, **rule)  # type: ignore[arg-type]
    assert bits(found) == bits(plain)
    assert found.evaluations == plain.evaluations
    lost = [e for e in store.events(found.job) if e["event"] == "records lost"]
    assert len(lost) == (1 if kind is Forgetful or rule != {"std_error": 0.3} else 0)
    assert (store.outcome(found.job) or {})["state"] == ("imprecise" if rule == {"std_error": 1e-9} else "done")


class Sieve(Forgetful):
    """Loses again and again."""

    forgets = tuple(range(1, 1000))


def test_a_store_that_never_stops_losing_is_given_up(tmp_path: Path) -> None:
    store = Sieve(tmp_path / "store")
    with pytest.raises(MissingRecord, match="has no record"):
        explain(SumOfProducts(n_players=9, block=1), "SV", budget=400, engine=CommittingEngine(), store=store)
    (name,) = store.jobs()
    assert (store.outcome(name) or {})["state"] == "failed"


def test_an_overtaken_run_that_fails_leaves_the_outcome_alone(tmp_path: Path) -> None:
    store, other = Remote(tmp_path / "store"), Remote(tmp_path / "store")

    def overtake(unit: Unit) -> None:
        if unit.start == 70:
            name = other.jobs()[0]
            other.close(name, {"state": "done", "by": "the other"}, other.claim(name))
            raise RuntimeError("the network is down")

    with pytest.raises(RuntimeError, match="network"):
        explain(SumOfProducts(n_players=9, block=1), "SV", budget=400, engine=CommittingEngine(overtake), store=store)
    (name,) = store.jobs()
    assert store.outcome(name) == {"state": "done", "by": "the other"}
    assert [e["event"] for e in store.events(name)] == ["started"]


def test_the_inline_engine_commits_with_its_epoch_too(tmp_path: Path) -> None:
    game, store = SumOfProducts(n_players=9, block=1), Remote(tmp_path / "store")
    found = explain(game, "SV", budget=400, seed=2, store=store)
    assert store.epoch(found.job) == 1
    assert bits(found) == bits(explain(game, "SV", budget=400, seed=2))


def test_a_second_commit_is_acknowledged_as_such(tmp_path: Path) -> None:
    store = Remote(tmp_path)
    name = store.open(a_manifest()).job
    hand = Hand(Committer(store, name, 1))
    record = Record(Unit(0, 2), np.zeros((2, 1)), {"seconds": 0.1, "evaluations": 2})
    first, second = hand.commit(record), hand.commit(record)
    assert isinstance(first, Ack)
    assert isinstance(second, Ack)
    assert (first.put, second.put, first.evaluations) == (True, False, 2)
    assert first.facts["commit_seconds"] > 0


def test_a_worker_that_cannot_reach_the_store_hands_the_record_back() -> None:
    record = Record(Unit(0, 2), np.ones((2, 1)), {"pid": 1})
    home = Hand(Committer(Unreachable("/nowhere"), "cat-0", 1)).commit(record)
    assert isinstance(home, Record)
    assert (home.unit, home.values.tobytes()) == (record.unit, record.values.tobytes())
    assert home.facts == {"pid": 1, "uncommitted": "no way there"}


@pytest.mark.ray
def test_actors_commit_and_an_overtaken_run_says_so(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    from xai_ray.engine import RayEngine

    os.environ.setdefault("RAY_AUTH_TOKEN", "a" * 64)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=40)
    try:
        store = Remote(tmp_path / "store")
        name = store.open(a_manifest()).job
        committer = Committer(store, name, store.claim(name))
        acks: list[Ack] = []
        ties = Ties(name, committer, acks.append)
        engine = RayEngine(actors=2, gpus_per_actor=0)
        engine.run(SumOfProducts(), DESIGN, UNITS[:12], _never_commit, lambda: False, ties)
        assert sorted(ack.unit for ack in acks) == UNITS[:12]
        assert all(ack.put for ack in acks)
        assert store.committed(name) == set(UNITS[:12])

        # Two workers of one run cannot reach the store: their values come home.
        home: list[Record] = []
        cut_off = replace(ties, committer=Committer(Unreachable(tmp_path / "store"), name, 1))
        engine.run(SumOfProducts(), DESIGN, UNITS[12:14], home.append, lambda: False, cut_off)
        assert sorted(record.unit for record in home) == UNITS[12:14]

        store.claim(name)
        with pytest.raises(Fenced, match="taken over by another run"):
            engine.run(SumOfProducts(), DESIGN, UNITS[14:], _never_commit, lambda: False, ties)
        assert store.committed(name) == set(UNITS[:12])
    finally:
        ray.shutdown()
    expected: list[Record] = []
    InlineEngine().run(SumOfProducts(), DESIGN, UNITS[:12], expected.append, lambda: False)
    found = list(store.records(name, UNITS[:12]))
    assert b"".join(r.values.tobytes() for r in found) == b"".join(r.values.tobytes() for r in expected)


def _never_commit(record: Record) -> None:
    raise AssertionError(f"{record.unit} came home, although its worker could commit it")
