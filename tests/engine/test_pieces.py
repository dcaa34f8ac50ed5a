"""Jobs of pieces: the same bits whatever the units, the order of commits, the engine, and whatever was lost on the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.redis_server import KINDS, running
from xai_ray.api import open_result, run_planned
from xai_ray.build import closed_form_plan
from xai_ray.coalitions import Pieces, Unit, from_description
from xai_ray.engine import InlineEngine, evaluate
from xai_ray.engine.job import manifest_of
from xai_ray.errors import CorruptRecord, ModelOutputError, NonFiniteValue, NotEnoughSamples, SpecError
from xai_ray.estimators import PieceSums, Stop, boundaries
from xai_ray.indices import Question
from xai_ray.reports import Result
from xai_ray.stores import ArrowFileStore, MemoryStore, Record
from xai_ray.valuation.pieces import Sums, ValuationGame

N = 5


@dataclass
class Samples:
    """Piece j has fixed samples of each point; some say nothing of a point."""

    fold: str
    big: float = 0.0
    done: list[tuple[int, int]] = field(default_factory=list)

    def of(self, piece: int) -> tuple[np.ndarray, np.ndarray]:
        r = np.random.default_rng(piece)
        values = r.normal(size=(N, 2)) + self.big
        present = r.random((N, 2)) < 0.6
        return (values, np.ones_like(present)) if self.fold == "mean" else (values, present)

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        between()
        self.done.append((start, stop))
        found = [self.of(piece) for piece in range(start, stop)]
        values, present = np.stack([f[0] for f in found]), np.stack([f[1] for f in found])
        if self.fold == "share":
            return np.stack([((values > 0) & present).sum(axis=0), present.sum(axis=0)], axis=1).astype(float), {}
        count = present.sum(axis=0)
        mean = np.where(present, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        spread = np.where(present, (values - mean) ** 2, 0.0).sum(axis=0)
        parts = [mean, spread] + ([count.astype(float)] if self.fold == "present" else [])
        return np.stack(parts, axis=1), {"empty": 0.25}


def a_game(fold: str = "present", block: int = 8, pieces: int | None = None, source: Any = None) -> ValuationGame:
    design = Pieces(N, 2, fold, block, pieces)  # pyright: ignore[reportArgumentType]
    source = source or Samples(fold)
    names, outputs = tuple(f"point {i}" for i in range(N)), ("a", "b")
    return ValuationGame("data_oob", Question("Data-OOB", order=1), names, outputs, "d" * 64, design, source)


def run(game: ValuationGame, budget: int, store: Any = None, engine: Any = "inline", stop: Stop = Stop()) -> Result:  # noqa: B008
    planned = closed_form_plan(game, budget, stop)
    manifest = manifest_of("pieces", game, planned, {"budget": {"evaluations": budget}, "seed": 0})
    return run_planned(manifest, game, planned, stop, engine, store, False, None)


def bits(result: Result) -> list[bytes]:
    curve = [e.values.tobytes() + e.std_errors.tobytes() for e in result.convergence]
    return [result.values.tobytes(), result.std_errors.tobytes(), result.ends.tobytes(), *curve]


@dataclass
class Shuffled:
    """Commits units in a random order, and some of them twice."""

    seed: int

    def run(
        self, game: Any, design: Any, units: Sequence[Unit], commit: Callable[[Record], None], stopped: Any, ties: Any
    ) -> None:
        order = [*units, *list(units)[::3]]
        random.Random(self.seed).shuffle(order)
        for unit in order:
            if stopped():
                return
            commit(evaluate(unit, game, design))


@pytest.mark.parametrize("fold", ["mean", "present"])
@pytest.mark.parametrize("big", [0.0, 1e6])
def test_means_and_errors_are_those_of_all_samples(fold: str, big: float) -> None:
    source = Samples(fold, big)
    result = run(a_game(fold, source=source), 64)
    for point in range(N):
        for output in range(2):
            held = [(v[point, output], p[point, output]) for v, p in map(source.of, range(64))]
            values = np.array([v for v, p in held if p])
            assert result.values[point, output] == pytest.approx(values.mean(), abs=1e-12 * max(1.0, big))
            error = values.std(ddof=1) / np.sqrt(len(values))
            assert result.std_errors[point, output] == pytest.approx(error, rel=1e-7)
    np.testing.assert_allclose(result.ends, [[0.25] * 2, 0.25 + result.values.sum(axis=0)])


def test_shares_are_counted() -> None:
    source = Samples("share")
    result = run(a_game("share", source=source), 50)
    found = [source.of(piece) for piece in range(50)]
    right = sum(((v > 0) & p).astype(int) for v, p in found)
    seen = sum(p.astype(int) for _, p in found)
    np.testing.assert_array_equal(result.values, right / seen)
    assert result.evaluations == 50


@pytest.mark.parametrize("fold", ["mean", "present", "share"])
@pytest.mark.parametrize("engine", [Shuffled(1), Shuffled(2)])
def test_the_order_of_commits_changes_nothing(fold: str, engine: Shuffled) -> None:
    assert bits(run(a_game(fold), 96, engine=engine)) == bits(run(a_game(fold), 96))


@pytest.mark.parametrize("fold", ["mean", "present", "share"])
@pytest.mark.parametrize("cuts", [(16, 96), (24, 48, 96), (17, 53, 96), (95, 96)])
def test_an_extended_job_has_the_bits_of_one_at_one_go(fold: str, cuts: tuple[int, ...]) -> None:
    store = MemoryStore()
    source = Samples(fold)
    for budget in cuts:
        last = run(a_game(fold, source=source), budget, store)
    assert bits(last) == bits(run(a_game(fold), 96))
    covered = sorted(source.done)
    assert all(a[1] == b[0] for a, b in pairwise(covered)), "every piece once"
    assert open_result(last.job, store).to_document() == last.to_document()
    if fold != "share":
        assert run(a_game(fold), 17).evaluations == 16, "whole blocks"


@settings(max_examples=40, deadline=None)
@given(cut=st.lists(st.integers(1, 95), min_size=0, max_size=6, unique=True))
def test_counts_fold_exactly_in_any_cut(cut: list[int]) -> None:
    source, design = Samples("share"), Pieces(N, 2, "share", 8)
    ends = [0, *sorted(cut), 96]
    sums = PieceSums(design)
    for start, stop in pairwise(ends):
        sums.add(start, stop, source.sums(start, stop, lambda: None)[0].reshape(N, -1), {})
    whole = PieceSums(design)
    whole.add(0, 96, source.sums(0, 96, lambda: None)[0].reshape(N, -1), {})
    assert [a.tobytes() for a in sums.answer()[:2]] == [a.tobytes() for a in whole.answer()[:2]]


def test_all_pieces_are_exact_and_some_are_a_sample() -> None:
    part, whole = run(a_game("mean", pieces=90), 48), run(a_game("mean", pieces=90), 1000)
    assert whole.evaluations == 90
    assert (whole.std_errors == 0).all()
    endless = run(a_game("mean"), 48)
    np.testing.assert_allclose(part.std_errors, endless.std_errors * np.sqrt(1 - 48 / 90), rtol=1e-12)


def test_a_job_is_looked_at_after_whole_blocks() -> None:
    looks = list(boundaries(Pieces(N, 1, "present", 8), 100))
    assert looks == [8, 16, 24, 32, 48, 64, 88, 100]
    result = run(a_game(), 96)
    assert [e.evaluations for e in result.convergence] == [8, 16, 24, 32, 48, 64, 88, 96]
    stopped = run(a_game(), 960, stop=Stop(std_error=0.2))
    assert stopped.evaluations in list(boundaries(Pieces(N, 1, "present", 8), 960))
    assert stopped.std_errors.max() <= 0.2


def test_only_one_unit_is_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coordinator keeps no values: each look reads what is new in the store, each record once."""
    reads: list[int] = []
    store = MemoryStore()
    original = store.records
    monkeypatch.setattr(
        store, "records", lambda job, units: reads.extend(u.start for u in units) or original(job, units)
    )
    run(a_game(), 96, store, stop=Stop(std_error=1e-9))
    # Once at the looks, once for the pool that is handed out, once for its curve.
    assert len(reads) <= 3 * 12


