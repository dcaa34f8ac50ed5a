"""Duplicates: evaluated once within a slot, the same bits as without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.forward import networks
from xai_ray.games import Columns, LogOdds, Marginal, ModelGame, Numerics, Raw
from xai_ray.games.passes.slots import laid


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 40),
    block=st.integers(1, 9),
    n=st.integers(1, 12),
    stochastic=st.booleans(),
)
def test_every_row_finds_its_equal_in_its_own_slot(seed: int, rows: int, block: int, n: int, stochastic: bool) -> None:
    generator = np.random.default_rng(seed)
    coalitions = generator.random((rows, n)) < 0.5
    context = generator.integers(-1, 3, rows)
    at, places = laid(coalitions, context, block, stochastic)
    assert len(at) % block == 0
    assert len(at) <= -(-rows // block) * block
    assert (places % block == np.arange(rows) % block).all()
    assert (coalitions[at[places]] == coalitions).all()
    if stochastic:
        assert (context[at[places]] == context).all()
        spare = np.setdiff1d(np.arange(len(at)), places)
        assert (context[at[spare]] >= 0).all() or (context == -1).all(), "an expectation fills up a block"


def test_as_few_blocks_as_the_fullest_slot_needs() -> None:
    same = np.zeros((12, 3), dtype=np.bool_)
    at, places = laid(same, np.zeros(12, dtype=np.int64), 4, False)
    assert (len(at), places.tolist()) == (4, [0, 1, 2, 3] * 3)
    assert len(laid(same, np.arange(12), 4, True)[0]) == 12, "contexts of a stochastic game tell rows apart"
    assert len(laid(same, np.arange(12), 4, False)[0]) == 4, "those of another game do not"


class Counting(nn.Module):
    """Remembers how many rows it saw."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.rows = inner, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rows += len(x)
        return self.inner(x)


@pytest.mark.parametrize("samples", [None, 2])
@pytest.mark.parametrize("batch", [2, 6, 24])
def test_duplicates_cost_nothing_and_change_no_bit(batch: int, samples: int | None) -> None:
    rng = np.random.default_rng(0)
    model = Counting(networks.perceptron(4)).eval()
    removal = Marginal(rng.normal(size=(3, 4)), samples)
    behaviour = LogOdds(1) if samples is None else Raw(1)
    game = ModelGame(model, rng.normal(size=4), players=Columns(), removal=removal, behaviour=behaviour, batch=batch)
    coalitions = rng.random((10 * game.block, 4)) < 0.5
    context = rng.integers(0, 2, len(coalitions))
    blocks = [slice(at, at + game.block) for at in range(0, len(coalitions), game.block)]
    want = np.concatenate([game.values(coalitions[b], context[b]) for b in blocks])
    apart, model.rows = model.rows, 0
    np.testing.assert_array_equal(game.values(coalitions, context), want)
    assert model.rows < apart


@pytest.mark.parametrize(("samples", "numerics"), [(None, Numerics()), (2, Numerics()), (None, Numerics(fold=True))])
def test_no_coalitions_have_no_values(samples: int | None, numerics: Numerics) -> None:
    removal = Marginal(np.ones((3, 4)), samples)
    game = ModelGame(
        networks.perceptron(4), np.zeros(4), players=Columns(), removal=removal, behaviour=Raw(1), numerics=numerics
    )
    assert game.values(np.zeros((0, 4), dtype=np.bool_), np.zeros(0, dtype=np.int64)).shape == (0, 1)


def test_expectations_of_one_coalition_are_evaluated_once() -> None:
    rng = np.random.default_rng(0)
    model = Counting(networks.perceptron(4)).eval()
    removal = Marginal(rng.normal(size=(50, 4)), 2)
    game = ModelGame(model, rng.normal(size=4), players=Columns(), removal=removal, behaviour=Raw(1), batch=4)
    row, context = np.ones((1, 4), dtype=np.bool_), np.full(8, -1)
    model.rows = 0
    values = game.values(np.repeat(row, 8, axis=0), context)
    assert model.rows == 52, "fifty background rows in passes of four"
    assert len(np.unique(values)) == 1
