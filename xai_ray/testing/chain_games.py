"""The contract of games that are cheaper along a permutation: `check_chain_game(game)` raises AssertionError that says what is broken."""

from __future__ import annotations

import numpy as np

from xai_ray.games.protocol import ChainGame
from xai_ray.testing.games import check_game


def check_chain_game(game: ChainGame, *, permutations: int = 3, seed: int = 0, tolerance: float = 1e-8) -> None:
    """`check_game`, and chains: their shape, their values (those of the prefixes as coalitions, up to `tolerance` of the
    largest value), and bits that do not depend on which other permutations are asked for.
    """
    check_game(game, seed=seed)
    n, generator = game.n_players, np.random.default_rng(seed)
    orders = np.argsort(generator.random((permutations, n)), axis=1).astype(np.int64)
    context = np.zeros(permutations, dtype=np.int64)
    before = orders.copy()
    chains = game.chain_values(orders, context)
    assert np.array_equal(before, orders), "the game wrote into its permutations"
    expected = (permutations, n + 1, game.n_outputs)
    assert chains.shape == expected, f"chain values have shape {chains.shape}, expected {expected}"
    assert chains.dtype == np.float64, f"chain values have type {chains.dtype}, expected float64"
    for row, order in enumerate(orders):
        prefixes = np.argsort(order)[None, :] < np.arange(n + 1)[:, None]
        values = game.values(prefixes, np.zeros(n + 1, dtype=np.int64))
        scale = max(float(np.abs(values).max()), 1e-300)
        np.testing.assert_allclose(
            chains[row], values, rtol=0, atol=tolerance * scale, err_msg="a prefix has another value as a coalition"
        )
        alone = game.chain_values(orders[row : row + 1], context[:1])
        assert np.array_equal(alone[0], chains[row]), "a chain depends on the other permutations"
