from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.engine_games import NanAt, Returns, SlotSensitive, SumOfProducts
from xai_ray.coalitions import Design, Exhaustive, Permutations, Strata, Unit
from xai_ray.coalitions.strata import uniform_law
from xai_ray.engine import pace, worker
from xai_ray.engine.worker import evaluate
from xai_ray.errors import ModelOutputError, NonFiniteValue

DESIGNS: list[Design] = [Exhaustive(7), Permutations(7, 3), Strata(7, 3, uniform_law(7)), Permutations(7, 3, True)]
DRAWS = 40


def cut(points: list[int], stop: int) -> list[Unit]:
    ends = [0, *sorted({p for p in points if 0 < p < stop}), stop]
    return [Unit(a, b) for a, b in itertools.pairwise(ends)]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("block", [1, 5, 64, 1000])
@given(points=st.lists(st.integers(1, DRAWS - 1)))
def test_any_cut_into_units_gives_the_same_bits(design: Design, block: int, points: list[int]) -> None:
    game = SlotSensitive(block=block)
    whole = evaluate(Unit(0, DRAWS), game, design).values
    parts = [evaluate(unit, game, design).values for unit in cut(points, DRAWS)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    # Row by row: the slot of a row is its number in the job modulo the block.
    draw = design.draw(0, DRAWS)
    rows = np.arange(len(draw.coalitions))
    expected = SumOfProducts(block=1).values(draw.coalitions, draw.context)
    expected = expected + (rows % block)[:, None] * 2.0**-50 + draw.context[:, None] * 0.125
    assert whole.tobytes() == expected.tobytes()


@pytest.mark.parametrize("cells", [1, 50, 300])
@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: type(d).__name__)
def test_draws_regenerated_piecewise_give_the_same_bits(
    design: Design, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    game, unit = SlotSensitive(block=6), Unit(3, DRAWS)
    whole = evaluate(unit, game, design).values
    monkeypatch.setattr(worker, "_CELLS", cells)
    monkeypatch.setattr(worker, "_ROWS", 12)
    assert evaluate(unit, game, design).values.tobytes() == whole.tobytes()


@pytest.mark.parametrize(("seconds", "sizes"), [(np.inf, [256, 512, 1024, 208]), (-1.0, [256] * 7 + [208])])
def test_calls_grow_while_they_are_quick(seconds: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Spy(SlotSensitive):
        def values(self, coalitions, context):
            asked.append(len(coalitions))
            return SlotSensitive.values(self, coalitions, context)

    design = Strata(30, 3, uniform_law(30))
    monkeypatch.setattr(pace, "QUICK", seconds)
    found = evaluate(Unit(0, 1000), Spy(n_players=30, block=8), design).values
    assert asked == sizes
    alone = [evaluate(Unit(at, at + 1), SlotSensitive(n_players=30, block=8), design).values for at in range(1000)]
    assert found.tobytes() == np.concatenate(alone).tobytes()


def test_a_pace_falls_where_it_takes_long() -> None:
    going = pace.Pace(3, 40)
    sizes = []
    for seconds in (0.0, 0.0, 0.0, 0.0, 0.03, 1.0, 1.0, 1.0, 1.0, 1.0):
        going.took(seconds)
        sizes.append(going.size)
    assert sizes == [6, 12, 24, 40, 40, 20, 10, 5, 3, 3]


def test_padding_copies_a_row_that_is_no_expectation() -> None:
    seen = []

    class Spy(SumOfProducts):
        def values(self, coalitions, context):
            seen.append(context.copy())
            return super().values(coalitions, context)

    evaluate(Unit(0, 2), Spy(block=40), Permutations(7, 3))
    assert len(seen) == 1
    assert len(seen[0]) == 40
    assert (seen[0] == -1).sum() == 2


def test_facts_and_shape() -> None:
    record = evaluate(Unit(2, 5), SumOfProducts(), Permutations(7, 3))
    assert record.unit == Unit(2, 5)
    assert record.values.shape == (36, 2)
    assert record.facts["evaluations"] == 36
    assert record.facts["pid"] == os.getpid()
    assert record.facts["seconds"] > 0


def test_a_value_that_is_not_finite_names_unit_row_coalition_and_output() -> None:
    with pytest.raises(NonFiniteValue, match=r"unit \[8, 40\), row 5: output 'square' is nan .*\{0, 2, 3\} of 7"):
        evaluate(Unit(8, 40), NanAt(code=13), Exhaustive(7))


def test_the_row_is_counted_over_all_batches() -> None:
    with pytest.raises(NonFiniteValue, match=r"unit \[8, 1000\), row 892"):
        evaluate(Unit(8, 1000), NanAt(n_players=10, code=900), Exhaustive(10))


@pytest.mark.parametrize("block", [1, 7, 300])
def test_only_the_ends_are_padded(block: int) -> None:
    passed = []

    class Spy(SumOfProducts):
        def values(self, coalitions, context):
            passed.append(len(coalitions))
            return super().values(coalitions, context)

    evaluate(Unit(11, 1000), Spy(n_players=10, block=block), Exhaustive(10))
    assert sum(passed) == (-(-1000 // block) - 11 // block) * block


def test_a_large_coalition_is_named_by_its_size_and_head() -> None:
    design = Permutations(30, 0)
    with pytest.raises(NonFiniteValue, match=r"row 1: .* 30 of 30 players \(first 20: \{0, 1, .*, 19\}\)"):
        evaluate(Unit(0, 3), NanAt(n_players=30, code=(1 << 30) - 1), design)


def test_padding_is_never_to_blame() -> None:
    # Rows 8..9 are padded with copies of row 8, whose value is finite; the code of row 10 is not in the unit.
    values = evaluate(Unit(8, 10), NanAt(code=10, block=8), Exhaustive(7)).values
    assert np.isfinite(values).all()


@pytest.mark.parametrize("what", ["float32", "list", "short", "flat"])
def test_an_output_of_the_wrong_shape_or_type_is_refused(what: str) -> None:
    with pytest.raises(
        ModelOutputError, match=r"unit \[0, 8\): the game returned .* expected float64 of shape \(8, 2\)"
    ):
        evaluate(Unit(0, 8), Returns(what=what), Exhaustive(7))
