"""When to stop. Rules look at fixed boundaries only, on the prefix of draws up to there, never at what arrived first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import comb, isfinite
from typing import Any

from xai_ray.coalitions import Design, EachInput, Pieces, PlayerContexts, RowBlocks
from xai_ray.errors import SpecError
from xai_ray.estimators import table
from xai_ray.estimators.estimate import Estimate
from xai_ray.estimators.iterated import least
from xai_ray.estimators.plan import Ask
from xai_ray.estimators.stop_rules import (
    BottomSettled,
    RankingSettled,
    RelativeErrorBelow,
    Rule,
    SignsSettled,
    StdErrorBelow,
    TopSettled,
    Verdict,
)
from xai_ray.indices import INDICES, Question
from xai_ray.indices.sets import asked_sizes


@dataclass(frozen=True, slots=True)
class Stop:
    """When a job ends before its budget: at the first boundary where every precision that is asked holds for every question, or,
    whatever the precision, at the last boundary before `seconds` are over.

    Raises SpecError for a number out of range, with the name of the field.
    """

    std_error: float | None = None
    """Largest standard error, in units of v."""
    relative_error: float | None = None
    """Largest standard error as a share of the spread of the values."""
    top: int | None = None
    """How many of the largest values must be told from the rest."""
    ranking: float | None = None
    """Share of the neighbours in the ranking that must be told apart; True is 1."""
    seconds: float | None = None
    """Wall-clock time of one run."""
    bottom: int | None = None
    """How many of the smallest values must be told from the rest."""
    signs: float | None = None
    """Values must be told from 0, or have a standard error of at most this share of their range; True is 0: all must be told."""

    def __post_init__(self) -> None:
        if isinstance(self.ranking, bool):
            object.__setattr__(self, "ranking", 1.0 if self.ranking else None)
        if isinstance(self.signs, bool):
            object.__setattr__(self, "signs", 0.0 if self.signs else None)
        for name, allowed, fits in _RANGES:
            given = getattr(self, name)
            if given is not None and not (isinstance(given, (int, float)) and isfinite(given) and fits(given)):
                raise SpecError(f"{name} = {given!r}: {allowed}")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The precisions that are asked."""
        made: list[Rule] = []
        if self.std_error is not None:
            made.append(StdErrorBelow(self.std_error))
        if self.relative_error is not None:
            made.append(RelativeErrorBelow(self.relative_error))
        if self.top is not None:
            made.append(TopSettled(self.top))
        if self.bottom is not None:
            made.append(BottomSettled(self.bottom))
        if self.ranking is not None:
            made.append(RankingSettled(self.ranking))
        if self.signs is not None:
            made.append(SignsSettled(self.signs))
        return tuple(made)

    def judge(self, estimate: Estimate, look: int) -> list[Verdict]:
        """One verdict a rule."""
        return [rule.judge(estimate, look) for rule in self.rules]

    def check(self, asks: Sequence[Ask], n: int, where: str = "") -> None:
        """Raises SpecError when a resolved question has too few sets for what is asked, or an estimator that does not answer them all.
        `where` begins the names of the fields.
        """
        for question, estimator in ((ask.question, ask.estimator) for ask in asks):
            row = table.ESTIMATORS.get(estimator)
            ranks = [name for name in ("top", "bottom", "ranking", "signs") if getattr(self, name) is not None]
            if row is not None and row.sparse and ranks:
                raise SpecError(
                    f"{where}{ranks[0]}: {estimator} lists the sets that it finds, so it cannot settle "
                    "ranks or signs of all; use std_error, or another estimator"
                )
            sets = count_sets(question, n)
            asked = "" if question.players is None else f"{len(question.players)} of "
            said = f"{question.index} of {asked}{n} player{'s' * (n > 1)} has {sets} value{'s' * (sets > 1)}"
            for name in ("relative_error", "top", "bottom", "ranking"):
                if getattr(self, name) is not None and sets < 2:
                    raise SpecError(f"{where}{name}: {said}, and it needs at least two to compare; use std_error")
            for name, count in (("top", self.top), ("bottom", self.bottom)):
                if count is not None and count >= sets:
                    raise SpecError(f"{where}{name} = {count}: {said}; give 1 to {sets - 1}")

    def document(self) -> dict[str, Any]:
        """The fields that are set, as a JSON object with ascending keys."""
        names = sorted(f.name for f in fields(self))
        return {name: given for name in names if (given := getattr(self, name)) is not None}

    def words(self) -> list[str]:
        """What is asked, for people, one line each."""
        lines = [f"{'and' if i else 'when'} {rule.words}" for i, rule in enumerate(self.rules)]
        return lines + ([f"{'or ' if lines else ''}after {self.seconds:g} s"] if self.seconds is not None else [])

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Stop:
        """From a JSON object; other keys are left alone."""
        return cls(**{f.name: document.get(f.name) for f in fields(cls)})


_COUNT = "a whole number, at least 1"


def _counts(x: float) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and x >= 1


_RANGES: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("std_error", "a positive number in units of v", lambda x: x > 0),
    ("relative_error", "a share of the spread of the values, above 0 and below 1", lambda x: 0 < x < 1),
    ("top", _COUNT, _counts),
    ("bottom", _COUNT, _counts),
    ("ranking", "true, or the share of the ranking to settle, above 0 and at most 1", lambda x: 0 < x <= 1),
    (
        "signs",
        "true, or the share of the range of values that is small enough, at least 0 and below 1",
        lambda x: 0 <= x < 1,
    ),
    ("seconds", "a positive number of seconds", lambda x: x > 0),
)


def count_sets(question: Question, n: int) -> int:
    """How many non-empty sets a resolved question has values for; 1 where it is answered by one number."""
    if not question.shares_score:
        return n
    scope = INDICES[question.index].sets
    if scope in ("none", "group"):
        return 1
    if scope == "players":
        return n if question.players is None else len(question.players)
    if scope == "pairs":
        return comb(n, 2) if question.pairs is None else len(question.pairs)
    sizes = [size for size in asked_sizes(question) if size > 0]
    return sum(len(question.pairs) if size == 2 and question.pairs is not None else comb(n, size) for size in sizes)


def boundaries(design: Design, draws: int) -> Iterator[int]:
    """Numbers of draws at which a job is looked at: about 4n evaluations, then each 2^(1/2) times the one before, then the end.

    They depend on the number of players alone, so a job that is extended keeps the boundaries it had. A job of pieces is looked at
    after whole blocks of them, a dataset job after every block of rows.
    """
    if isinstance(design, Pieces):
        if not design.undivided:
            yield from (block * design.block for block in design.boundaries() if block * design.block < draws)
        yield draws
        return
    if isinstance(design, EachInput):
        yield from design.boundaries(draws)
        return
    if isinstance(design, RowBlocks):
        yield from range(design.block, draws, design.block)
        yield draws
        return
    evaluations = 4.0 * design.n_players + 4
    if isinstance(design, PlayerContexts):
        # Its cost is that of the players it draws, and not of all.
        evaluations = float(least(design))
    while True:
        at = design.affordable(int(evaluations))
        if at >= draws:
            break
        if at > 1:
            yield at
        evaluations *= 2**0.5
    yield draws
