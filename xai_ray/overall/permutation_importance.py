"""Permutation importance: how much the loss grows when the values of a player are dealt anew among the rows.

Breiman, "Random forests" (2001); Fisher, Rudin, Dominici, "All models are wrong, but many are useful" (JMLR 20, 2019). In the grammar: the
loss game with marginal removal by the rows themselves, loss then mean, summarised by removing one player from all.

A row takes part twice, with its own label and as the partner whose value another row gets, so the spread of row means alone is no
standard error. With h1 and h2 what a row adds in its two parts, e the rest and T repeats over R rows, the variance is
Var(h1 + h2) / R + Var(e) / (R T); the mean over repeats in both parts together has variance Var(h1 + h2) + (Var d + Var e) / T, d being a
single difference, so (its variance - Var d / T) / R is unbiased up to terms of order 1 / R^2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xai_ray.coalitions.philox import Stream, random_words
from xai_ray.errors import InputError, SpecError
from xai_ray.games import LossGame, Marginal
from xai_ray.games.behaviours import Outputs
from xai_ray.games.labelled.losses import LossFunction, LossName
from xai_ray.games.players.arrays import Players
from xai_ray.types import Floats, Ints

_AT_ONCE = 1 << 18
"""Model rows whose losses are held at a time, in whole repeats of a player."""


@dataclass(frozen=True, slots=True)
class PermutationImportance:
    """Growth of the loss for n players and k losses; larger matters more."""

    values: Floats
    """Shape (n, k)."""
    std_errors: Floats
    """Shape (n, k): over rows and repeats, for rows yet to come."""
    repeats: Floats
    """Shape (T, n, k): each repeat's growth."""
    repeat_std_errors: Floats
    """Shape (n, k): over repeats alone, for these rows; NaN with a single repeat."""
    loss: Floats
    """Shape (k,): of the full model."""
    player_names: tuple[str, ...]
    loss_names: tuple[str, ...]


def permutation_importance(
    model: Callable[..., Any],
    X: Any,
    y: Any = None,
    *,
    loss: LossName | LossFunction | Sequence[LossName | LossFunction],
    repeats: int = 10,
    players: Players | None = None,
    outputs: Outputs | None = None,
    classes: Sequence[Any] | None = None,
    permutations: npt.ArrayLike | None = None,
    seed: int = 0,
    clip: float | None = None,
    batch: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    player_names: Sequence[str] | None = None,
) -> PermutationImportance:
    """Permutation importance of players with standard errors. The arguments of model, rows and losses are those of `LossGame`.

    `permutations` (T, R), or (T, n, R) of each player's own, are drawn from `seed` when left out: row r gets the values of row
    permutations[t, i, r]. Raises SpecError, InputError, ModelOutputError, NonFiniteValue.
    """
    game = LossGame(
        model,
        X,
        y,
        removal=Marginal(X),
        loss=loss,
        players=players,
        outputs=outputs,
        convention="loss_then_mean",
        classes=classes,
        clip=clip,
        batch=batch,
        threads=threads,
        device=device,
        player_names=player_names,
    )
    n, R = game.n_players, game.n_rows
    dealt = _drawn(repeats, n, R, seed) if permutations is None else _checked(permutations, n, R)
    every = np.arange(R)
    whole = game.filled_losses(np.ones((R, n), dtype=np.bool_), every, every)
    without = ~np.eye(n, dtype=np.bool_)
    values, errors, each = np.empty((n, game.n_outputs)), np.empty((n, game.n_outputs)), []
    for player in range(n):
        growth = _losses(game, without[player], dealt[:, player]) - whole
        values[player] = growth.mean(axis=(0, 1))
        errors[player] = _errors(growth, dealt[:, player])
        each.append(growth.mean(axis=1))
    repeated = np.stack(each, axis=1)
    T = len(repeated)
    alone = repeated.std(axis=0, ddof=1) / np.sqrt(T) if T > 1 else np.full_like(values, np.nan)
    return PermutationImportance(
        values, errors, repeated, alone, whole.mean(axis=0), tuple(game.player_names), game.output_names
    )


def _losses(game: LossGame, coalition: npt.NDArray[np.bool_], dealt: Ints) -> Floats:
    """Losses (T, R, k) without one player, whose values come from rows `dealt` (T, R)."""
    T, R = dealt.shape
    step = max(1, _AT_ONCE // R)
    parts: list[Floats] = []
    for start in range(0, T, step):
        partners = dealt[start : start + step].reshape(-1)
        rows = np.tile(np.arange(R), len(partners) // R)
        everywhere = np.broadcast_to(coalition, (len(rows), len(coalition)))
        parts.append(game.filled_losses(everywhere, rows, partners))
    return np.concatenate(parts).reshape(T, R, -1)


def _errors(growth: Floats, dealt: Ints) -> Floats:
    """Standard errors (k,) of the mean of growth (T, R, k), see above."""
    T, R, _ = growth.shape
    if R < 2:
        return np.full(growth.shape[2], np.nan)
    as_partner = np.empty_like(growth)
    np.put_along_axis(as_partner, dealt[:, :, None], growth, axis=1)
    both = growth.mean(axis=0) + as_partner.mean(axis=0)
    single = growth.reshape(T * R, -1).var(axis=0, ddof=1)
    variance = (both.var(axis=0, ddof=1) - single / T) / R
    # Below what the repeats alone differ by it cannot be.
    least = growth.mean(axis=1).var(axis=0, ddof=1) / T if T > 1 else np.zeros_like(variance)
    return np.sqrt(np.maximum(variance, least))


def _drawn(repeats: int, n: int, R: int, seed: int) -> Ints:
    if repeats < 1:
        raise SpecError(f"repeats must be at least 1, got {repeats}")
    words = random_words(seed, Stream.SHUFFLED_ROWS, 0, np.arange(repeats * n), R)
    return np.argsort(words, axis=1, kind="stable").reshape(repeats, n, R)


def _checked(permutations: npt.ArrayLike, n: int, R: int) -> Ints:
    dealt = np.asarray(permutations)
    if dealt.ndim == 2:
        dealt = np.repeat(dealt[:, None], n, axis=1)
    fits = dealt.ndim == 3 and dealt.shape[1:] == (n, R)
    if not fits or not (np.sort(dealt, axis=2) == np.arange(R)).all():
        raise InputError(
            f"permutations have shape (repeats, {R}) or (repeats, {n}, {R}) and hold every row 0..{R - 1} once; got {dealt.shape}"
        )
    return dealt.astype(np.int64)
