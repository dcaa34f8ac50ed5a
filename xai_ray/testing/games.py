"""The contract of a game: `check_game(game)` raises AssertionError that says which law is broken."""

from __future__ import annotations

import numpy as np

from xai_ray.coalitions.design import FULL_EXPECTATION
from xai_ray.games.protocol import Game
from xai_ray.types import Coalitions, Ints, Values


def check_game(game: Game, *, rows: int = 24, seed: int = 0) -> None:
    """Shapes, types, names, determinism, independence of a row from its neighbours, and contexts.

    Costs about six passes over `rows` coalitions (rounded up to whole blocks), plus one block a row for the neighbour
    test.
    """
    _check_facts(game)
    coalitions, context = _sample(game, rows, seed)
    values = _evaluate(game, coalitions, context)
    again = _evaluate(game, coalitions, context)
    assert np.array_equal(values, again, equal_nan=True), "the same rows gave different values the second time"
    _check_neighbours(game, coalitions, context, values, seed)
    _check_context(game, coalitions, context, values)


def _check_facts(game: Game) -> None:
    assert isinstance(game, Game), f"{type(game).__name__} lacks a member of the protocol"
    assert game.n_players >= 1, "a game has at least one player"
    assert game.n_outputs >= 1, "a game has at least one output"
    assert game.block >= 1, "a block holds at least one coalition"
    assert len(game.player_names) == game.n_players, "one name a player"
    assert len(game.output_names) == game.n_outputs, "one name an output"
    assert all(isinstance(n, str) for n in (*game.player_names, *game.output_names)), "names are text"
    digest = game.digest
    assert int(digest, 16) >= 0, "the digest is hexadecimal"
    assert digest == game.digest, "the digest changes from one reading to the next"


def _sample(game: Game, rows: int, seed: int) -> tuple[Coalitions, Ints]:
    """Random coalitions of all sizes, whole blocks of them; the first two are the empty and the grand coalition."""
    rows = -(-max(rows, 2) // game.block) * game.block
    rows = max(rows, 2 * game.block)
    generator = np.random.default_rng(seed)
    coalitions = generator.random((rows, game.n_players)) < generator.random((rows, 1))
    coalitions[0], coalitions[1] = False, True
    context = generator.integers(0, 1 << 40, rows)
    if game.stochastic:
        context[:2] = FULL_EXPECTATION
    return coalitions, context


def _evaluate(game: Game, coalitions: Coalitions, context: Ints) -> Values:
    before = coalitions.copy(), context.copy()
    values = game.values(coalitions, context)
    expected = (len(coalitions), game.n_outputs)
    assert values.shape == expected, f"values have shape {values.shape}, expected {expected}"
    assert values.dtype == np.float64, f"values have type {values.dtype}, expected float64"
    unchanged = np.array_equal(before[0], coalitions) and np.array_equal(before[1], context)
    assert unchanged, "the game wrote into its arguments"
    return values


def _check_neighbours(game: Game, coalitions: Coalitions, context: Ints, values: Values, seed: int) -> None:
    """A row that keeps its place in its block gives the same bits in any company; one that moves, the same up to
    rounding.

    Matrix products round differently at the edge of a batch, so the bits of a model may depend on the place within a
    block.
    """
    block = game.block
    for start in range(0, len(coalitions), block):
        part = _evaluate(game, coalitions[start : start + block], context[start : start + block])
        assert np.array_equal(part, values[start : start + block], equal_nan=True), (
            "a block alone differs from the whole"
        )
    generator = np.random.default_rng(seed + 1)
    # Each place of the block is dealt again among the blocks: every row keeps its place and gets other neighbours.
    order = generator.permuted(np.arange(len(coalitions)).reshape(-1, block), axis=0).ravel()
    mixed = _evaluate(game, coalitions[order], context[order])
    assert np.array_equal(mixed, values[order], equal_nan=True), "a row's value depends on its neighbours"
    few = _evaluate(game, coalitions[:1], context[:1])
    assert np.array_equal(few, values[:1], equal_nan=True), "a block that is not full gives other values"
    order = generator.permutation(len(coalitions))
    moved = _evaluate(game, coalitions[order], context[order])
    scale = float(np.ptp(values)) + float(np.abs(values).max())
    np.testing.assert_allclose(
        moved, values[order], rtol=0, atol=1e-4 * scale, err_msg="a row's value depends on its place"
    )


def _check_context(game: Game, coalitions: Coalitions, context: Ints, values: Values) -> None:
    other = _evaluate(game, coalitions, np.where(context == FULL_EXPECTATION, context, context + 1))
    if not game.stochastic:
        assert np.array_equal(values, other, equal_nan=True), "a deterministic game depends on the context"
        return
    drawn = context != FULL_EXPECTATION
    assert not np.array_equal(values[drawn], other[drawn]), "another context changes no value of a stochastic game"
    assert np.array_equal(values[~drawn], other[~drawn], equal_nan=True), "the expectation changes from call to call"
