"""The precisions that a job can be asked for. A rule judges one estimate at one look; NaN is never precise enough.

`top`, `bottom`, `ranking` and `signs` state something about the game, so they are spread over the looks: look l (1, 2, ...) speaks at level
1 - 0.05 x 6 / (pi l)^2, which sums to 0.05 over endless looks. Whatever look the job stops at, the statement is wrong with
probability at most 0.05, per rule, question and output.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, pi
from typing import Protocol

import numpy as np

from xai_ray.estimators.bands import half_widths
from xai_ray.estimators.estimate import Estimate
from xai_ray.types import Floats

ERROR = 0.05
"""Probability that a set of largest or smallest values or a ranking on which a job stopped is wrong, over all looks."""

_CONFIDENCE = f"{100 * (1 - ERROR):g} % confidence"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says about one estimate."""

    rule: str
    """Key of the rule in the budget."""
    met: bool
    found: float
    """A standard error, a ratio or a share, as the rule; infinite when something is missing."""
    words: str
    """How far it is, for people."""


class Rule(Protocol):
    """A precision."""

    def judge(self, estimate: Estimate, look: int) -> Verdict:
        """Whether the estimate at look number `look`, from 1, is precise enough."""
        ...

    @property
    def words(self) -> str:
        """What is asked, for people."""
        ...


@dataclass(frozen=True, slots=True)
class StdErrorBelow:
    """Every standard error of every question is at most `limit`, in units of v."""

    limit: float

    def judge(self, estimate: Estimate, look: int) -> Verdict:
        """Missing entries (NaN) count as too uncertain."""
        found = estimate.largest_std_error
        said = f"largest standard error of {estimate.question.index} {found:.3g}, asked {self.limit:g}"
        return Verdict("std_error", found <= self.limit, found, said)

    @property
    def words(self) -> str:
        """What is asked."""
        return f"every standard error is at most {self.limit:g}"


@dataclass(frozen=True, slots=True)
class RelativeErrorBelow:
    """The largest standard error is at most `share` of the spread (largest minus smallest value), per question and output.

    Covert and Lee, "Improving KernelSHAP" (AISTATS 2021), section 3.4, who take 0.01 to 0.025.
    """

    share: float

    def judge(self, estimate: Estimate, look: int) -> Verdict:
        """The output with the largest ratio decides. An exact output is precise whatever its spread."""
        values, errors = _of_sets(estimate)
        k = values.shape[-1]
        values, errors = values.reshape(-1, k), errors.reshape(-1, k)
        largest, spread = errors.max(axis=0), values.max(axis=0) - values.min(axis=0)
        ratio = np.full(k, inf)
        np.divide(largest, spread, out=ratio, where=spread > 0)
        found = _worst(np.where(largest == 0, 0.0, ratio))
        said = f"standard error of {estimate.question.index} {found:.3g} of the spread, asked {self.share:g}"
        return Verdict("relative_error", found <= self.share, found, said)

    @property
    def words(self) -> str:
        """What is asked."""
        return f"the largest standard error is at most {self.share:g} of the spread of the values"


@dataclass(frozen=True, slots=True)
class TopSettled:
    """The `count` largest sets are known: their bands lie above those of all others, per question, context and output.

    Values of single players are ranked as they are, those of larger sets by absolute value. If one of the true largest were left
    out, some band would have to miss its value, so simultaneous bands make the whole set certain to their level.
    """

    count: int

    def judge(self, estimate: Estimate, look: int) -> Verdict:
        """`found` is the gap between the last of the top and the first of the rest, as a multiple of what would separate them."""
        size, width = _ranked(estimate, look)
        return _parted("top", self.count, estimate, size, width)

    @property
    def words(self) -> str:
        """What is asked."""
        return f"the {self.count} largest values are told from the rest ({_CONFIDENCE})"


@dataclass(frozen=True, slots=True)
class BottomSettled:
    """The `count` smallest sets are known: their bands lie below those of all others, per question, context and output.

    Ranked as in `TopSettled`: of pairs and larger sets, those of the smallest absolute value. In data valuation these are the points
    to look at first.
    """

    count: int

    def judge(self, estimate: Estimate, look: int) -> Verdict:
        """`found` is the gap between the last of the bottom and the first of the rest, as a multiple of what would separate them."""
        size, width = _ranked(estimate, look)
        return _parted("bottom", self.count, estimate, -size, width)

    @property
    def words(self) -> str:
        """What is asked."""
        return f"the {self.count} smallest values are told from the rest ({_CONFIDENCE})"


