"""Units of permutations by chains: where a game gives the values of all prefixes of an order at once, that is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np

from xai_ray.coalitions import Design, Permutations, Unit
from xai_ray.errors import ModelOutputError
from xai_ray.games.protocol import ChainGame, Game
from xai_ray.types import Coalitions, Values

Part = tuple[Values, Callable[[int], Coalitions]]
"""Values (r, k) of consecutive rows, and the coalition (n,) of each by its number."""


def chained(game: Game, design: Design) -> tuple[ChainGame, Permutations] | None:
    """Game and design where units of this design are evaluated by chains of this game, else None."""
    able = hasattr(game, "chain_values") and getattr(game, "chains", True) and not game.stochastic
    if able and isinstance(design, Permutations) and not design.stochastic:
        return cast(ChainGame, game), design
    return None


def free_rows(game: Game, design: Design) -> int:
    """Rows that must stay together in a batch: those of a block of the game, or 1 where chains are whole by themselves."""
    return game.block if chained(game, design) is None else 1


def chain_parts(
    unit: Unit, game: ChainGame, design: Permutations, rows: int, between: Callable[[], None]
) -> Iterator[Part]:
    """The rows of draws [start, stop), start >= 1, about `rows` at a time and whole draws at least."""
    draws = max(1, rows // max(1, design.rows_per_draw))
    for start in range(unit.start, unit.stop, draws):
        between()
        stop = min(start + draws, unit.stop)
        yield (
            _draw_values(Unit(start, stop), game, design),
            lambda row, start=start, stop=stop: design.draw(start, stop).coalitions[row],
        )


def _draw_values(unit: Unit, game: ChainGame, design: Permutations) -> Values:
    """Inner prefixes of each permutation, then of its reverse: shape ((stop - start) * 2 (n - 1), k)."""
    n, k = design.n_players, game.n_outputs
    forward = design.orders(np.arange(unit.start, unit.stop, dtype=np.int64) - 1)
    orders = np.ascontiguousarray(np.stack([forward, forward[:, ::-1]], axis=1).reshape(-1, n))
    values = game.chain_values(orders, np.zeros(len(orders), dtype=np.int64))
    shape = (len(orders), n + 1, k)
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != np.float64:
        got = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise ModelOutputError(
            f"unit [{unit.start}, {unit.stop}): the game's chains are {got}, expected float64 of shape {shape} "
            f"({len(orders)} permutations, {n + 1} prefixes, {k} outputs); return one entry a prefix, the empty one first"
        )
    return values[:, 1:n].reshape(-1, k)
