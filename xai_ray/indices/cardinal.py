"""Interaction indices as sums of dividends, index(S) = sum over T containing S of d(s, t) h(T): a butterfly a size."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb

import numpy as np

from xai_ray.errors import UnknownName
from xai_ray.indices.question import Question
from xai_ray.indices.sets import Sets, asked_sizes, rows_of, sets_of_size
from xai_ray.indices.transforms import by_size, count_players, moebius, superset_sums
from xai_ray.types import Floats, Values

TAGS = ("SII", "k-SII", "STII", "FSII", "BII", "FBII", "CHII")
"""Indices that this file answers."""


def interactions(table: Values, question: Question) -> tuple[Sets, Values]:
    """The asked sets and their values, shape (sets, k). Takes a resolved question; needs no assumption on v(empty)."""
    n = count_players(table)
    dividends = moebius(table)
    sets: Sets = ()
    parts: list[Values] = []
    for size in asked_sizes(question):
        weights = np.concatenate([np.zeros(size), dividend_weights(question.index, size, n, question.order or n)])
        found = sets_of_size(question, n, size)
        parts.append(superset_sums(by_size(dividends, weights))[rows_of(found, size)])
        sets += found
    return sets, np.concatenate(parts)


def dividend_weights(tag: str, s: int, n: int, order: int) -> Floats:
    """Shape (n-s+1,): the weight d(s, t) of the dividends of sets of size t = s..n in the index of a set of s >= 1.

    Sources: Grabisch, Marichal, Roubens (2000) for SII, BII, CHII; Bordt and von Luxburg (2023) for k-SII; Sundararajan
    et al. (2020) for STII; Tsai, Yeh, Ravikumar (2023) for FSII and FBII. Raises UnknownName for an index without the
    form.
    """
    return np.array([float(d) for d in dividend_fractions(tag, s, n, order)])


def dividend_fractions(tag: str, s: int, n: int, order: int) -> list[Fraction]:
    """The same weights d(s, t), t = s..n, as exact fractions."""
    return [_weight(tag, s, t, order) for t in range(s, n + 1)]


def _weight(tag: str, s: int, t: int, order: int) -> Fraction:
    match tag:
        case "SII":
            return Fraction(1, t - s + 1)
        case "BII":
            return Fraction(1, 2 ** (t - s))
        case "CHII":
            return Fraction(s, t)
        case "STII":
            return Fraction(1, comb(t, order)) if s == order else Fraction(int(t == s))
        case "k-SII":
            sizes = range(min(order, t) - s + 1)
            return sum((comb(t - s, j) * _bernoulli(j) / (t - s - j + 1) for j in sizes), Fraction(0))
        case "FSII" | "FBII" if t <= order:
            return Fraction(int(t == s))
        case "FSII":
            scale = Fraction((-1) ** (order - s) * s * comb(order, s), order + s)
            return scale * Fraction(comb(t - 1, order), comb(t + order - 1, order + s))
        case "FBII":
            return Fraction((-1) ** (order - s) * comb(t - s - 1, order - s), 2 ** (t - s))
        case _:
            raise UnknownName("interaction index", tag, TAGS)


@cache
def _bernoulli(number: int) -> Fraction:
    # B_1 = -1/2: sum_{j <= m} C(m+1, j) B_j = 0 for m >= 1.
    if number == 0:
        return Fraction(1)
    return -sum((comb(number + 1, j) * _bernoulli(j) for j in range(number)), Fraction(0)) / (number + 1)
