"""Most indices are read-outs of the game at random contexts: for every set S of s players the same weights by context size,

    index(S) = sum over m = 0..n-s of u_m  mean over T without S, |T| = m, of  delta_S v(T)      (a block: v(T + S) - v(T)).

The weights u are all that tells one index from another, so an estimator that knows how to read them answers every such index. Where u
is the law of a context that players join independently, at a keep-rate that is fixed or drawn from a Beta distribution (Owen's
multilinear extension), the read-out carries that law: closed forms integrate over it.
Sources: Grabisch, Roubens (1999); Owen (1972); Fujimoto, Kojadinovic, Marichal (2006); Tsai, Yeh, Ravikumar (2023).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np

from xai_ray.errors import SpecError
from xai_ray.indices.cardinal import dividend_fractions
from xai_ray.indices.generalised import joint_weights
from xai_ray.indices.question import Question
from xai_ray.indices.sets import asked_sizes
from xai_ray.indices.table import INDICES
from xai_ray.indices.weights import log_beta, log_binomial, semivalue_weights
from xai_ray.types import Floats, Mask


@dataclass(frozen=True, slots=True)
class KeepRate:
    """Every other player joins the context independently at a keep-rate of Beta(alpha, beta), or at `point` where given."""

    alpha: float = 1.0
    beta: float = 1.0
    point: float | None = None

    def weights(self, players: int) -> Floats:
        """Law of the context size 0..players, shape (players + 1,)."""
        m = np.arange(players + 1, dtype=np.float64)
        if self.point is None:
            log = log_beta(m + self.alpha, players - m + self.beta) - log_beta(self.alpha, self.beta)
        elif self.point in (0.0, 1.0):
            return (m == self.point * players).astype(np.float64)
        else:
            log = m * np.log(self.point) + (players - m) * np.log1p(-self.point)
        return np.exp(log_binomial(players, m) + log)


@dataclass(frozen=True, slots=True)
class Readout:
    """Weights for all sets of one size; r columns (contexts; one for an index without)."""

    size: int
    """Players s of a set; 0 for the empty set, whose value is a weighted mean of v over sizes."""
    weights: Floats
    """Shape (r, n - s + 1): u, by context size."""
    block: bool = False
    """Whether the set joins as a block: v(T + S) - v(T) instead of the discrete derivative."""
    keep_rate: KeepRate | None = None
    """The law behind the weights, where there is one: weights = scale * keep_rate.weights(n - s)."""
    scale: float = 1.0

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.weights.shape[1] - 1 + self.size

    @property
    def cells(self) -> Floats:
        """Shape (r, s + 1, n + 1): weight of the mean of v over the coalitions of size t that hold a given w of the s players."""
        columns, contexts = self.weights.shape
        out = np.zeros((columns, self.size + 1, self.n_players + 1))
        for w in range(self.size + 1):
            sign = (-1.0) ** (self.size - w) if not self.block else float(w == self.size) - float(w == 0)
            out[:, w, w : w + contexts] = sign * self.weights
        return out

    @property
    def sizes(self) -> Mask:
        """Shape (n + 1,): whether a coalition size is read at all."""
        return (self.cells != 0).any(axis=(0, 1))


def readouts(question: Question, n: int) -> tuple[Readout, ...]:
    """The read-outs of a resolved question, one for each size of its sets, ascending.

    Raises SpecError for an index that is not a read-out (`READ_OUT` lists those that are).
    """
    if question.index not in _BY_INDEX:
        raise SpecError(f"{question.index} is not a weighted mean of derivatives; these are: {', '.join(READ_OUT)}")
    return _BY_INDEX[question.index](question, n)


def _value(question: Question, n: int) -> tuple[Readout, ...]:
    weights = semivalue_weights(question, n)[None]
    match question:
        case Question(index="SV"):
            return (Readout(1, weights, keep_rate=KeepRate()),)
        case Question(index="BV"):
            return (Readout(1, weights, keep_rate=KeepRate(point=0.5)),)
        case Question(index="WBV", p=p):
            return (Readout(1, weights, keep_rate=KeepRate(point=p)),)
        case Question(index="BETA", alpha=float() | int() as a, beta=float() | int() as b):
            return (Readout(1, weights, keep_rate=KeepRate(b, a)),)
        case _:
            return (Readout(1, weights),)


def _contexts(question: Question, n: int) -> tuple[Readout, ...]:
    size = question.order or 1
    return (Readout(size, np.eye(n - size + 1)[list(question.contexts or ())]),)


def _cardinal(question: Question, n: int) -> tuple[Readout, ...]:
    order = question.order or n
    return tuple(_of_size(question.index, s, n, order) for s in asked_sizes(question))


def _of_size(tag: str, s: int, n: int, order: int) -> Readout:
    law, scale = keep_rate(tag, s, order), 1.0
    if law is not None:
        if tag == "Fourier":
            scale = (-0.5) ** s
        return Readout(s, scale * law.weights(n - s)[None], tag in _BLOCKS, law, scale)
    if tag == "JointSV":
        q = joint_weights(n, order)[: n - s + 1]
        return Readout(s, (q * np.exp(log_binomial(n - s, np.arange(n - s + 1.0))))[None], block=True)
    return Readout(s, _from_dividends(tag, s, n, order)[None])


def keep_rate(tag: str, s: int, order: int) -> KeepRate | None:
    """The law of the context for sets of size s, or None where there is none (lower orders of k-SII, FSII, FBII; JointSV)."""
    match tag:
        case "SII" | "SGV":
            return KeepRate()
        case "k-SII" if s == order:
            return KeepRate()
        case "BII" | "BGV" | "Fourier":
            return KeepRate(point=0.5)
        case "FBII" if s == order:
            return KeepRate(point=0.5)
        case "CHII" | "CHGV":
            return KeepRate(s, 1.0)
        case "STII" if s == order:
            return KeepRate(1.0, s)
        case "FSII" if s == order:
            return KeepRate(s, s)
        case "STII" | "Moebius":
            return KeepRate(point=0.0)
        case "CoMoebius":
            return KeepRate(point=1.0)
        case _:
            return None


@lru_cache(maxsize=64)
def _from_dividends(tag: str, s: int, n: int, order: int) -> Floats:
    """u from index(S) = sum over T containing S of d(s, t) h(T): sum_m u_m C(m, l) = C(n-s, l) d(s, s+l), solved from the top."""
    last = n - s
    scaled = [comb(last, extra) * d for extra, d in enumerate(dividend_fractions(tag, s, n, order))]
    out = np.empty(last + 1)
    for m in range(last + 1):
        out[m] = float(sum((-1) ** (e - m) * comb(e, m) * scaled[e] for e in range(m, last + 1)))
    return out


_BLOCKS = ("SGV", "BGV", "CHGV", "JointSV")

_BY_INDEX: dict[str, Callable[[Question, int], tuple[Readout, ...]]] = {
    **dict.fromkeys(("SV", "BV", "WBV", "BETA", "SEMI"), _value),
    **dict.fromkeys(("PHIM", "MOI"), _contexts),
    **dict.fromkeys(("SII", "k-SII", "STII", "FSII", "BII", "FBII", "CHII"), _cardinal),
    **dict.fromkeys(("Moebius", "CoMoebius", "Fourier", *_BLOCKS), _cardinal),
}

READ_OUT: tuple[str, ...] = tuple(tag for tag in INDICES if tag in _BY_INDEX)
"""Tags of the indices that are read-outs."""
