"""Both engines give the same bits, whatever the number of workers and the cut into units; and fail alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engine.engine_games import NanAt, Raises, Returns, SlotSensitive, SumOfProducts
from xai_ray.coalitions import Exhaustive, Permutations, Unit
from xai_ray.engine import Engine, InlineEngine
from xai_ray.errors import ModelOutputError, NonFiniteValue, UnknownName, XaiRayError
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record, Segment
from xai_ray.types import Values

DESIGN = Permutations(7, seed=5)
DRAWS = 30


def never() -> bool:
    return False


def run(engine: Engine, game: Game, size: int) -> Values:
    """Values of the draws in canonical order; every unit must have been committed once."""
    units = list(Segment(0, DRAWS, size).units())
    records: list[Record] = []
    engine.run(game, DESIGN, units, records.append, never)
    assert sorted(r.unit for r in records) == units
    return np.concatenate([r.values for r in sorted(records, key=lambda r: r.unit)])


@pytest.fixture(scope="module")
def ray_engines() -> Iterator[dict[int, Engine]]:
    import ray

    from xai_ray.engine import RayEngine
    from xai_ray.engine.ray_connection import connected

    with connected(address=None, cpus=4):
        assert ray.is_initialized()
        yield {actors: RayEngine(actors=actors, gpus_per_actor=0) for actors in (1, 3)}
    assert not ray.is_initialized()


@pytest.mark.parametrize("size", [1, 4, 7, 30])
def test_inline_gives_the_same_bits_whatever_the_units(size: int) -> None:
    assert run(InlineEngine(), SlotSensitive(), size).tobytes() == run(InlineEngine(), SlotSensitive(), 11).tobytes()


@pytest.mark.ray
@pytest.mark.parametrize(("actors", "size"), [(1, 7), (3, 7), (3, 1), (3, 30)])
def test_ray_gives_the_bits_of_inline(ray_engines: dict[int, Engine], actors: int, size: int) -> None:
    assert (
        run(ray_engines[actors], SlotSensitive(), size).tobytes() == run(InlineEngine(), SlotSensitive(), 11).tobytes()
    )


FAILURES = [
    (NanAt(code=13), NonFiniteValue, r"unit \[8, 16\), row 5: output 'square' is nan"),
    (Returns(what="flat"), ModelOutputError, r"expected float64 of shape \(8, 2\)"),
    (Raises(how="unknown name", code=9), UnknownName, "unknown thing 'ab'; did you mean 'abc'"),
    (
        Raises(how="value error", code=9),
        XaiRayError,
        r"unit \[8, 16\): the game raised ValueError: the weights are odd .*",
    ),
]


def fails(engine: Engine, game: Game, kind: type[XaiRayError], message: str) -> None:
    with pytest.raises(XaiRayError, match=message) as caught:
        engine.run(game, Exhaustive(7), list(Segment(0, 128, 8).units()), lambda record: None, never)
    assert type(caught.value) is kind
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(("game", "kind", "message"), FAILURES)
def test_inline_raises_the_error_of_the_unit(game: Game, kind: type[XaiRayError], message: str) -> None:
    fails(InlineEngine(), game, kind, message)


@pytest.mark.ray
@pytest.mark.parametrize(("game", "kind", "message"), FAILURES)
def test_ray_raises_the_error_of_the_unit(ray_engines: dict[int, Engine], game, kind, message: str) -> None:
    fails(ray_engines[1], game, kind, message)


def transient(engine: Engine, folder: Path) -> None:
    game = Raises(how="once", code=0, marker=str(folder / "tried"))
    records: list[Record] = []
    engine.run(game, Exhaustive(7), list(Segment(0, 128, 32).units()), records.append, never)
    assert (folder / "tried").exists()
    assert sorted(r.unit.start for r in records) == [0, 32, 64, 96]


def test_inline_tries_an_unknown_exception_again(tmp_path: Path) -> None:
    transient(InlineEngine(), tmp_path)


@pytest.mark.ray
def test_ray_tries_an_unknown_exception_again(ray_engines: dict[int, Engine], tmp_path: Path) -> None:
    transient(ray_engines[1], tmp_path)


def stops(engine: Engine) -> list[Record]:
    records: list[Record] = []
    units = list(Segment(0, 128, 8).units())
    engine.run(SumOfProducts(seconds=0.02), Exhaustive(7), units, records.append, lambda: len(records) >= 3)
    return records


def test_inline_stops_between_units() -> None:
    assert len(stops(InlineEngine())) == 3


def test_inline_stops_within_a_unit() -> None:
    asked: list[None] = []

    def stopped() -> bool:
        asked.append(None)
        return len(asked) > 5

    records: list[Record] = []
    InlineEngine().run(SumOfProducts(12), Exhaustive(12), [Unit(0, 4096)], records.append, stopped)
    assert len(asked) == 6
    assert records == []


@pytest.mark.ray
def test_ray_stops_early(ray_engines: dict[int, Engine]) -> None:
    assert 3 <= len(stops(ray_engines[3])) < 16


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_commit_raises_comes_through(error: type[BaseException]) -> None:
    def commit(record: Record) -> None:
        raise error

    with pytest.raises(error):
        InlineEngine().run(SumOfProducts(), DESIGN, [Unit(0, 1)], commit, never)


def test_no_units_no_work() -> None:
    InlineEngine().run(SumOfProducts(), DESIGN, [], lambda record: pytest.fail("committed"), never)


def test_ray_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, xai_ray.engine as e; e.InlineEngine(); assert not {'ray', 'torch'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
