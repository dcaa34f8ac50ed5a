"""The table of indices: one row for each thing that can be asked.

Notation: n players, S a set of size s, t = |T|, delta_S v(T) = sum_{L in S} (-1)^{s-|L|} v(T + L) the discrete
derivative, h(S) = delta_S v(empty) the Harsanyi dividend, C the binomial coefficient. v(empty) need not be zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Parameter: TypeAlias = Literal["contexts", "pairs", "p", "alpha", "beta", "weights", "groups", "split", "players"]
Kind: TypeAlias = Literal["value", "profile", "strength", "interaction", "transform", "generalised", "multivariate"]
Scope: TypeAlias = Literal["players", "pairs", "of_order", "up_to_order", "all_up_to_order", "group", "none"]


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """One row of the table."""

    tag: str
    """How a question names it."""
    name: str
    """In words."""
    kind: Kind
    """`value`: one number a player; `profile`: one a context size; `strength`: a non-linear summary of a profile;
    `interaction`: weighted discrete derivatives; `transform`: another basis of the game; `generalised`: weighted
    marginal contributions of a set as a block; `multivariate`: one number for a given set."""
    sets: Scope
    """Which sets are answered: every player, every pair, the sets of exactly `order` players, those of 1..order, those
    of 0..order, the given group, or none (one number for the whole game)."""
    order: int | None
    """Default order; None takes n (or, for a group, its size)."""
    citation: str
    """Where it is defined."""
    formula: str
    """The definition in one line."""
    takes: tuple[Parameter, ...] = ()
    """Optional parameters."""
    needs: tuple[Parameter, ...] = ()
    """Parameters without a default."""
    efficient: bool = False
    """Whether the values of the non-empty sets sum to v(N) - v(empty)."""
    linear: bool = True
    """Whether the index is a linear functional of v, so that it can be averaged over games."""


_ROWS = (
    IndexInfo(
        "SV",
        "Shapley value",
        "value",
        "players",
        1,
        "Shapley, A value for n-person games (1953)",
        "mean over m = 0..n-1 of phi^(m)(i)",
        takes=("players",),
        efficient=True,
    ),
    IndexInfo(
        "BV",
        "Banzhaf value",
        "value",
        "players",
        1,
        "Banzhaf, Weighted voting doesn't work (1965)",
        "sum_T 2^-(n-1) [v(T + i) - v(T)]",
        takes=("players",),
    ),
    IndexInfo(
        "WBV",
        "weighted Banzhaf value",
        "value",
        "players",
        1,
        "Li, Yu, Robust data valuation with weighted Banzhaf values (NeurIPS 2023)",
        "sum_T p^t (1-p)^(n-1-t) [v(T + i) - v(T)]",
        takes=("players",),
        needs=("p",),
    ),
    IndexInfo(
        "BETA",
        "Beta Shapley value",
        "value",
        "players",
        1,
        "Kwon, Zou, Beta Shapley (AISTATS 2022), eq. 5",
        "sum_m C(n-1,m) B(m+beta, n-1-m+alpha) / B(alpha,beta) phi^(m)(i)",
        takes=("players",),
        needs=("alpha", "beta"),
    ),
    IndexInfo(
        "SEMI",
        "semivalue with given weights",
        "value",
        "players",
        1,
        "Dubey, Neyman, Weber, Value theory without efficiency (1981)",
        "sum_m weights[m] phi^(m)(i)",
        takes=("players",),
        needs=("weights",),
    ),
    IndexInfo(
        "PHIM",
        "order-m Shapley value",
        "profile",
        "players",
        1,
        "Zhang et al., Interpreting and boosting dropout from a game-theoretic view (ICLR 2021)",
        "phi^(m)(i) = mean over T without i, t = m, of v(T + i) - v(T)",
        takes=("contexts",),
    ),
    IndexInfo(
        "MOI",
        "multi-order interaction",
        "profile",
        "pairs",
        2,
        "Deng, Ren, Zhang, Zhang, Discovering and explaining the representation bottleneck of DNNs (ICLR 2022)",
        "I^(m)(i,j) = mean over T without i and j, t = m, of delta_{ij} v(T)",
        takes=("contexts", "pairs"),
    ),
    IndexInfo(
        "J",
        "interaction strength per order",
        "strength",
        "none",
        2,
        "Deng, Ren, Zhang, Zhang, Discovering and explaining the representation bottleneck of DNNs (ICLR 2022)",
        "J^(m) = mean over pairs of |I^(m)(i,j)|",
        takes=("contexts", "pairs"),
        linear=False,
    ),
    IndexInfo(
        "J2",
        "root mean square interaction strength per order",
        "strength",
        "none",
        2,
        "Deng, Ren, Zhang, Zhang, Discovering and explaining the representation bottleneck of DNNs (ICLR 2022), squared",
        "J_2^(m) = root of the mean over pairs of I^(m)(i,j)^2",
        takes=("contexts", "pairs"),
        linear=False,
    ),
    IndexInfo(
        "SII",
        "Shapley interaction index",
        "interaction",
        "of_order",
        2,
        "Grabisch, Roubens, Int. J. Game Theory 28 (1999)",
        "sum_T t! (n-s-t)! / (n-s+1)! delta_S v(T)",
        takes=("pairs",),
    ),
    IndexInfo(
        "k-SII",
        "k-Shapley interaction (n-Shapley value)",
        "interaction",
        "up_to_order",
        2,
        "Bordt, von Luxburg, From Shapley values to generalized additive models and back (AISTATS 2023)",
        "sum_{T, t <= k-s} B_t SII(S + T), Bernoulli numbers with B_1 = -1/2",
        takes=("pairs",),
        efficient=True,
    ),
    IndexInfo(
        "STII",
        "Shapley-Taylor interaction index",
        "interaction",
        "up_to_order",
        2,
        "Sundararajan, Dhamdhere, Agarwal, The Shapley Taylor interaction index (ICML 2020)",
        "s < k: h(S); s = k: (k/n) sum_T delta_S v(T) / C(n-1,t)",
        takes=("pairs",),
        efficient=True,
    ),
    IndexInfo(
        "FSII",
        "faithful Shapley interaction index",
        "interaction",
        "up_to_order",
        2,
        "Tsai, Yeh, Ravikumar, Faith-Shap (JMLR 2023), theorem 19",
        "least squares of v by sums of E over subsets up to size l, Shapley kernel, exact at empty and N",
        takes=("pairs",),
        efficient=True,
    ),
    IndexInfo(
        "BII",
        "Banzhaf interaction index",
        "interaction",
        "of_order",
        2,
        "Grabisch, Roubens, Int. J. Game Theory 28 (1999)",
        "2^-(n-s) sum_T delta_S v(T)",
        takes=("pairs",),
    ),
    IndexInfo(
        "FBII",
        "faithful Banzhaf interaction index",
        "interaction",
        "up_to_order",
        2,
        "Tsai, Yeh, Ravikumar, Faith-Shap (JMLR 2023), theorem 17",
        "least squares of v by sums of E over subsets up to size l, uniform weights",
        takes=("pairs",),
    ),
    IndexInfo(
        "CHII",
        "chaining interaction index",
        "interaction",
        "of_order",
        2,
        "Marichal, Roubens, The chaining interaction index among players in cooperative games (1999)",
        "sum_T s / ((s+t) C(n,s+t)) delta_S v(T)",
        takes=("pairs",),
    ),
    IndexInfo(
        "Moebius",
        "Harsanyi dividend (Moebius transform)",
        "transform",
        "all_up_to_order",
        None,
        "Harsanyi, A simplified bargaining model for the n-person cooperative game (1963)",
        "h(S) = sum_{L in S} (-1)^{s-|L|} v(L)",
        takes=("pairs",),
    ),
    IndexInfo(
        "CoMoebius",
        "co-Moebius transform (external interaction)",
        "transform",
        "all_up_to_order",
        None,
        "Grabisch, Marichal, Roubens, Equivalent representations of set functions (2000)",
        "delta_S v(N - S)",
        takes=("pairs",),
    ),
    IndexInfo(
        "Fourier",
        "Fourier (Walsh) coefficients",
        "transform",
        "all_up_to_order",
        None,
        "O'Donnell, Analysis of Boolean functions (2014), theorem 1.1",
        "beta_S = 2^-n sum_T (-1)^{|S & T|} v(T), v = sum_S beta_S chi_S",
        takes=("pairs",),
    ),
    IndexInfo(
        "AND",
        "AND interaction",
        "transform",
        "all_up_to_order",
        None,
        "Li, Zhang, Does a neural network really encode symbolic concepts? (ICML 2023)",
        "sum_{L in S} (-1)^{s-|L|} v_and(L), v_and = v/2 + gamma (0, or of the least L1 norm)",
        takes=("pairs", "split"),
    ),
    IndexInfo(
        "OR",
        "OR interaction",
        "transform",
        "all_up_to_order",
        None,
        "Li, Zhang, Does a neural network really encode symbolic concepts? (ICML 2023)",
        "-sum_{L in S} (-1)^{s-|L|} v_or(N - L), v_or = v/2 - gamma; v_or(empty) for the empty set",
        takes=("pairs", "split"),
    ),
    IndexInfo(
        "MVI",
        "multivariate interaction of a set",
        "multivariate",
        "group",
        None,
        "Zhang et al., Interpreting multivariate Shapley interactions in DNNs (AAAI 2021)",
        "B([A]) = phi([A] | N_A) - sum_{a in A} phi(a | N_a)",
        needs=("groups",),
    ),
    IndexInfo(
        "BMAX",
        "largest multivariate interaction over contiguous partitions",
        "multivariate",
        "group",
        None,
        "Zhang et al., Interpreting multivariate Shapley interactions in DNNs (AAAI 2021)",
        "max over partitions of A into runs C of sum_C phi([C] | N_C) - sum_a phi(a | N_a)",
        needs=("groups",),
        linear=False,
    ),
    IndexInfo(
        "BMIN",
        "smallest multivariate interaction over contiguous partitions",
        "multivariate",
        "group",
        None,
        "Zhang et al., Interpreting multivariate Shapley interactions in DNNs (AAAI 2021)",
        "min over partitions of A into runs C of sum_C phi([C] | N_C) - sum_a phi(a | N_a)",
        needs=("groups",),
        linear=False,
    ),
    IndexInfo(
        "SGV",
        "Shapley generalised value",
        "generalised",
        "of_order",
        2,
        "Marichal, The influence of variables on pseudo-Boolean functions (2000)",
        "sum_T t! (n-s-t)! / (n-s+1)! [v(T + S) - v(T)]",
        takes=("pairs",),
    ),
    IndexInfo(
        "BGV",
        "Banzhaf generalised value",
        "generalised",
        "of_order",
        2,
        "Marichal, The influence of variables on pseudo-Boolean functions (2000)",
        "2^-(n-s) sum_T [v(T + S) - v(T)]",
        takes=("pairs",),
    ),
    IndexInfo(
        "CHGV",
        "chaining generalised value",
        "generalised",
        "of_order",
        2,
        "Marichal, Kojadinovic, Fujimoto, Axiomatic characterizations of generalized values (2007)",
        "sum_T s / ((s+t) C(n,s+t)) [v(T + S) - v(T)]",
        takes=("pairs",),
    ),
    IndexInfo(
        "JointSV",
        "joint Shapley value",
        "generalised",
        "up_to_order",
        2,
        "Harris, Pymar, Rowat, Joint Shapley values (ICLR 2022), theorem 1",
        "sum_T q_t [v(T + S) - v(T)], q by recursion over sizes",
        takes=("pairs",),
        efficient=True,
    ),
    IndexInfo(
        "Owen",
        "Owen value of a coalition structure",
        "value",
        "players",
        1,
        "Owen, Values of games with a priori unions (1977)",
        "Shapley value over the groups, then within the player's own group",
        needs=("groups",),
        efficient=True,
    ),
)

INDICES: dict[str, IndexInfo] = {row.tag: row for row in _ROWS}
"""Every index by its tag."""
