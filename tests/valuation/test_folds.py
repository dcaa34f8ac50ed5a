"""How units of leave-one-out and of TRAK fold: the bits of one go in every cut, and the jackknife of a product from moments."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.valuation.test_training_game import GAMES
from xai_ray.errors import NotEnoughSamples
from xai_ray.estimators import PieceSums
from xai_ray.estimators.product_moments import ProductMoments
from xai_ray.valuation import leave_one_out_values
from xai_ray.valuation.left_out_pieces import LeftOutPieces, left_out_design


@pytest.mark.parametrize("name", GAMES)
def test_leave_one_out_has_the_bits_of_one_go_in_every_cut(name: str) -> None:
    """The score of all is trained once a unit, and is the same in each."""
    one = GAMES[name]()
    plain = leave_one_out_values(one)
    source, n = LeftOutPieces(one), one.n_players
    ends = set()
    for tiles in (1, 2):
        design = replace(left_out_design(one), block=one.block * tiles)
        sums = PieceSums(design)
        for start in range(0, n, design.block):
            stop = min(start + design.block, n)
            found, said = source.sums(start, stop, lambda: None)
            sums.add(start, stop, found.reshape(stop - start, -1), said)
            ends.add(json.dumps(said["ends"]))
        values, errors, freedom = sums.answer()
        assert values.tobytes() == plain.values.tobytes()
        assert (errors == 0).all()
        assert freedom == np.inf
    assert len(ends) == 1
    np.testing.assert_array_equal(json.loads(ends.pop())[1], plain.facts["grand"])


@pytest.mark.parametrize(("n", "tile", "block"), [(50, 1, 16), (300, 64, 256), (20_000, 64, 320), (20_000, 1, 313)])
def test_a_unit_of_leave_one_out_is_worth_the_model_of_all(n: int, tile: int, block: int) -> None:
    """Whole blocks of the game, at least four of them and sixteen models; about sixty-four units at most."""
    design = left_out_design(SimpleNamespace(n_players=n, n_outputs=1, block=tile))  # pyright: ignore[reportArgumentType]
    assert design.block == block
    assert -(-n // block) <= 64
    assert len(design.held(0, block)) == block


def test_some_of_the_points_are_no_answer() -> None:
    one = GAMES["tree"]()
    held = PieceSums(left_out_design(one))
    with pytest.raises(NotEnoughSamples, match=rf"0 of {one.n_players} parts .* resume"):
        held.answer()


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(0, 1000), st.sampled_from([0.0, 10.0]))
def test_errors_of_a_product_are_those_of_the_jackknife(count: int, seed: int, level: float) -> None:
    r = np.random.default_rng(seed)
    a, b = r.normal(size=(2, count, 4)) + level
    moments = ProductMoments.none((4,))
    for pair in zip(a, b, strict=True):
        moments = moments.add(*pair)
    np.testing.assert_allclose(moments.first * moments.second, a.mean(axis=0) * b.mean(axis=0), rtol=1e-12, atol=1e-12)
    without = np.array([np.delete(a, j, 0).mean(axis=0) * np.delete(b, j, 0).mean(axis=0) for j in range(count)])
    wanted = np.sqrt(np.square(without - without.mean(axis=0)).sum(axis=0) * (count - 1) / count)
    np.testing.assert_allclose(moments.jackknife_errors(), wanted, rtol=1e-7, atol=1e-9 * (1 + level))
