"""From a question as asked to a question with every default filled in, checked against the number of players."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from operator import index
from typing import cast

from xai_ray.errors import SpecError, UnknownName
from xai_ray.indices.grouping import Group, check_filled, is_flat, members, plain
from xai_ray.indices.question import Question
from xai_ray.indices.sparse_andor import LARGEST_SPARSE
from xai_ray.indices.table import INDICES, IndexInfo, Parameter

_PARAMETERS: tuple[Parameter, ...] = (
    "contexts",
    "pairs",
    "p",
    "alpha",
    "beta",
    "weights",
    "groups",
    "split",
    "players",
)

SPLITS = ("even", "sparse")
"""How a game is split into an AND part and an OR part: v/2 each, or so that the interactions have the least L1 norm."""


def resolve(question: Question, n: int) -> Question:
    """The question with its defaults (order, contexts) filled in; pairs become i < j and ascend, contexts and players ascend.

    Resolving twice changes nothing. Raises UnknownName for an index that is not in the table and SpecError for an
    order, a context, a pair or a parameter that the index or a game of n players does not allow.
    """
    info = INDICES.get(question.index)
    if info is None:
        raise UnknownName("index", question.index, INDICES)
    if n < 1:
        raise SpecError(f"{info.tag}: a game needs at least one player, got {n}")
    question = _plain(info, question)
    _check_parameters(info, question)
    _check_numbers(info, question, n)
    groups = _groups(info, question, n)
    order = _order(info, question, n, groups)
    contexts = _contexts(info, question, n, order)
    return replace(
        question,
        order=order,
        contexts=contexts,
        pairs=_pairs(info, question, n, order),
        groups=groups,
        split=_split(info, question, n),
        players=_players(info, question, n),
    )


def _plain(info: IndexInfo, question: Question) -> Question:
    # Lists and NumPy numbers are welcome; the resolved question is hashable and made of Python's own numbers.
    order, contexts, pairs, groups = question.order, question.contexts, question.pairs, question.groups
    players = question.players
    try:
        return replace(
            question,
            order=None if order is None else index(order),
            contexts=None if contexts is None else tuple(index(m) for m in contexts),
            pairs=None if pairs is None else tuple((index(i), index(j)) for i, j in pairs),
            p=None if question.p is None else float(question.p),
            alpha=None if question.alpha is None else float(question.alpha),
            beta=None if question.beta is None else float(question.beta),
            weights=None if question.weights is None else tuple(float(w) for w in question.weights),
            groups=None if groups is None else plain(groups),
            players=None if players is None else tuple(index(i) for i in players),
        )
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"{info.tag}: order, contexts and players are whole numbers, pairs are (i, j), groups list players, "
            f"p, alpha, beta and weights are numbers; {error} in {question}"
        ) from error


def _check_parameters(info: IndexInfo, question: Question) -> None:
    allowed = info.takes + info.needs
    given = {
        "contexts": question.contexts,
        "pairs": question.pairs,
        "p": question.p,
        "alpha": question.alpha,
        "beta": question.beta,
        "weights": question.weights,
        "groups": question.groups,
        "split": question.split,
        "players": question.players,
    }
    for name in _PARAMETERS:
        if given[name] is not None and name not in allowed:
            takes = f"it takes {', '.join(allowed)}" if allowed else "it takes no parameter but the order"
            raise SpecError(f"{info.tag} ({info.name}) does not take {name!r}; {takes}")
        if given[name] is None and name in info.needs:
            raise SpecError(f"{info.tag} ({info.name}) needs {name!r}; give {' and '.join(info.needs)}")


def _check_numbers(info: IndexInfo, question: Question, n: int) -> None:
    if question.p is not None and not 0 < question.p < 1:
        raise SpecError(f"{info.tag}: p must lie strictly between 0 and 1, got {question.p}")
    for name, value in (("alpha", question.alpha), ("beta", question.beta)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise SpecError(f"{info.tag}: {name} must be a positive number, got {value}")
    weights = question.weights
    if weights is None:
        return
    if len(weights) != n:
        raise SpecError(
            f"{info.tag}: weights must have {n} entries, for predecessor-set sizes 0..{n - 1}, got {len(weights)}"
        )
    if not all(math.isfinite(w) and w >= 0 for w in weights):
        raise SpecError(f"{info.tag}: weights must be finite and not negative, got {weights}")
    if abs(math.fsum(weights) - 1) > 1e-9:
        raise SpecError(f"{info.tag}: weights must sum to one, they sum to {math.fsum(weights)!r}")


def _order(info: IndexInfo, question: Question, n: int, groups: tuple[Group, ...] | None) -> int:
    fixed = len(groups[0]) if info.sets == "group" and groups else info.order
    order = question.order if question.order is not None else (n if fixed is None else fixed)
    if info.sets in ("players", "pairs", "none", "group") and order != fixed:
        raise SpecError(f"{info.tag} ({info.name}) is of order {fixed}, got order {order}; leave the order out")
    if order < 1:
        raise SpecError(f"{info.tag}: order must be at least 1, got {order}")
    if order > n:
        hint = " Ask a first-order index such as SV." if n == 1 else f" An order from 1 to {n} is allowed."
        raise SpecError(f"{info.tag} of order {order} needs at least {order} players, the game has {n}.{hint}")
    return order


def _contexts(info: IndexInfo, question: Question, n: int, order: int) -> tuple[int, ...] | None:
    if "contexts" not in info.takes:
        return None
    if question.contexts is None:
        return tuple(range(n - order + 1))
    if not question.contexts:
        raise SpecError(f"{info.tag}: contexts is empty; leave it out to ask for all of 0..{n - order}")
    for m in question.contexts:
        if not 0 <= m <= n - order:
            raise SpecError(f"{info.tag}: context size {m} is out of range; 0..{n - order} is allowed with {n} players")
    if len(set(question.contexts)) != len(question.contexts):
        raise SpecError(f"{info.tag}: contexts {question.contexts} repeat a size; name each once")
    return tuple(sorted(question.contexts))


def _pairs(info: IndexInfo, question: Question, n: int, order: int) -> tuple[tuple[int, int], ...] | None:
    pairs = question.pairs
    if pairs is None:
        return None
    if order != 2:
        raise SpecError(f"{info.tag}: pairs restrict answers of order 2 only, the order is {order}; leave pairs out")
    if not pairs:
        raise SpecError(f"{info.tag}: pairs is empty; leave it out to ask for all pairs")
    for i, j in pairs:
        if not (0 <= i < n and 0 <= j < n):
            raise SpecError(f"{info.tag}: pair ({i}, {j}) names a player out of range; players are 0..{n - 1}")
        if i == j:
            raise SpecError(
                f"{info.tag}: pair ({i}, {j}) names the same player twice; a pair has two different players"
            )
    ordered = sorted((min(pair), max(pair)) for pair in pairs)
    for pair, following in pairwise(ordered):
        if pair == following:
            raise SpecError(f"{info.tag}: pair {pair} is given twice ((i, j) and (j, i) are the same pair)")
    return tuple(ordered)


def _players(info: IndexInfo, question: Question, n: int) -> tuple[int, ...] | None:
    players = question.players
    if players is None:
        return None
    if not players:
        raise SpecError(f"{info.tag}: players is empty; leave it out to ask for all players")
    for i in players:
        if not 0 <= i < n:
            raise SpecError(f"{info.tag}: player {i} is out of range; players are 0..{n - 1}")
        if players.count(i) > 1:
            raise SpecError(f"{info.tag}: player {i} is given twice in players; name each once")
    return tuple(sorted(players))


def _split(info: IndexInfo, question: Question, n: int) -> str | None:
    if question.split not in (None, *SPLITS):
        raise SpecError(f"{info.tag}: split is {' or '.join(map(repr, SPLITS))}, got {question.split!r}")
    if question.split != "sparse":
        return None
    if n > LARGEST_SPARSE:
        raise SpecError(
            f"{info.tag}: split = 'sparse' solves a linear programme over all 2^{n} sets; it is for at most {LARGEST_SPARSE} "
            "players: choose fewer (a coarser grid, groups) or split = 'even'"
        )
    return "sparse"


def _groups(info: IndexInfo, question: Question, n: int) -> tuple[Group, ...] | None:
    groups = question.groups
    if groups is None:
        return None
    lone = [part for part in cast(tuple[object, ...], groups) if not isinstance(part, tuple)]
    if lone:
        raise SpecError(f"{info.tag}: groups are lists of players, got player {lone[0]} by itself; write [{lone[0]}]")
    named = [player for group in groups for player in members(group)]
    for player in named:
        if not 0 <= player < n:
            raise SpecError(f"{info.tag}: groups name player {player}, players are 0..{n - 1}")
        if named.count(player) > 1:
            raise SpecError(f"{info.tag}: player {player} is in groups more than once; groups must not overlap")
    if info.sets == "group":
        if len(groups) != 1 or len(groups[0]) < 2 or not is_flat(groups[0]):
            raise SpecError(f"{info.tag}: groups must be one set of at least two players, got {groups}")
        return groups
    check_filled(groups, info.tag)
    missing = sorted(set(range(n)) - set(named))
    if missing:
        raise SpecError(f"{info.tag}: groups miss players {missing}; every player must be in exactly one group")
    return groups