@dataclass(frozen=True, slots=True)
class RankingSettled:
    """At least `share` of the neighbours in the ranking are told apart by their bands, per question, context and output.

    With share 1 the whole ranking is known. Ranked as in `TopSettled`.
    """

    share: float

    def judge(self, estimate: Estimate, look: int) -> Verdict:
        """`found` is the smallest share of settled neighbours over contexts and outputs."""
        size, width = _ranked(estimate, look)
        order = np.argsort(-size, axis=0, kind="stable")
        size, width = np.take_along_axis(size, order, axis=0), np.take_along_axis(width, order, axis=0)
        settled = _multiple(size[:-1] - size[1:], width[:-1] + width[1:]) >= 1
        found = float(settled.mean(axis=0).min())
        said = f"{found:.0%} of the ranking of {estimate.question.index} settled, asked {self.share:.0%}"
        return Verdict("ranking", found >= self.share, found, said)

    @property
    def words(self) -> str:
        """What is asked."""
        part = "all" if self.share == 1 else f"{self.share:.0%} of the"
        return f"{part} neighbours in the ranking are told apart ({_CONFIDENCE})"


@dataclass(frozen=True, slots=True)
class SignsSettled:
    """Every value is told from 0, or known to be small: its band leaves out 0, or its standard error is at most `share` of the range from
    the smallest to the largest value, 0 included; per question, context and output.

    The rule of the sign estimator of Covert, Lundberg, Lee (2020), with bands that hold for all values and looks at once where theirs
    speaks of one value at one look. A value of exactly 0 has no sign to be told, so with share 0 its noise has to vanish.
    """

    share: float

    def judge(self, estimate: Estimate, look: int) -> Verdict:
        """`found` is the smallest share of settled values over contexts and outputs."""
        values, errors = _of_sets(estimate)
        width = half_widths(errors, estimate.degrees_of_freedom, level(look), sides=2)
        values, errors, width = (part.reshape(len(values), -1) for part in (values, errors, width))
        spread = np.maximum(values.max(axis=0), 0.0) - np.minimum(values.min(axis=0), 0.0)
        settled = (np.abs(values) > width) | (errors <= self.share * spread)
        found = float(settled.mean(axis=0).min())
        return Verdict("signs", found >= 1, found, f"{found:.0%} of the signs of {estimate.question.index} settled")

    @property
    def words(self) -> str:
        """What is asked."""
        small = f", or its standard error is at most {self.share:g} of their range" if self.share else ""
        return f"every value is told from 0 ({_CONFIDENCE}){small}"


def level(look: int) -> float:
    """Confidence level of look number `look`, from 1."""
    return 1.0 - ERROR * 6.0 / (pi * look) ** 2


def _of_sets(estimate: Estimate) -> tuple[Floats, Floats]:
    """Values and standard errors without the empty set, whose value is no attribution."""
    keep = np.array([len(s) > 0 for s in estimate.coalitions], dtype=np.bool_)
    if not keep.any():
        return estimate.values, estimate.std_errors
    return estimate.values[keep], estimate.std_errors[keep]


def _ranked(estimate: Estimate, look: int) -> tuple[Floats, Floats]:
    """What is ranked and its joint half widths, each (c, r): c sets, a column for each context and output."""
    values, errors = _of_sets(estimate)
    alone = all(len(s) == 1 for s in estimate.coalitions)
    # The sign of a pair is not known beforehand, so both ends of its band are claimed; of a ranked value only the one towards the rest.
    width = half_widths(errors, estimate.degrees_of_freedom, level(look), sides=1 if alone else 2)
    size = values if alone else np.abs(values)
    return size.reshape(len(values), -1), width.reshape(len(values), -1)


def _parted(rule: str, count: int, estimate: Estimate, size: Floats, width: Floats) -> Verdict:
    """Whether the bands of the `count` largest sizes (c, r) lie above all others, in every column."""
    order = np.argsort(-size, axis=0, kind="stable")
    top, rest = order[:count], order[count:]
    low = np.take_along_axis(size - width, top, axis=0).min(axis=0)
    high = np.take_along_axis(size + width, rest, axis=0).max(axis=0)
    gap = (np.take_along_axis(size, top[-1:], axis=0) - np.take_along_axis(size, rest[:1], axis=0))[0]
    found = -_worst(-_multiple(gap, gap - (low - high)))
    said = f"{rule} {count} of {estimate.question.index} " + (
        "settled" if found >= 1 else f"open, gap {max(found, 0.0):.2g} of the joint error"
    )
    return Verdict(rule, found >= 1, found, said)


def _multiple(gap: Floats, needed: Floats) -> Floats:
    """gap / needed; infinite where nothing is needed (exact values)."""
    out = np.full(gap.shape, inf)
    np.divide(gap, needed, out=out, where=~(needed <= 0))
    return out


def _worst(numbers: Floats) -> float:
    """The largest; infinite if one is missing."""
    largest = float(np.max(numbers))
    return inf if isnan(largest) else largest