def test_damage_is_named_and_computed_again(tmp_path: Any) -> None:
    store = ArrowFileStore(f"{tmp_path}/s")
    first = run(a_game(), 64, store)
    path = sorted(tmp_path.rglob("*.arrow"))[2]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptRecord, match="resume"):
        open_result(first.job, store)
    game, stop = a_game(), Stop()
    planned = closed_form_plan(game, 64, stop)
    manifest = manifest_of("pieces", game, planned, {"budget": {"evaluations": 64}, "seed": 0})
    again = run_planned(manifest, game, planned, stop, InlineEngine(), store, True, None)
    assert bits(again) == bits(first)


def test_redis_keeps_the_same_bits() -> None:
    with running(KINDS[0]) as server:
        found = run(a_game("share"), 96, server.url)
        assert bits(found) == bits(run(a_game("share"), 96))
        assert bits(run(a_game("share"), 200, server.url)) == bits(run(a_game("share"), 200))


class Broken:
    """Sums that are not."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        return self.found, {}


def test_what_is_no_sum_is_an_error() -> None:
    bad = np.zeros((N, 3, 2))
    bad[3, 1, 0] = np.nan
    with pytest.raises(NonFiniteValue, match=r"pieces \[0, 8\): the value of point 3 is nan"):
        run(a_game(source=Broken(bad)), 16)
    with pytest.raises(ModelOutputError, match=r"expected float64 of shape \(5, 3, 2\)"):
        run(a_game(source=Broken(np.zeros((N, 2)))), 16)


def test_what_pieces_cannot_answer() -> None:
    result = run(a_game(), 32)
    with pytest.raises(NotEnoughSamples, match="no scores of coalitions, so SV"):
        result.ask("SV")
    with pytest.raises(SpecError, match="draws no coalitions"):
        Pieces(N, 1, "mean", 8).draw(0, 1)
    store = MemoryStore()
    run(a_game("share"), 96, store)
    with pytest.raises(NotEnoughSamples, match="units that end at 16 and at 24"):
        run(a_game("share"), 20, store)
    design = Pieces(N, 2, "mean", 8, 30)
    assert from_description(design.describe()) == design


@pytest.mark.ray
def test_ray_gives_the_same_bits() -> None:
    from xai_ray.engine import RayEngine

    # Workers that commit by themselves.
    with running(KINDS[0]) as server:
        found = run(a_game(), 96, server.url, engine=RayEngine(actors=2))
        assert bits(found) == bits(run(a_game(), 96))
