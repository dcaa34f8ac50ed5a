"""What a score does as training points are taken away, or put in, in the order of their values: beside random orders.

Ghorbani and Zou, "Data Shapley: equitable valuation of data for machine learning" (ICML 2019), figure 3; the weighted drop is that of
Schoch, Xu and Ji, "CS-Shapley: class-wise Shapley values for data valuation in classification" (NeurIPS 2022), section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError, SpecError
from xai_ray.games.protocol import Game
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.valuation.draws import Purpose, orders, positive
from xai_ray.valuation.whole_blocks import values_in_blocks

Action = Literal["remove", "add"]
Order = Literal["highest", "lowest", "random"]

ACTIONS: tuple[Action, ...] = ("remove", "add")
ORDERS: tuple[Order, ...] = ("highest", "lowest", "random")

STEPS = 20
"""Equal steps from no point to all of them, unless fractions are given."""


@dataclass(frozen=True, slots=True)
class PointCurves:
    """Scores after the first players of each order were removed or added."""

    counts: Ints
    """How many players were removed or added, ascending, shape (f,)."""
    players: int
    """n."""
    scores: tuple[str, ...]
    """Names of the k scores."""
    curves: dict[tuple[Action, Order], Floats]
    """(action, order) -> scores, shape (r, f, k): r valuations, or r random orders."""
    models: int
    """Different coalitions, each of which is one trained model (but for the empty one)."""

    def of(self, action: Action, order: Order) -> Floats:
        """Scores of one kind of curve, shape (r, f, k). Raises SpecError for one that was not asked."""
        if (action, order) not in self.curves:
            there = ", ".join(" ".join(pair) for pair in self.curves)
            raise SpecError(f"these curves hold {there}; ask point_curves for {action} {order} too")
        return self.curves[action, order]

    def weighted_drop(self, order: Order) -> Floats:
        """How fast the score falls as points are removed in this order, shape (r, k), in units of the score; early losses count most.

        Sum over the steps j = 1, 2, ... of (v(N) - v_j) / j. With a step for every player it is the weighted accuracy drop of
        Schoch et al.; with fewer steps compare it at the same fractions only. Raises SpecError unless the curve starts with all players.
        """
        found = self.of("remove", order)
        if self.counts[0] != 0:
            raise SpecError("a weighted drop starts from all players; put 0 among the fractions")
        return weighted_drop(found)


def point_curves(
    game: Game,
    values: npt.ArrayLike,
    *,
    fractions: Sequence[float] | None = None,
    actions: Sequence[Action] = ACTIONS,
    ranked: Sequence[Order] = ORDERS,
    random_orders: int = 10,
    seed: int = 0,
) -> PointCurves:
    """Curves of a deterministic game for one valuation (n,) of its players, or for q valuations (q, n) at once.

    `fractions` in 0..1 of the players are removed or added (the nearest whole number, halves up; numbers that repeat count once);
    left out, 0, 0.05, ..., 1. Equal values go by the number of the player, the lower number first, whichever end comes first.
    Random additions go the `random_orders` of the removals backwards, so that both need the same models. All coalitions of all curves,
    each once, are one call of the game.

    Raises InputError for values that are missing or of another number than the players, SpecError for the rest, and what the game
    raises.
    """
    if game.stochastic:
        raise SpecError("point curves need a game whose values do not depend on a draw")
    n = game.n_players
    rows = _checked(values, n)
    counts = curve_counts(n, fractions)
    _known("action", actions, ACTIONS)
    _known("order", ranked, ORDERS)
    sequences: dict[Order, Ints] = {}
    for order in ranked:
        if order == "random":
            items = np.arange(positive("random_orders", random_orders), dtype=np.int64)
            sequences[order] = orders(seed, Purpose.CURVES, items, n)
        else:
            sequences[order] = np.argsort(rows if order == "lowest" else -rows, axis=1, kind="stable").astype(np.int64)
    parts: dict[tuple[Action, Order], Coalitions] = {
        (action, order): _coalitions(sequences[order], counts, action, order) for action in actions for order in ranked
    }
    every = np.concatenate([part.reshape(-1, n) for part in parts.values()])
    different, places = _different(every)
    found = values_in_blocks(game, different)[places]
    curves: dict[tuple[Action, Order], Floats] = {}
    start = 0
    for key, part in parts.items():
        r, f = part.shape[:2]
        curves[key] = found[start : start + r * f].reshape(r, f, game.n_outputs)
        start += r * f
    return PointCurves(counts, n, tuple(game.output_names), curves, int(different.any(axis=1).sum()))


def curve_counts(n: int, fractions: Sequence[float] | None = None) -> Ints:
    """Numbers of players at the fractions, ascending, each once. Raises SpecError for fractions outside 0..1 or none."""
    given = np.arange(STEPS + 1) / STEPS if fractions is None else np.asarray(fractions, dtype=np.float64)
    if given.ndim != 1 or not len(given) or not ((given >= 0) & (given <= 1)).all():
        raise SpecError(f"fractions are numbers from 0 to 1, at least one; got {fractions}")
    # Halves go up whatever the last bit of the product.
    return np.unique(np.floor(given * n + 0.5 + 1e-9).astype(np.int64))


def weighted_drop(scores: Floats) -> Floats:
    """Weighted drop of scores (..., f, k) after 0, 1, 2, ... steps of removal, shape (..., k); see `PointCurves.weighted_drop`."""
    lost = scores[..., :1, :] - scores[..., 1:, :]
    return (lost / np.arange(1, lost.shape[-2] + 1)[:, None]).sum(axis=-2)


def _coalitions(sequences: Ints, counts: Ints, action: Action, order: Order) -> Coalitions:
    """Shape (r, f, n): who is in after each count of each sequence (r, n)."""
    r, n = sequences.shape
    places = np.empty_like(sequences)
    np.put_along_axis(places, sequences, np.broadcast_to(np.arange(n), (r, n)), axis=1)
    if action == "add" and order == "random":
        places = n - 1 - places
    first = places[:, None, :] < counts[None, :, None]
    return first if action == "add" else ~first


def _different(coalitions: Coalitions) -> tuple[Coalitions, Ints]:
    """Each coalition once, in order of appearance, and the place of each row among them."""
    packed = np.packbits(coalitions, axis=1)
    _, first, places = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    rank = np.empty_like(by_appearance)
    rank[by_appearance] = np.arange(len(first))
    return coalitions[first[by_appearance]], rank[places.reshape(-1)]


def _checked(values: npt.ArrayLike, n: int) -> Floats:
    try:
        rows = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("values of players are numbers, one a player") from None
    rows = rows[None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.shape[1] != n or not len(rows):
        raise InputError(
            f"values have shape {np.shape(values)}; the game has {n} players, so ({n},) or (valuations, {n})"
        )
    gone = np.argwhere(~np.isfinite(rows))
    if len(gone):
        raise InputError(
            f"player {int(gone[0][1])} has no value ({len(gone)} have none), so it has no place in an order; extend the budget"
        )
    return rows


def _known(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    if not given or len(set(given)) < len(given) or not set(given) <= set(known):
        raise SpecError(f"{what}s {', '.join(map(repr, given)) or 'none'}: give some of {', '.join(known)}, each once")
