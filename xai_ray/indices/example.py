"""The shortest question about an index, for tables that say what a question costs."""

from __future__ import annotations

from xai_ray.indices.question import Question
from xai_ray.indices.resolve import resolve
from xai_ray.indices.table import INDICES


def example(tag: str, n: int) -> Question:
    """Resolved for n >= 2 players; groups that an index needs are two halves, or the first two players where it wants one set.

    Raises SpecError for an index that needs other parameters (p, alpha and beta, weights), which have no shortest value.
    """
    if "groups" not in INDICES[tag].needs:
        return resolve(Question(tag), n)
    halves = (tuple(range(n // 2)), tuple(range(n // 2, n)))
    return resolve(Question(tag, groups=((0, 1),) if INDICES[tag].sets == "group" else halves), n)
