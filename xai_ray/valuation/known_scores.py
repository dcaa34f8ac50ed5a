"""The scores that a game is asked for, by name or as functions of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xai_ray.errors import SpecError, UnknownName
from xai_ray.valuation.choose import classifies
from xai_ray.valuation.own_score import OwnScore, several
from xai_ray.valuation.scores import SCORES, Score


def known_scores(
    scores: Sequence[str | OwnScore] | str | OwnScore | None, estimator: Any
) -> tuple[tuple[str, ...], list[Score], list[str]]:
    """Names, rows of the table of scores, and digests of the user's own ones. None is accuracy, or r2 of a regression.

    Raises UnknownName, and SpecError for no score, names that repeat, and scores of two kinds.
    """
    given = several(scores) if scores is not None else ("accuracy" if classifies(estimator) else "r2",)
    if not given:
        raise SpecError(f"no score given; known: {', '.join(SCORES)}")
    asked = [one if isinstance(one, (str, OwnScore)) else OwnScore(one) for one in given]
    for name in asked:
        if isinstance(name, str) and name not in SCORES:
            raise UnknownName("score", name, SCORES)
    names = tuple(one if isinstance(one, str) else one.title for one in asked)
    if len(set(names)) < len(names):
        raise SpecError(f"scores {', '.join(names)} repeat a name; give each OwnScore a name of its own")
    kinds = {SCORES[one].classifies for one in asked if isinstance(one, str)} or {classifies(estimator)}
    if len(kinds) > 1:
        raise SpecError(f"scores {', '.join(names)} mix classification and regression; ask for them in two games")
    rows = [SCORES[one] if isinstance(one, str) else one.row(True in kinds) for one in asked]
    return names, rows, [one.digest for one in asked if isinstance(one, OwnScore)]
