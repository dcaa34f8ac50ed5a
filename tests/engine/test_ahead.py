"""Units in a row have the bits, the errors and the records of each by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.engine.engine_games import NanAt, SlotSensitive
from xai_ray.coalitions import Design, Permutations, Strata, Unit
from xai_ray.coalitions.strata import uniform_law
from xai_ray.engine import pace
from xai_ray.engine.ahead import Ahead
from xai_ray.engine.halving import Bench
from xai_ray.engine.units import Units, unit_draws
from xai_ray.engine.worker import evaluate
from xai_ray.errors import NonFiniteValue
from xai_ray.stores import Segment

DESIGNS: list[Design] = [Strata(7, 3, uniform_law(7)), Permutations(7, 3)]
UNITS = [Unit(at, at + 2) for at in range(0, 40, 2)]


def nothing() -> None:
    pass


class Spy(Bench):
    """Remembers what it was asked for."""

    def __init__(self, game: object, design: Design) -> None:
        super().__init__(game, design)  # pyright: ignore[reportArgumentType]
        self.asked: list[Unit] = []

    def evaluate(self, unit, between):
        self.asked.append(unit)
        return super().evaluate(unit, between)


def paced(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """All units are quick, or none is."""
    monkeypatch.setattr(pace, "QUICK", seconds)


def lengths(units: Sequence[Unit]) -> list[int]:
    return [(one.stop - one.start) // 2 for one in units]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: type(d).__name__)
def test_records_are_those_of_each_unit_alone(design: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, np.inf)
    game = SlotSensitive(block=5)
    bench = Spy(game, design)
    row = Ahead(bench, design, UNITS)
    found = [row.evaluate(unit, nothing) for unit in UNITS]
    assert lengths(bench.asked) == [1, 2, 4, 8, 5]
    for unit, record in zip(UNITS, found, strict=True):
        alone = evaluate(unit, game, design)
        assert record.unit == unit
        assert record.values.tobytes() == alone.values.tobytes()
        assert set(record.facts) == set(alone.facts)
        assert record.facts["evaluations"] == alone.facts["evaluations"]


def test_slow_units_are_evaluated_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, -1.0)
    bench = Spy(SlotSensitive(), DESIGNS[0])
    row = Ahead(bench, DESIGNS[0], UNITS)
    for unit in UNITS:
        row.evaluate(unit, nothing)
    assert bench.asked == UNITS


def test_units_that_are_done_stay_out_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, np.inf)
    left = [unit for unit in UNITS if unit.start not in (12, 30)]
    bench = Spy(SlotSensitive(), DESIGNS[0])
    row = Ahead(bench, DESIGNS[0], left)
    for unit in left:
        assert row.evaluate(unit, nothing).unit == unit
    assert lengths(bench.asked) == [1, 2, 3, 8, 4]


def test_any_order_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, np.inf)
    row = Ahead(Bench(SlotSensitive(), DESIGNS[0]), DESIGNS[0], UNITS)
    for at in np.random.default_rng(0).permutation(len(UNITS)):
        found = row.evaluate(UNITS[at], nothing)
        assert found.values.tobytes() == evaluate(UNITS[at], SlotSensitive(), DESIGNS[0]).values.tobytes()


def test_what_fails_in_a_row_fails_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, np.inf)
    design = DESIGNS[0]
    draw = design.draw(20, 22)
    game = NanAt(code=int(draw.coalitions[0] @ (1 << np.arange(7))))
    row = Ahead(Bench(game, design), design, UNITS)
    for unit in UNITS[:10]:
        assert np.isfinite(row.evaluate(unit, nothing).values).all()
    with pytest.raises(NonFiniteValue, match=r"unit \[20, 22\), row 0"):
        row.evaluate(UNITS[10], nothing)


class Stop(Exception):
    pass


def test_a_row_that_becomes_slow_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, np.inf)
    bench = Spy(SlotSensitive(), DESIGNS[0])
    row = Ahead(bench, DESIGNS[0], UNITS)
    for unit in UNITS[:3]:
        row.evaluate(unit, nothing)
    paced(monkeypatch, -1.0)
    for unit in UNITS[3:]:
        assert row.evaluate(unit, nothing).unit == unit
    assert bench.asked[2:] == [Unit(6, 14), *UNITS[3:]]


def test_a_stop_ends_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    paced(monkeypatch, np.inf)
    row = Ahead(Bench(SlotSensitive(), DESIGNS[0]), DESIGNS[0], UNITS)
    for unit in UNITS[:3]:
        row.evaluate(unit, nothing)

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        row.evaluate(UNITS[3], stop)
    assert row.evaluate(UNITS[3], nothing).unit == UNITS[3]


def test_units_end_where_blocks_do() -> None:
    design = Strata(12, 0, uniform_law(12))
    assert unit_draws(design, 81, 1000) == 81
    assert unit_draws(design, 80, 1000) == 40
    assert unit_draws(design, 81, 10**6) == 648
    assert unit_draws(design, 1, 1000) == 128
    draws = unit_draws(design, 81, 1000)
    ends = [design.evaluations(unit.stop) % 81 for unit in Units([Segment(0, 10 * draws, draws)])]
    assert ends == [0] * 10
