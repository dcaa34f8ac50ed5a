"""Data Banzhaf by maximum sample reuse in one pass: every trained model moves the value of every point, and none is kept.

Wang and Jia, "Data Banzhaf: a robust data valuation framework for machine learning" (AISTATS 2023), section 5; weighted by Li and Yu,
"Robust data valuation with weighted Banzhaf values" (NeurIPS 2023).
"""

from __future__ import annotations

import numpy as np

from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.games.protocol import Game
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.valuation.draws import Purpose, coins, positive, uniforms
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.whole_blocks import values_in_blocks

_ENTRIES = 1 << 22
"""Memberships held at a time. Fixed, so that sums are cut at the same places on every machine."""


def banzhaf_values(game: Game, *, evaluations: int, p: float = 0.5, seed: int = 0) -> Valuation:
    """Mean of v over coalitions with the player less that over those without, values (n, k); every player joins with chance `p`.

    O(n) time an evaluation beside the game itself, and O(n) memory beside a block of coalitions, for any number of players. The `msr`
    estimator of `xai_ray.explain` keeps its coalitions, so that a run can be extended and asked for other semivalues. Standard errors are
    those of two independent means. `facts`: `evaluations`, and `counts` (n,), the coalitions with each player.

    Raises SpecError for a setting out of range or a game whose values are drawn at random, NotEnoughSamples naming a player that
    fewer than two coalitions hold, or lack, and what the game raises.
    """
    positive("evaluations", evaluations, least=4)
    if not 0 < p < 1:
        raise SpecError(f"p is the chance of a player to join, between 0 and 1; got {p}")
    if game.stochastic:
        raise SpecError("banzhaf_values needs a game whose values do not depend on a draw")
    n, k = game.n_players, game.n_outputs
    rows = max(1, _ENTRIES // n // game.block) * game.block
    centre, whole, inside = np.zeros(k), np.zeros(2 * k + 1), np.zeros((n, 2 * k + 1))
    for start in range(0, evaluations, rows):
        coalitions = drawn_coalitions(seed, np.arange(start, min(start + rows, evaluations), dtype=np.int64), n, p)
        values = values_in_blocks(game, coalitions)
        if start == 0:
            # Squares of what is left lose no digits to a large mean.
            centre = values.mean(axis=0)
        left = values - centre
        told = np.concatenate([left, left * left, np.ones((len(left), 1))], axis=1)
        inside += coalitions.T.astype(np.float64) @ told
        whole += told.sum(axis=0)
    few = np.minimum(inside[:, -1], evaluations - inside[:, -1])
    if few.min() < 2:
        raise NotEnoughSamples(
            f"fewer than two of {evaluations} coalitions hold, or lack, player {int(few.argmin())} ({int((few < 2).sum())} such "
            "players); ask for more evaluations"
        )
    means, spreads = _sides(inside, whole - inside, k)
    facts = {"evaluations": evaluations, "p": p, "counts": inside[:, -1].astype(np.int64)}
    name = "Data Banzhaf" if p == 0.5 else f"weighted Data Banzhaf (p = {p:g})"
    return Valuation(
        means[0] - means[1], np.sqrt(spreads[0] + spreads[1]), f"{name}: score with the point less without", facts
    )


def drawn_coalitions(seed: int, items: Ints, n: int, p: float) -> Coalitions:
    """A coalition for each item, shape (items, n)."""
    if p != 0.5:
        return uniforms(seed, Purpose.COALITIONS, items, n) < p
    return coins(seed, Purpose.COALITIONS, items, n).astype(np.bool_)


def _sides(inside: Floats, outside: Floats, k: int) -> tuple[list[Floats], list[Floats]]:
    """Means and squared standard errors with and without each player, each (n, k), from sums, sums of squares and counts."""
    means, spreads = [], []
    for sums in (inside, outside):
        count = sums[:, -1:]
        mean = sums[:, :k] / count
        means.append(mean)
        spreads.append(np.maximum(sums[:, k : 2 * k] / count - mean * mean, 0.0) / (count - 1))
    return means, spreads
