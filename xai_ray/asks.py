"""Questions of a spec about one game: fractions of sizes and neighbouring players become numbers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from xai_ray import spec as s
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask
from xai_ray.games.view import View
from xai_ray.indices import Question, player_numbers


class Asked(Protocol):
    """What a question needs to know of a game; `view`, where it has one, says which players are neighbours."""

    @property
    def n_players(self) -> int:
        """n."""
        ...


def ask_of(ask: s.AskSpec, at: int, game: Asked) -> Ask:
    """The question of an entry of `[[ask]]`, number `at`, about a game. Raises SpecError."""
    n = game.n_players
    contexts = None
    if ask.orders is not None:
        largest = n - 1 if ask.index == "PHIM" else n - 2
        contexts = tuple(dict.fromkeys(_context(o, largest, at) for o in ask.orders))
    question = Question(
        index=ask.index,
        order=ask.order,
        contexts=contexts,
        pairs=_pairs(ask.pairs, game, at),
        p=ask.p,
        alpha=ask.alpha,
        beta=ask.beta,
        weights=ask.weights,
        groups=ask.groups,
        split=ask.split,
        players=player_numbers(ask.players, getattr(game, "player_names", ()), f"ask[{at}].players"),
    )
    return Ask(question, ask.estimator)


def _context(order: int | float, largest: int, at: int) -> int:
    """A context size: whole numbers as they are, fractions of the largest size rounded to the nearest."""
    if isinstance(order, int):
        return order
    if not 0.0 <= order <= 1.0:
        raise SpecError(
            f"ask[{at}].orders: {order} is a fraction outside 0..1; whole numbers are context sizes 0..{largest}"
        )
    return round(order * largest)


def _pairs(pairs: Any, game: Asked, at: int) -> tuple[tuple[int, int], ...] | None:
    if pairs == "all":
        return None
    if pairs == "local":
        view = getattr(game, "view", None)
        found = neighbours(view) if isinstance(view, View) else ()
        if not found:
            raise SpecError(
                f'ask[{at}].pairs = "local" needs players with neighbours (patches, regions or words); give a list of pairs'
            )
        return found
    return tuple((int(i), int(j)) for i, j in pairs)


def neighbours(view: View) -> tuple[tuple[int, int], ...]:
    """Pairs of players that touch: regions that share a border or a corner, words that follow each other."""
    if view.kind == "text":
        return tuple((i, i + 1) for i in range(len(view.labels) - 1))
    if view.regions is None:
        return ()
    r = view.regions
    touching = [(r[:, :-1], r[:, 1:]), (r[:-1], r[1:]), (r[:-1, :-1], r[1:, 1:]), (r[:-1, 1:], r[1:, :-1])]
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in touching])
    pairs = np.sort(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs >= 0).all(axis=1)], axis=1)
    return tuple((int(i), int(j)) for i, j in np.unique(pairs, axis=0))
