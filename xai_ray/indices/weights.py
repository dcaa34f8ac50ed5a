"""Weights of the indices by size of the context, on profiles and on derivatives. Binomials in logs: n up to 10,000."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from typing import cast

import numpy as np
from scipy.special import betaln, gammaln

from xai_ray.errors import SpecError, UnknownName
from xai_ray.indices.question import Question
from xai_ray.types import Floats

PAIRWISE = ("SII", "k-SII", "STII", "FSII", "BII", "FBII", "CHII")
"""Indices of order 2 that are linear in the profile of multi-order interactions."""

CARDINAL = ("SII", "STII", "FSII", "BII", "FBII", "CHII", "k-SII", "Moebius", "CoMoebius", "SGV", "BGV", "CHGV")
"""Indices that weight discrete derivatives (or marginal contributions of the block) by the size of the context."""


def log_binomial(n: Floats | float, k: Floats | float) -> Floats:
    """Logarithm of C(n, k), elementwise; 0 <= k <= n."""
    top, bottom = np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64)
    return gammaln(top + 1) - gammaln(bottom + 1) - gammaln(top - bottom + 1)


def log_beta(a: Floats | float, b: Floats | float) -> Floats:
    """Logarithm of Euler's beta function, elementwise."""
    return cast(Floats, betaln(a, b))


def semivalue_weights(question: Question, n: int) -> Floats:
    """Shape (n,), summing to one: value(i) = sum_t w_t phi^(t)(i), t the number of predecessors.

    For SV, BV, WBV, BETA and SEMI; raises SpecError for others. BETA(alpha, beta) is that of Kwon and Zou (AISTATS
    2022): predecessors join with a keep-rate drawn from Beta(beta, alpha), so alpha > beta favours small sets and
    (1, 1) is the Shapley value.
    """
    t = np.arange(n, dtype=np.float64)
    match question:
        case Question(index="SV"):
            return np.full(n, 1 / n)
        case Question(index="BV"):
            return np.exp(log_binomial(n - 1, t) - (n - 1) * np.log(2))
        case Question(index="WBV", p=float() as p):
            return np.exp(log_binomial(n - 1, t) + t * np.log(p) + (n - 1 - t) * np.log1p(-p))
        case Question(index="BETA", alpha=float() | int() as alpha, beta=float() | int() as beta):
            return np.exp(log_binomial(n - 1, t) + log_beta(t + beta, n - 1 - t + alpha) - log_beta(alpha, beta))
        case Question(index="SEMI", weights=tuple() as weights):
            return np.asarray(weights, dtype=np.float64)
        case _:
            raise SpecError(f"{question.index} is no semivalue with all its parameters; SV, BV, WBV, BETA and SEMI are")


def pair_profile_weights(tag: str, n: int) -> Floats:
    """Shape (n-1,), summing to one: index(i,j) = sum_m u_m I^(m)(i,j) for an index of order 2.

    Sources: the p_s of each index times C(n-2, m). Raises UnknownName for an index that is not in `PAIRWISE`.
    """
    if n < 2:
        raise SpecError(f"{tag} of pairs needs at least 2 players, the game has {n}")
    m = np.arange(n - 1, dtype=np.float64)
    match tag:
        case "SII" | "k-SII":
            return np.full(n - 1, 1 / (n - 1))
        case "BII" | "FBII":
            return np.exp(log_binomial(n - 2, m) - (n - 2) * np.log(2))
        case "STII":
            return 2 * (n - 1 - m) / (n * (n - 1))
        case "FSII":
            return 6 * (m + 1) * (n - 1 - m) / ((n + 1) * n * (n - 1))
        case "CHII":
            return 2 * (m + 1) / (n * (n - 1))
        case _:
            raise UnknownName("pairwise index", tag, PAIRWISE)


def cardinal_weights(tag: str, s: int, n: int, order: int) -> Floats:
    """Shape (n-s+1,): p_s(t), index(S) = sum_{T without S} p_s(t) delta_S v(T), for sets of size s >= 1.

    For SGV, BGV, CHGV the weight is on v(T + S) - v(T). `order` matters to STII, FSII, FBII and k-SII; the last three
    have this form only at s = order. Sources: Grabisch and Roubens (1999); Fujimoto, Kojadinovic, Marichal (2006);
    Tsai, Yeh, Ravikumar (2023). Raises UnknownName for an index without the form, SpecError for a size without it.
    """
    if not 1 <= s <= order <= n:
        raise SpecError(
            f"{tag}: sets of size {s} at order {order} with {n} players; 1 <= size <= order <= players is allowed"
        )
    t = np.arange(n - s + 1, dtype=np.float64)
    match tag:
        case "SII" | "SGV":
            return np.exp(-log_binomial(n - s, t)) / (n - s + 1)
        case "BII" | "BGV":
            return np.full(n - s + 1, np.exp2(-(n - s)))
        case "CHII" | "CHGV":
            return s * np.exp(log_beta(s + t, n - s - t + 1))
        case "CoMoebius":
            return (t == n - s).astype(np.float64)
        case "Moebius":
            return (t == 0).astype(np.float64)
        case "STII" if s < order:
            return (t == 0).astype(np.float64)
        case "STII":
            return s / n * np.exp(-log_binomial(n - 1, t))
        case "k-SII" | "FSII" | "FBII" if s < order:
            raise SpecError(
                f"{tag}: only sets of size {order} (the order) are weighted derivatives, not those of size {s}"
            )
        case "k-SII" | "FBII":
            return cardinal_weights("SII" if tag == "k-SII" else "BII", s, n, order)
        case "FSII":
            return np.exp(log_beta(s + t, n - t) - log_beta(s, s))
        case _:
            raise UnknownName("cardinal index", tag, CARDINAL)
